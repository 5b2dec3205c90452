// The first of the systems that this one succeeds: its snippets, as its pages have them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { io } from 'socket.io-client';
import { serve } from '../browser/support/server.mjs';
import { sleep, until } from './support/client.mjs';

test('REST and sockets of the real-time event feed', async (t) => {
    process.env.CORS_ORIGIN = 'http://localhost:3000';
    const server = await serve(t);
    t.after(() => delete process.env.CORS_ORIGIN);

    const created = await fetch(`${server.url}/api/events`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'X-Tenant-ID': 'tenant_a' },
        body: JSON.stringify({ message: 'Your event message here' }),
    });
    assert.equal(created.status, 201);
    const listed = await fetch(`${server.url}/api/events?limit=50`, { headers: { 'X-Tenant-ID': 'tenant_a' } });
    assert.equal((await listed.json()).events.length, 1);
    const health = await (await fetch(`${server.url}/api/health`)).json();
    assert.equal(health.status, 'healthy');
    assert.equal(health.eventStats.totalEvents, 1);
    const stats = await fetch(`${server.url}/api/events/stats`, { headers: { 'X-Tenant-ID': 'tenant_a' } });
    assert.equal((await stats.json()).total, 1);

    const socket = io(server.url, {
        query: { tenant: 'tenant_a' },
    });
    const other = io(server.url, {
        query: { tenant: 'tenant_b' },
    });
    t.after(() => [socket, other].forEach((each) => each.disconnect()));
    const heard = { socket: [], other: [] };
    socket.onAny((name, value) => heard.socket.push([name, value]));
    other.onAny((name, value) => heard.other.push([name, value]));
    await until(() => heard.socket.length === 2 && heard.other.length === 2, 'both greeted');
    assert.deepEqual(heard.socket.map(([name]) => name), ['connection_established', 'initial_events']);
    assert.deepEqual(heard.socket[1][1].map((event) => event.message), ['Your event message here']);
    assert.deepEqual(heard.other[1][1], []);

    await server.publish('tenant_a', { message: '<script>alert(1)</script>' });
    await until(() => heard.socket.length === 3, 'event_created');
    assert.equal(heard.socket[2][0], 'event_created');
    assert.equal(heard.socket[2][1].message, '<script>alert(1)</script>');
    await sleep(50);
    assert.equal(heard.other.length, 2);
});
