#ifndef CARILLON_NET_INPUT_H
#define CARILLON_NET_INPUT_H

struct car_conn;

/*
 * What comes in over a connection, on its way to the protocol: it is read while the protocol takes it (`reading`) and
 * the socket may have some (`readable`); what the protocol leaves is held, and meanwhile nothing is read. Part of the
 * connection, and on its worker. Each of these may close the connection, or end it.
 */

/* Reads one buffer full, where it is to be read, and gives it to the protocol; the rest waits until others have had
 * theirs. */
void car_input_read(struct car_conn *conn);

/* From now on it is read, where nothing is held and the peer has not ended. */
void car_input_start(struct car_conn *conn);

/* Gives the protocol what is held, once more. */
void car_input_offer(struct car_conn *conn);

/* Its peer does not speak TLS as it should: what it is to be told of that is written, and then it ends. */
void car_input_give_up(struct car_conn *conn);

#endif
