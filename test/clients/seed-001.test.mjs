// The first of the systems that this one succeeds: its snippets, as its pages have them, and its environment.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep, until } from './support/client.mjs';
import { program, request, serveSeed, shell } from './support/seed.mjs';

const environment = {
    NODE_ENV: 'production',
    CORS_ORIGIN: 'http://localhost:3000',
    RATE_LIMIT_WINDOW_MS: '900000',
    RATE_LIMIT_MAX_REQUESTS: '100',
};

const create = `
POST /api/events
Content-Type: application/json
X-Tenant-ID: tenant_a

{
  "message": "Your event message here"
}
`;

const list = `
GET /api/events?limit=50
X-Tenant-ID: tenant_a
`;

const connect = `
const socket = io('http://localhost:3000', {
  query: { tenant: 'tenant_a' }
});
`;

/** What a page does around that snippet, to see what comes. */
const page = `
import { io } from 'socket.io-client';
${connect}
socket.onAny((name, value) => console.log(JSON.stringify([name, value])));
`;

test('REST of the real-time event feed', async (t) => {
    const server = await serveSeed(t, environment);
    const created = await request(server, create);
    assert.equal(created.status, 201);
    assert.equal((await created.json()).message, 'Your event message here');
    const listed = await request(server, list);
    assert.deepEqual((await listed.json()).events.map((event) => event.message), ['Your event message here']);
    const health = await (await request(server, 'GET /api/health')).json();
    assert.equal(health.status, 'healthy');
    assert.equal(health.eventStats.totalEvents, 1);
    assert.equal((await shell(server, 'curl http://localhost:3000/api/health')).status, 'healthy');
    const stats = await request(server, 'GET /api/events/stats\nX-Tenant-ID: tenant_a');
    assert.equal((await stats.json()).total, 1);
    const preflight = await fetch(`${server.url}/api/events`, {
        method: 'OPTIONS',
        headers: { 'Origin': environment.CORS_ORIGIN, 'Access-Control-Request-Method': 'POST' },
    });
    assert.equal(preflight.headers.get('access-control-allow-origin'), environment.CORS_ORIGIN);
});

test('sockets of the real-time event feed', async (t) => {
    const server = await serveSeed(t, environment);
    await request(server, create);
    const lines = program(t, server, page);
    const others = program(t, server, page.replace('tenant_a', 'tenant_b'));
    await until(() => lines.length === 2 && others.length === 2, 'both greeted');
    const [greeting, initial] = lines.map((line) => JSON.parse(line));
    assert.equal(greeting[0], 'connection_established');
    assert.equal(greeting[1].tenant_id, 'tenant_a');
    assert.equal(initial[0], 'initial_events');
    assert.deepEqual(initial[1].map((event) => event.message), ['Your event message here']);
    assert.deepEqual(JSON.parse(others[1]), ['initial_events', []]);

    await server.publish('tenant_a', { message: '<script>alert(1)</script>' });
    await until(() => lines.length === 3, 'event_created');
    const [name, event] = JSON.parse(lines[2]);
    assert.equal(name, 'event_created');
    assert.equal(event.message, '<script>alert(1)</script>');
    await sleep(50);
    assert.equal(others.length, 2);

    await server.stop();
    await until(() => lines.length === 4, 'system_message');
    assert.equal(JSON.parse(lines[3])[0], 'system_message');
});
