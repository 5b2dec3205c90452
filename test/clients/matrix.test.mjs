// Every release, transport and namespace: what the interface promises, over the stock client.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { serve, Server } from '../browser/support/server.mjs';
import { open, releases, tenant, transports, until } from './support/client.mjs';

const server = new Server(['--auto-tenants', '--threads', '2']);
before(() => server.start());
after(() => server.stop());

const namespaces = {
    '/': { path: '', array: 'initial_events', options: (id) => ({ query: { tenant: id } }) },
    '/events': { path: '/events', array: 'snapshot', options: (id) => ({ auth: { tenantId: id, token: 'any' } }) },
};

async function commands(client, id) {
    const posted = await client.ask('post_event', { message: 'mine', metadata: { a: [1] }, event_type: 'note' });
    assert.equal(posted.event.message, 'mine');
    assert.equal(posted.event.type, 'note');
    assert.deepEqual(posted.event.metadata, { a: [1] });
    assert.equal(posted.event.tenant_id, id);
    const refused = await client.ask('post_event', { message: '' });
    assert.deepEqual(Object.keys(refused), ['error']);
    assert.equal(refused.error.code, 'validation_error');
    assert.equal(typeof refused.error.message, 'string');
    const tooLong = await client.ask('post_event', { message: 'x'.repeat(2049) });
    assert.equal(tooLong.error.code, 'too_large');
    const unknown = await client.ask('dance', {});
    assert.equal(unknown.error.code, 'bad_request');

    const first = await client.ask('replay', { limit: 2 });
    assert.deepEqual(first.events.map((event) => event.seq), [1, 2]);
    assert.equal(first.has_more, true);
    const rest = await client.ask('replay', { sinceId: first.events[1].id, limit: 1000 });
    assert.deepEqual(rest.events.map((event) => event.seq), [3, 4]);
    assert.equal(rest.has_more, false);
    const bad = await client.ask('replay', { sinceId: 'nobody' });
    assert.equal(bad.error.code, 'bad_request');

    client.socket.emit('replay', { since: 3 });
    await until(() => client.named('replay_result').length === 1, 'replay_result');
    assert.deepEqual(client.named('replay_result')[0][0].events.map((event) => event.seq), [4]);
    client.socket.emit('post_event', { message: 7 });
    await until(() => client.named('error').length === 1, 'error');
    assert.equal(client.named('error')[0][0].code, 'validation_error');
}

for (const [release, io] of Object.entries(releases)) {
    for (const [transport, names] of Object.entries(transports)) {
        for (const [name, namespace] of Object.entries(namespaces)) {
            test(`${release}, ${transport}, ${name}`, async (t) => {
                const id = tenant();
                await server.publishMany(id, 'before', 2);
                const client = open(t, server.url + namespace.path,
                    { release: io, transports: names, ...namespace.options(id) });
                await client.ready();
                if (name === '/') {
                    assert.equal(client.heard[0][0], 'connection_established');
                    assert.equal(client.heard[0][1].tenant_id, id);
                    assert.equal(client.heard[0][1].session_id, client.socket.id);
                    assert.equal(client.heard[0][1].seq, 2);
                }
                assert.equal(client.named(namespace.array).length, 1);
                await server.publish(id, { message: 'over REST' });
                await client.reaches(3);
                await commands(client, id);
                await client.reaches(4);
                client.holds(id, 1, 4);
                const wanted = transport === 'polling' ? 'polling' : 'websocket';
                await until(() => client.socket.io.engine.transport.name === wanted, `transport ${wanted}`);
                await server.publish(id, { message: 'last' });
                await client.reaches(5);
                client.holds(id, 1, 5);
                client.socket.disconnect();
                await until(() => client.socket.io.engine.readyState === 'closed', 'closed');
                await server.publish(id, { message: 'while away' });
                client.socket.connect();
                if (release === 'oldest') { // which knows no recovery, and begins anew
                    client.events = [];
                    client.starts = 0;
                    await client.ready();
                }
                await client.reaches(6);
                client.holds(id, 1, 6);
            });
        }
    }
}

