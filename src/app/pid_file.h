#ifndef CARILLON_APP_PID_FILE_H
#define CARILLON_APP_PID_FILE_H

/* The file of --pid-file, for supervisors: which process serves. After an upgrade it is the new one's. Main thread. */

/* Writes this process's number, in place of what was there: whole, or not at all. 0; CAR_ESYS and errno. */
int car_pid_file_write(const char *path);

/* Writes this process's number where that one may have written its own, or may have been about to; it has ended. As
 * car_pid_file_write. */
int car_pid_file_take_back(const char *path, long pid);

/* Removes it where it has this process's number still. */
void car_pid_file_remove(const char *path);

#endif
