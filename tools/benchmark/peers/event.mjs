// The event and the way it is POSTed, as the peers written for node share them.

import { randomUUID } from 'node:crypto';

const PATHS = ['/api/v1/events', '/api/events'];

const newest = new Map();

/** An event of the shape that Carillon gives it. */
export function makeEvent(tenant, message) {
    const seq = (newest.get(tenant) ?? 0) + 1;
    newest.set(tenant, seq);
    return {
        id: randomUUID(),
        tenant_id: tenant,
        seq,
        type: 'message',
        message,
        timestamp: new Date().toISOString(),
    };
}

/** Answers a `POST` of an event by `publish(tenant, message)`, which returns the event's JSON. */
export function answerPost(publish) {
    return (request, response) => {
        if (request.method !== 'POST' || !PATHS.includes(request.url)) {
            response.writeHead(404).end();
            return;
        }
        const parts = [];
        request.on('data', (part) => parts.push(part));
        request.on('end', () => {
            const { message } = JSON.parse(Buffer.concat(parts).toString());
            const body = publish(request.headers['x-tenant-id'], message);
            response.writeHead(201, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
            response.end(body);
        });
    };
}

/** Listens on a free loopback port and prints it. */
export function listen(server) {
    server.keepAliveTimeout = 75_000;
    server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
        console.log(`listening on 127.0.0.1:${server.address().port}`);
    });
}
