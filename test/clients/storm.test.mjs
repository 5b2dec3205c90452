// A reconnect storm: thousands of clients lose their line at once, and come back recovered.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Proxy } from '../browser/support/proxy.mjs';
import { serve } from '../browser/support/server.mjs';
import { open, sanitized, sleep, until } from './support/client.mjs';

const CLIENTS = sanitized ? 300 : 5000;
const TENANTS = 20;
const CONNECTING = 250;

async function connect(t, url, path) {
    const clients = [];
    while (clients.length < CLIENTS) {
        const some = Array.from({ length: Math.min(CONNECTING, CLIENTS - clients.length) }, (_, i) => {
            const tenant = `t${(clients.length + i) % TENANTS}`;
            const client = open(t, url + path, {
                transports: ['websocket'], auth: { tenant },
                reconnectionDelay: 500, reconnectionDelayMax: 2000, timeout: 5000,
            });
            client.tenant = tenant;
            return client;
        });
        await Promise.all(some.map((client) => client.ready()));
        clients.push(...some);
    }
    return clients;
}

function publishAll(server, word, count) {
    return Promise.all(Array.from({ length: TENANTS }, (_, i) => server.publishMany(`t${i}`, word, count)));
}

/** Ways to lose thousands of connections at once; each returns how they are let back. */
const drops = {
    'their network goes': async (t, server) => {
        const proxy = await new Proxy(server.port).start();
        t.after(() => proxy.stop());
        return { url: proxy.url, drop: () => proxy.cut(), mend: () => proxy.mend() };
    },
    'they hang up': async (t, server) => ({
        url: server.url,
        drop: (clients) => clients.forEach((client) => client.socket.io.engine.close()),
        mend: () => {},
    }),
};

async function storm(t, path, how) {
    const server = await serve(t, ['--auto-tenants', '--threads', '2']);
    const line = await drops[how](t, server);
    const clients = await connect(t, line.url, path);
    const lost = clients.map(() => 0);
    clients.forEach((client, i) => client.socket.on('disconnect', () => lost[i]++));
    await publishAll(server, 'before', 2);
    await until(() => clients.every((client) => client.last === 2), 'two events each');
    for (let round = 1; round <= 2; round++) {
        line.drop(clients);
        await until(() => lost.every((count) => count === round), 'all dropped');
        await publishAll(server, `while away ${round}`, 3);
        line.mend();
        await sleep(0);
        await publishAll(server, `while coming back ${round}`, 2);
        await until(() => clients.every((client) => client.socket.connected), 'all back');
        const last = 2 + 5 * round;
        await until(() => clients.every((client) => client.last >= last), `event ${last}`);
        for (const client of clients) {
            client.holds(client.tenant, 1, last);
            assert.equal(client.recoveries, round);
            assert.equal(client.starts, 1);
        }
        assert.ok(lost.every((count) => count === round), 'nobody was dropped twice');
    }
    clients.forEach((client) => client.close());
}

const storms = [['', 'their network goes'], ['/events', 'their network goes'], ['/events', 'they hang up']];
for (const [path, how] of storms) {
    test(`${CLIENTS} clients of ${path || '/'}: ${how}`, (t) => storm(t, path, how));
}
