// Connection state recovery, as the stock client asks for it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server, serve } from '../browser/support/server.mjs';
import { open, tenant, transports, until } from './support/client.mjs';

const server = new Server(['--auto-tenants', '--threads', '3']);
before(() => server.start());
after(() => server.stop());

/** Cuts the client off, lets `meanwhile` happen, and has it come back. */
async function away(client, meanwhile) {
    client.socket.io.reconnection(false);
    client.socket.io.engine.close();
    await until(() => !client.socket.connected, 'disconnected');
    await meanwhile();
    client.socket.connect();
    await until(() => client.socket.connected, 'connected again');
}

for (const path of ['', '/events']) {
    for (const [transport, names] of Object.entries(transports)) {
        test(`${path || '/'} over ${transport}: all that was missed, and nothing twice`, async (t) => {
            const id = tenant();
            const client = open(t, server.url + path, { transports: names, auth: { tenantId: id } });
            await client.ready();
            const name = client.socket.id;
            for (let round = 0; round < 5; round++) {
                await away(client, () => server.publishMany(id, `away ${round}`, 7));
                assert.equal(client.socket.recovered, true);
                assert.equal(client.socket.id, name);
                await server.publishMany(id, `here ${round}`, 3);
                await client.reaches(10 * (round + 1));
            }
            client.holds(id, 1, 50);
            assert.equal(client.starts, 1);
        });
    }
}

test('of another tenant, a pid is none', async (t) => {
    const [a, b] = [tenant('a'), tenant('b')];
    const client = open(t, `${server.url}/events`, { auth: { tenantId: a } });
    await client.ready();
    await server.publishMany(a, 'of a', 3);
    await client.reaches(3);
    const name = client.socket.id;
    await away(client, async () => {
        await server.publishMany(a, 'of a', 3);
        await server.publishMany(b, 'of b', 6); // beyond its offset, which by itself would be as good there
        client.socket.auth = { tenantId: b };
        client.events = [];
    });
    assert.equal(client.socket.recovered, false);
    assert.notEqual(client.socket.id, name);
    await until(() => client.starts === 2, 'a fresh start');
    client.holds(b, 1, 6);
});

test('of another namespace, a pid is none', async (t) => {
    const id = tenant();
    const root = open(t, server.url, { auth: { tenant: id } });
    const named = open(t, `${server.url}/events`, { auth: { tenantId: id } });
    await Promise.all([root.ready(), named.ready()]);
    await server.publishMany(id, 'm', 3);
    await Promise.all([root.reaches(3), named.reaches(3)]);
    await away(named, async () => {
        await server.publish(id, { message: 'missed' });
        named.socket._pid = root.socket._pid; // what the stock client keeps it as
        named.events = [];
    });
    assert.equal(named.socket.recovered, false);
    assert.notEqual(named.socket.id, root.socket.id);
    await until(() => named.starts === 2, 'a fresh start');
    named.holds(id, 1, 4);
});

test('what is not there any more is not recovered in part', async (t) => {
    const small = await serve(t, ['--auto-tenants', '--buffer-size', '20']);
    const client = open(t, small.url, { query: { tenant: 'forgetful' } });
    await client.ready();
    await away(client, () => small.publishMany('forgetful', 'm', 20));
    assert.equal(client.socket.recovered, true);
    await client.reaches(20);
    await away(client, () => small.publishMany('forgetful', 'm', 21));
    assert.equal(client.socket.recovered, false);
    await until(() => client.starts === 2, 'a fresh start');
    assert.deepEqual(client.fresh.map((event) => event.seq), Array.from({ length: 20 }, (_, i) => 22 + i));
});

test('another log recovers nothing', async (t) => {
    const other = await serve(t, ['--auto-tenants']);
    const client = open(t, other.url, { query: { tenant: 'kept' } });
    await client.ready();
    await other.publishMany('kept', 'first life', 3);
    await client.reaches(3);
    await away(client, async () => {
        await other.kill();
        await other.start();
        await other.publishMany('kept', 'second life', 4);
    });
    assert.equal(client.socket.recovered, false);
    await until(() => client.starts === 2, 'a fresh start');
    assert.ok(client.fresh.every((event) => event.message.startsWith('second life')));
    assert.equal(client.fresh.length, 4);
});
