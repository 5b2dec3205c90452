#ifndef CARILLON_API_SIO_OPEN_H
#define CARILLON_API_SIO_OPEN_H

struct car_api;
struct car_exchange;
struct car_http_request;
struct car_sio;

/* The door to Socket.IO: whose a handshake says a session is, whether there is room for one, and whose requests it
 * takes later. On the worker. */

/* The headers of a request are in: where its session is on another worker, the connection moves there, and the exchange
 * is gone. See car_eio_expect. */
void car_sio_expect(const struct car_api *api, struct car_exchange *exchange, const struct car_http_request *req);

/* What the handshake has taken is given back: the lease, the room, the name. */
void car_sio_let_go(struct car_sio *sio);

#endif
