// A feed for many tenants on the package ws: as little as serves the benchmark, in the way its documentation shows.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { answerPost, listen, makeEvent } from '../event.mjs';

const tenants = new Map();

/** One event to all sockets of its tenant, written out once; returns its JSON. */
function publish(tenant, message) {
    const json = JSON.stringify(makeEvent(tenant, message));
    const frame = Buffer.from(`{"type":"event_created","event":${json}}`);
    for (const socket of tenants.get(tenant) ?? []) {
        socket.send(frame, { binary: false });
    }
    return json;
}

function join(tenant, socket) {
    const sockets = tenants.get(tenant) ?? new Set();
    tenants.set(tenant, sockets.add(socket));
    socket.on('close', () => sockets.delete(socket));
}

const server = createServer(answerPost(publish));
const feed = new WebSocketServer({ server, path: '/ws', perMessageDeflate: false });

feed.on('connection', (socket, request) => {
    const tenant = new URL(request.url, 'http://localhost').searchParams.get('tenant');
    join(tenant, socket);
    socket.on('error', () => socket.terminate());
    socket.on('message', (data) => {
        const { type, ref, message } = JSON.parse(data.toString());
        if (type === 'post_event') {
            const json = publish(tenant, message);
            socket.send(`{"type":"ack","ref":${JSON.stringify(ref)},"event":${json}}`);
        }
    });
    socket.send(JSON.stringify({ type: 'connection_established', tenant_id: tenant, session_id: randomUUID() }));
});

listen(server);
