// The last of the systems that this one succeeds: its snippets, as its pages have them, and its environment.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { io } from 'socket.io-client';
import { until } from './support/client.mjs';
import { program, serveSeed, shell } from './support/seed.mjs';

const environment = {
    NB_BACKEND_SIO_NAMESPACE: '/events',
    NB_BACKEND_EVENTS_BUFFER_SIZE: '500',
    NB_BACKEND_SIO_PING_INTERVAL: '25000',
    NB_BACKEND_SIO_PING_TIMEOUT: '20000',
};

const tenants = ['--tenants', 'company_a,company_b'];
const head = { 'X-TENANT-ID': 'company_a', 'X-User-Token': 'token_admin_a' };

const create = `
# Create an event
curl -X POST http://localhost:3000/api/events \\
  -H "Content-Type: application/json" \\
  -H "X-TENANT-ID: company_a" \\
  -H "X-User-Token: token_admin_a" \\
  -d '{"message": "User logged in"}'
`;

const recent = `
# Get recent events
curl -X GET http://localhost:3000/api/events?limit=10 \\
  -H "X-TENANT-ID: company_a" \\
  -H "X-User-Token: token_admin_a"
`;

const since = `
# Get events since specific ID
curl -X GET "http://localhost:3000/api/events?sinceId=123&limit=50" \\
  -H "X-TENANT-ID: company_a" \\
  -H "X-User-Token: token_admin_a"
`;

const client = `
import { io } from 'socket.io-client';

const socket = io('http://localhost:3000/events', {
  auth: {
    tenantId: 'company_a',
    token: 'token_admin_a'
  }
});

// Listen for real-time events
socket.on('event_created', (event) => {
  console.log('New event:', event.message);
});

// Get initial snapshot
socket.on('snapshot', (events) => {
  console.log('Initial events:', events.length);
});

// Request replay
socket.emit('replay', { sinceId: 'some-event-id', limit: 10 }, (response) => {
  console.log('Historical events:', response.events);
});

// Create event via WebSocket
socket.emit('post_event', { message: 'Hello World' }, (response) => {
  if (response.event) {
    console.log('Event created:', response.event.id);
  }
});
`;

test('REST of the multi-tenant event feed', async (t) => {
    const server = await serveSeed(t, environment, tenants);
    const event = await shell(server, create);
    assert.equal(event.message, 'User logged in');
    assert.equal(event.tenant_id, 'company_a');
    assert.deepEqual((await shell(server, recent)).events.map((each) => each.id), [event.id]);
    assert.equal((await shell(server, since)).status, 400); // nobody's id
    await server.publish('company_a', { message: 'next' });
    const after = await shell(server, since.replace('123', event.id));
    assert.deepEqual(after.events.map((each) => each.message), ['next']);
});

test('REST errors of the multi-tenant event feed', async (t) => {
    const server = await serveSeed(t, environment, tenants);
    const post = (body, headers = head) => fetch(`${server.url}/api/events`,
        { method: 'POST', headers: { ...headers, 'Content-Type': 'application/json' }, body });
    assert.equal((await post('{"message":')).status, 400);
    assert.equal((await post('{"message":"x"}', { 'X-TENANT-ID': 'company_z' })).status, 401);
    assert.equal((await post(JSON.stringify({ message: 'x'.repeat(2049) }))).status, 413);
    assert.equal((await post('{"message":""}')).status, 422);
});

test('sockets of the multi-tenant event feed', async (t) => {
    const server = await serveSeed(t, environment, tenants);
    await server.publish('company_a', { message: 'before' });
    await server.publish('company_b', { message: 'of another company' });
    const lines = program(t, server, client);
    await until(() => lines.length === 4, 'four lines');
    /* The event may come before its acknowledgement, or after it; all else has its place. */
    assert.deepEqual(lines.slice(0, 2), ['Initial events: 1', 'Historical events: undefined']); // nobody's id
    assert.ok(lines.slice(2).includes('New event: Hello World'));
    assert.ok(lines.slice(2).some((line) => /^Event created: [0-9a-f-]{36}$/.test(line)));
    await server.publish('company_b', { message: 'of another company' });
    await server.publish('company_a', { message: 'live' });
    await until(() => lines.length === 5, 'a fifth line');
    assert.equal(lines[4], 'New event: live');
});

test('a replay from an event that there is', async (t) => {
    const server = await serveSeed(t, environment, tenants);
    const [first] = await server.publishMany('company_a', 'm', 3);
    const lines = program(t, server, client.replace('some-event-id', first.id)
        .replace('response.events)', 'response.events.map((event) => event.message).join())'));
    await until(() => lines.length === 4, 'four lines');
    assert.deepEqual(lines.slice(0, 2), ['Initial events: 3', 'Historical events: m 2,m 3']);
});

test('a namespace of another name, and periods of one\'s own', async (t) => {
    const server = await serveSeed(t, {
        NB_BACKEND_SIO_NAMESPACE: '/feed',
        NB_BACKEND_EVENTS_BUFFER_SIZE: '5',
        NB_BACKEND_SIO_PING_INTERVAL: '100',
        NB_BACKEND_SIO_PING_TIMEOUT: '5000',
    }, tenants);
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
