#ifndef CARILLON_APP_BACKUP_H
#define CARILLON_APP_BACKUP_H

#include <stdbool.h>

/* Whether the command line says `carillon backup`. */
bool car_backup_is_asked(int argc, char *const *argv);

/* Copies the store's database to the file that is named. The process's exit code: 0, and one line on standard output
 * says what was written; 1, or 2 where the command line is wrong, and one line on standard error says why. */
int car_backup_main(int argc, char *const *argv);

#endif
