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

for (const path of ['', '/events']) {
    test(`${CLIENTS} clients of ${path || '/'} are dropped at once`, async (t) => {
        const server = await serve(t, ['--auto-tenants', '--threads', '2']);
        const proxy = await new Proxy(server.port).start();
        t.after(() => proxy.stop());
        const clients = await connect(t, proxy.url, path);
        await publishAll(server, 'before', 2);
        await until(() => clients.every((client) => client.last === 2), 'two events each');
        for (let storm = 1; storm <= 2; storm++) {
            proxy.cut();
            await until(() => clients.every((client) => !client.socket.connected), 'all dropped');
            await publishAll(server, `while away ${storm}`, 3);
            proxy.mend();
            await sleep(0);
            await publishAll(server, `while coming back ${storm}`, 2);
            await until(() => clients.every((client) => client.socket.connected), 'all back');
            const last = 2 + 5 * storm;
            await until(() => clients.every((client) => client.last >= last), `event ${last}`);
            for (const client of clients) {
                client.holds(client.tenant, 1, last);
                assert.equal(client.recoveries, storm);
                assert.equal(client.starts, 1);
            }
        }
        clients.forEach((client) => client.close());
    });
}
