// Exactly once and in order across the upgrade from long-polling to WebSocket, while events flow.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serve } from '../browser/support/server.mjs';
import { open, releases, scaled, until } from './support/client.mjs';

const ROUNDS = 50;
const AT_ONCE = 40;

/** Publishes without a pause until it is told to stop; how many there were. */
function publisher(server, tenant) {
    let going = true;
    let count = 0;
    const done = (async () => {
        while (going) {
            await server.publish(tenant, { message: `event ${++count}` });
        }
        return count;
    })();
    return { stop: () => { going = false; return done; } };
}

function isRow(client) {
    const seqs = client.seqs;
    return seqs.every((seq, i) => i === 0 || seq === seqs[i - 1] + 1);
}

for (const threads of [1, 4]) {
    test(`${scaled(ROUNDS) * AT_ONCE} upgrades on ${threads} workers`, async (t) => {
        const server = await serve(t, ['--tenants', 'busy', '--threads', String(threads), '--buffer-size', '20000']);
        let upgrades = 0;
        const publishing = publisher(server, 'busy');
        for (let round = 0; round < scaled(ROUNDS); round++) {
            const clients = Array.from({ length: AT_ONCE }, (_, i) => open(t, server.url + (i % 2 ? '/events' : ''), {
                release: i % 4 < 2 ? releases.newest : releases.oldest,
                auth: { tenant: 'busy' },
            }));
            await Promise.all(clients.map((client) => client.ready()));
            await until(() => clients.every((client) => client.socket.io.engine.transport.name === 'websocket'),
                'all upgraded');
            const marks = clients.map((client) => client.last);
            await until(() => clients.every((client, i) => client.last > marks[i] + 3), 'events after the upgrade');
            for (const client of clients) {
                assert.ok(isRow(client), `not a row: ${client.seqs.join(' ')}`);
                assert.equal(client.starts, 1);
                assert.equal(client.socket.connected, true);
                client.close();
            }
            upgrades += clients.length;
        }
        assert.equal(upgrades, scaled(ROUNDS) * AT_ONCE);
        assert.ok(await publishing.stop() > 0);
    });
}
