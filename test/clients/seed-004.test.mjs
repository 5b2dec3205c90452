// The last of the systems that this one succeeds: its snippets, as its pages have them, and its environment.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { io } from 'socket.io-client';
import { serve } from '../browser/support/server.mjs';
import { until } from './support/client.mjs';

const environment = {
    NB_BACKEND_SIO_NAMESPACE: '/events',
    NB_BACKEND_EVENTS_BUFFER_SIZE: '500',
    NB_BACKEND_SIO_PING_INTERVAL: '25000',
    NB_BACKEND_SIO_PING_TIMEOUT: '20000',
};

async function start(t, more = {}) {
    const all = { ...environment, ...more };
    Object.assign(process.env, all);
    t.after(() => Object.keys(all).forEach((name) => delete process.env[name]));
    return serve(t, ['--tenants', 'company_a,company_b']);
}

const head = { 'X-TENANT-ID': 'company_a', 'X-User-Token': 'token_admin_a', 'Content-Type': 'application/json' };

test('REST of the multi-tenant event feed', async (t) => {
    const server = await start(t);
    const created = await fetch(`${server.url}/api/events`,
        { method: 'POST', headers: head, body: '{"message": "User logged in"}' });
    assert.equal(created.status, 201);
    const event = await created.json();
    const recent = await (await fetch(`${server.url}/api/events?limit=10`, { headers: head })).json();
    assert.deepEqual(recent.events.map((each) => each.id), [event.id]);
    await server.publish('company_a', { message: 'next' });
    const after = await fetch(`${server.url}/api/events?sinceId=${event.id}&limit=50`, { headers: head });
    const since = await after.json();
    assert.deepEqual(since.events.map((each) => each.message), ['next']);
});

test('sockets of the multi-tenant event feed', async (t) => {
    const server = await start(t);
    const before = await server.publish('company_a', { message: 'before' });
    const told = [];

    const socket = io(`${server.url}/events`, {
        auth: {
            tenantId: 'company_a',
            token: 'token_admin_a',
        },
    });
    t.after(() => socket.disconnect());

    // Listen for real-time events
    socket.on('event_created', (event) => {
        told.push(`New event: ${event.message}`);
    });

    // Get initial snapshot
    socket.on('snapshot', (events) => {
        told.push(`Initial events: ${events.length}`);
    });

    await until(() => told.length === 1, 'snapshot');

    // Request replay
    socket.emit('replay', { sinceId: before.id, limit: 10 }, (response) => {
        told.push(`Historical events: ${response.events.length}`);
    });
    await until(() => told.length === 2, 'replay');

    // Create event via WebSocket
    socket.emit('post_event', { message: 'Hello World' }, (response) => {
        if (response.event) {
            told.push(`Event created: ${response.event.id}`);
        }
    });
    await until(() => told.length === 4, 'post_event');
    assert.deepEqual(told.slice(0, 2), ['Initial events: 1', 'Historical events: 0']);
    assert.ok(told.includes('New event: Hello World'));
    assert.ok(told.some((line) => /^Event created: [0-9a-f-]{36}$/.test(line)));
});

test('a namespace of another name, and periods of one\'s own', async (t) => {
    const server = await start(t, {
        NB_BACKEND_SIO_NAMESPACE: '/feed',
        NB_BACKEND_EVENTS_BUFFER_SIZE: '5',
        NB_BACKEND_SIO_PING_INTERVAL: '100',
        NB_BACKEND_SIO_PING_TIMEOUT: '5000',
    });
    await server.publishMany('company_a', 'm', 9);
    const socket = io(`${server.url}/feed`, { auth: { tenantId: 'company_a', token: 'token_admin_a' } });
    t.after(() => socket.disconnect());
    let snapshot = null;
    let pings = 0;
    socket.on('snapshot', (events) => { snapshot = events; });
    socket.io.on('ping', () => pings++);
    await until(() => snapshot !== null && pings >= 3, 'snapshot and pings');
    assert.deepEqual(snapshot.map((event) => event.seq), [5, 6, 7, 8, 9]);
    const elsewhere = io(`${server.url}/events`, { forceNew: true, auth: { tenantId: 'company_a' } });
    t.after(() => elsewhere.disconnect());
    let refusal = null;
    elsewhere.on('connect_error', (error) => { refusal = error; });
    await until(() => refusal !== null, 'connect_error');
    assert.equal(refusal.message, 'Invalid namespace');
});
