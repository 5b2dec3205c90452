// A feed for many tenants on the package socket.io, a room for each: as little as serves the benchmark, in the way its
// documentation shows, with the events that Carillon emits in the namespace `/`. Connection state recovery stays off, as
// the package has it by default.

import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { answerPost, listen, makeEvent } from '../event.mjs';

const LATEST = 50; // events that a client begins with

const latest = new Map();

/** One event to its tenant's room; returns it. */
function publish(tenant, message) {
    const event = makeEvent(tenant, message);
    const events = latest.get(tenant) ?? [];
    events.push(event);
    if (events.length > LATEST) {
        events.shift();
    }
    latest.set(tenant, events);
    io.to(tenant).emit('event_created', event);
    return event;
}

const server = createServer(answerPost((tenant, message) => JSON.stringify(publish(tenant, message))));
const io = new Server(server, { transports: ['websocket'], serveClient: false, perMessageDeflate: false });

io.on('connection', (socket) => {
    const { tenant } = socket.handshake.query;
    socket.join(tenant);
    socket.on('post_event', ({ message }, acknowledge) => acknowledge({ event: publish(tenant, message) }));
    socket.emit('connection_established', {
        tenant_id: tenant,
        session_id: socket.id,
        server_time: new Date().toISOString(),
    });
    socket.emit('initial_events', latest.get(tenant) ?? []);
});

listen(server);
