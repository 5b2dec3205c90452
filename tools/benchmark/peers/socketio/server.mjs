// A feed for many tenants on the package socket.io, a room for each: as little as serves the benchmark, in the way its
// documentation shows.

import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { answerPost, listen, makeEvent } from '../event.mjs';

/** One event to its tenant's room; returns it. */
function publish(tenant, message) {
    const event = makeEvent(tenant, message);
    io.to(tenant).emit('event_created', event);
    return event;
}

const server = createServer(answerPost((tenant, message) => JSON.stringify(publish(tenant, message))));
const io = new Server(server, { transports: ['websocket'], serveClient: false, perMessageDeflate: false });

io.on('connection', (socket) => {
    const { tenant } = socket.handshake.auth;
    socket.join(tenant);
    socket.on('post_event', ({ message }, acknowledge) => acknowledge({ event: publish(tenant, message) }));
});

listen(server);
