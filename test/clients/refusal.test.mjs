// Handshakes that are refused, and a server that goes away.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { serve } from '../browser/support/server.mjs';
import { open, releases, sleep, transports, until, WAIT } from './support/client.mjs';

async function refusal(client) {
    const [error] = await once(client.socket, 'connect_error', { signal: AbortSignal.timeout(WAIT) });
    return error;
}

for (const [release, io] of Object.entries(releases)) {
    test(`${release}: connect_error says why`, async (t) => {
        const server = await serve(t, ['--tenants', 'company_a']);
        for (const names of Object.values(transports)) {
            const options = { release: io, transports: names };
            const unknown = await refusal(open(t, server.url, { ...options, query: { tenant: 'nobody' } }));
            assert.equal(unknown.data.code, 'unauthorized');
            assert.equal(typeof unknown.message, 'string');
            const none = await refusal(open(t, `${server.url}/events`, options));
            assert.equal(none.data.code, 'unauthorized');
            const two = await refusal(open(t, `${server.url}/events`,
                { ...options, query: { tenant: 'company_a' }, auth: { tenantId: 'company_b' } }));
            assert.ok(['unauthorized', 'forbidden'].includes(two.data.code));
            const space = await refusal(open(t, `${server.url}/elsewhere`,
                { ...options, query: { tenant: 'company_a' } }));
            assert.equal(space.message, 'Invalid namespace');
            const cursor = await refusal(open(t, `${server.url}/events`,
                { ...options, auth: { tenantId: 'company_a', sinceId: 'no-such-event' } }));
            assert.equal(cursor.data.code, 'bad_request');
        }
    });

    test(`${release}: a server that goes away says so, and is come back to`, async (t) => {
        const server = await serve(t, ['--tenants', 'company_a', '--drain-timeout', '5s']);
        const clients = Object.values(transports).map((names) => open(t, `${server.url}/events`,
            { release: io, transports: names, auth: { tenantId: 'company_a' } }));
        await Promise.all(clients.map((client) => client.ready()));
        await sleep(200); // until the next poll waits: between two polls there is nobody to be told
        const reasons = clients.map((client) => once(client.socket, 'disconnect',
            { signal: AbortSignal.timeout(3 * WAIT) }));
        await server.stop();
        for (const [i, client] of clients.entries()) {
            const [reason] = await reasons[i];
            /* A poller may find nobody listening any more; either way it is not told to stay away. */
            assert.ok(['transport close', 'transport error'].includes(reason), reason);
            assert.equal(client.named('system_message').length, 1, Object.keys(transports)[i]);
            assert.equal(typeof client.named('system_message')[0][0].message, 'string');
        }
        await server.start();
        for (const client of clients) {
            await until(() => client.socket.connected, 'connected again');
        }
    });
}