test('both namespaces share a connection', async (t) => {
    const id = tenant();
    const root = open(t, server.url, { query: { tenant: id }, forceNew: false, multiplex: true });
    await root.ready();
    const named = root.socket.io.socket('/events', { auth: { tenantId: id } });
    t.after(() => named.disconnect());
    const seen = [];
    let snapshot = null;
    named.on('snapshot', (events) => { snapshot = events; });
    named.on('event_created', (event) => seen.push(event.seq));
    named.connect();
    await until(() => snapshot !== null, 'snapshot');
    assert.deepEqual(snapshot, []);
    await server.publishMany(id, 'both', 3);
    await until(() => seen.length === 3 && root.last === 3, 'three events in each');
    assert.deepEqual(seen, [1, 2, 3]);
    root.holds(id, 1, 3);
    named.disconnect();
    await server.publish(id, { message: 'one hears it' });
    await root.reaches(4);
    assert.deepEqual(seen, [1, 2, 3]);
});

test('a connection is one tenant\'s', async (t) => {
    const [a, b] = [tenant('a'), tenant('b')];
    const root = open(t, server.url, { query: { tenant: a } });
    await root.ready();
    const named = root.socket.io.socket('/events', { auth: { tenantId: b } });
    t.after(() => named.disconnect());
    let refusal = null;
    named.on('connect_error', (error) => { refusal = error; });
    named.connect();
    await until(() => refusal, 'connect_error');
    assert.equal(refusal.data.code, 'forbidden');
    await server.publish(b, { message: 'not for a' });
    await server.publish(a, { message: 'for a' });
    await root.reaches(1);
    root.holds(a, 1, 1);
});

test('tenants hear nothing of each other, whatever their transports', async (t) => {
    const ids = [tenant('x'), tenant('y')];
    const clients = [];
    for (const id of ids) {
        for (const names of Object.values(transports)) {
            for (const namespace of Object.values(namespaces)) {
                const options = { transports: names, ...namespace.options(id) };
                clients.push([id, open(t, server.url + namespace.path, options)]);
            }
        }
    }
    await Promise.all(clients.map(([, client]) => client.ready()));
    await Promise.all(ids.map((id) => server.publishMany(id, id, 50)));
    for (const [id, client] of clients) {
        await client.reaches(50);
        client.holds(id, 1, 50);
        assert.ok(client.events.every((event) => event.message.startsWith(id)));
    }
});

for (const [how, options] of Object.entries({
    'query': (id) => ({ query: { tenant: id } }),
    'auth.tenant': (id) => ({ auth: { tenant: id } }),
    'auth.tenantId': (id) => ({ auth: { tenantId: id } }),
    'a header': (id) => ({ extraHeaders: { 'X-Tenant-ID': id } }),
})) {
    test(`a tenant is named by ${how}`, async (t) => {
        const id = tenant();
        const client = open(t, server.url, options(id));
        await client.ready();
        await server.publish(id, { message: 'x' });
        await client.reaches(1);
        client.holds(id, 1, 1);
    });
}

test('sinceId: what comes just after, and then the rest', async (t) => {
    const id = tenant();
    const events = await server.publishMany(id, 'm', 30);
    const client = open(t, `${server.url}/events`, { auth: { tenantId: id, sinceId: events[9].id } });
    await client.ready();
    await server.publish(id, { message: 'live' });
    await client.reaches(31);
    client.holds(id, 11, 31);
});

for (const [transport, names] of Object.entries(transports)) {
    test(`sinceId over ${transport}: a thousand in the snapshot, what is more follows`, async (t) => {
        const big = await serve(t, ['--tenants', 'much', '--buffer-size', '5000', '--threads', '2']);
        const [first] = await big.publishMany('much', 'm', 2500);
        const auth = { tenantId: 'much', sinceId: first.id };
        const client = open(t, `${big.url}/events`, { transports: names, auth });
        await Promise.all([client.ready(), big.publishMany('much', 'meanwhile', 100)]);
        await client.reaches(2600);
        client.holds('much', 2, 2600);
        assert.equal(client.fresh.length, 1000);
        assert.equal(client.starts, 1);
        assert.deepEqual(client.named('gap'), []);
    });
}
