// A server that is killed and started again under the page, with its log on the disk: nothing is missed, nothing twice.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { relay } from './support/proxy.mjs';
import { serve } from './support/server.mjs';
import { launch, openWindow, range } from './support/window.mjs';

let browser;

before(async () => {
    browser = await launch();
});

after(() => browser?.close());

async function durable(t) {
    const folder = await mkdtemp(join(tmpdir(), 'carillon-resume-'));
    const server = await serve(t, [], `sqlite:${join(folder, 'events.db')}`);
    t.after(() => rm(folder, { recursive: true, force: true }));
    return server;
}

const TRANSPORTS = ['websocket', 'sse', 'socketio'];

/** Where each of the page's connections began, as it asked for it; filled in as it comes to connect. */
function cursorsOf(page) {
    const asked = [];
    const note = (address) => {
        const { pathname, searchParams } = new URL(address);
        if (/\/ws$|\/events\/stream$/.test(pathname)) {
            asked.push(Object.fromEntries(searchParams));
        }
    };
    page.on('websocket', (socket) => note(socket.url()));
    page.on('request', (request) => {
        note(request.url());
        const packet = /\/socket\.io\//.test(request.url()) ? request.postData() ?? '' : '';
        if (packet.startsWith('40{')) {
            asked.push(JSON.parse(packet.slice(2)));
        }
    });
    return asked;
}

/** Opens the page on tenant_a over that transport; `asked` is where its connections began. */
async function open(t, url, transport) {
    let asked;
    const window = await openWindow(t, browser, `${url}/?tenant=tenant_a`, {}, async (page) => {
        await page.addInitScript((chosen) => localStorage.setItem('carillon.transport', chosen), transport);
        asked = cursorsOf(page);
    });
    await window.state('live');
    assert.equal(await window.page.inputValue('#transport'), transport);
    return { window, asked };
}

for (const transport of TRANSPORTS) {
    test(`over ${transport}`, async (t) => {
        const server = await durable(t);
        const { window, asked } = await open(t, server.url, transport);
        await server.publishMany('tenant_a', 'before', 20);
        await window.reaches(20);

        for (const round of [1, 2]) {
            await server.kill();
            await window.state('retrying');
            await server.start();
            await server.publishMany('tenant_a', `round ${round}`, 30);
            await window.retry();
            await window.state('live');
            await window.reaches(20 + 30 * round);
        }
        await window.post('by the page');
        await window.reaches(81);
        assert.deepEqual(await window.rows(), range(1, 81).reverse());
        assert.ok(asked.length >= 3);
        assert.equal(Number(asked[0].snapshot), 50);
        assert.ok(asked.slice(1).every((cursor) => cursor.epoch && Number(cursor.since) >= 20));
    });

    test(`what the server has forgotten is spoken of over ${transport}`, async (t) => {
        const server = await serve(t, ['--buffer-size', '20']);
        const proxy = await relay(t, server);
        const { window } = await open(t, proxy.url, transport);
        await server.publishMany('tenant_a', 'before', 3);
        await window.reaches(3);

        proxy.cut();
        await window.state('retrying');
        await server.publishMany('tenant_a', 'during', 100);
        proxy.mend();
        await window.retry();
        await window.state('live');
        await window.reaches(103);

        const seqs = await window.seqs();
        const first = seqs.at(-4);
        assert.ok(first > 4, `${first} was kept although there is room for 20`);
        assert.deepEqual(seqs, [...range(first, 103).reverse(), 3, 2, 1]);
        const notices = await window.notices();
        assert.equal(notices.length, 1);
        assert.match(notices[0], new RegExp(`#4 to #${first - 1} `));
    });
}

test('the transport is changed under way, and nothing is missed', async (t) => {
    const server = await durable(t);
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`);
    await window.state('live');
    for (const [round, transport] of ['sse', 'socketio', 'websocket', 'socketio', 'sse'].entries()) {
        await server.publishMany('tenant_a', `round ${round}`, 5);
        await window.page.selectOption('#transport', transport);
        await server.publishMany('tenant_a', `more of round ${round}`, 5);
        await window.reaches(10 * (round + 1));
        await window.state('live');
    }
    assert.deepEqual(await window.rows(), range(1, 50).reverse());
    assert.deepEqual(window.problems, []);
});

test('the Socket.IO client is fetched when it is chosen, and again where it could not be', async (t) => {
    const server = await serve(t);
    let asked = 0;
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`, {}, async (page) => {
        page.on('request', (request) => { asked += /vendor/.test(request.url()) ? 1 : 0; });
        await page.route('**/js/vendor/*.js', (route) => route.abort(), { times: 1 });
    });
    const { page } = window;
    await window.state('live');
    assert.equal(asked, 0);
    await page.selectOption('#transport', 'socketio');
    await window.state('retrying');
    await window.state('live');
    await server.publish('tenant_a', { message: 'over Socket.IO' });
    await window.sees('over Socket.IO');
    assert.ok(asked > 1);
    const licence = await fetch(`${server.url}/js/vendor/socket.io-client.LICENSE.txt`);
    assert.match(await licence.text(), /MIT License/);

    const without = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`, {}, (other) =>
        other.route('**/js/vendor/*', (route) => route.fulfill({ status: 404 })));
    await without.state('live');
    await without.page.selectOption('#transport', 'socketio');
    await without.state('offline');
    assert.match(await without.text('#state-detail'), /built without/);
    await without.page.selectOption('#transport', 'sse');
    await without.page.click('#connect');
    await without.state('live');
});

test('who polls, for want of WebSockets, gets each event once', async (t) => {
    const server = await durable(t);
    const proxy = await relay(t, server);
    const window = await openWindow(t, browser, `${proxy.url}/?tenant=tenant_a`, {}, async (page) => {
        await page.addInitScript(() => localStorage.setItem('carillon.transport', 'socketio'));
        await page.routeWebSocket(/\/socket\.io\//, (route) => route.close());
    });
    await window.state('live');
    await server.publishMany('tenant_a', 'before', 10);
    await window.reaches(10);
    proxy.cut();
    await window.state('retrying');
    await server.publishMany('tenant_a', 'during', 1200);
    proxy.mend();
    await window.retry();
    await window.reaches(1210);
    await window.state('live');
    assert.deepEqual(await window.rows(), range(1, 1210).reverse());
});
