// The page against a scripted WebSocket: what a well-behaved server does not send, and what it sends only in hours.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Server, serve } from './support/server.mjs';
import { launch, openWindow } from './support/window.mjs';

let browser;

before(async () => {
    browser = await launch();
});

after(() => browser?.close());

function event(seq) {
    return {
        id: `id-${seq}`, tenant_id: 'tenant_a', seq, type: 'message', message: `message ${seq}`,
        timestamp: '2026-11-20T20:36:00.123Z',
    };
}

/** Opens a window whose sockets end here; `sockets` lists them, each with the parameters it asked with. */
async function scripted(t, greeting, prepare = async () => {}) {
    const server = await serve(t);
    const sockets = [];
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`, {}, async (page) => {
        await prepare(page);
        await page.routeWebSocket(/\/ws\?/, (route) => {
            const socket = {
                asked: Object.fromEntries(new URL(route.url()).searchParams),
                heard: [],
                say: (frame) => route.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
                tell: (...seqs) => seqs.forEach((seq) => socket.say({ type: 'event_created', event: event(seq) })),
                close: (code, reason) => route.close({ code, reason }),
            };
            route.onMessage((frame) => socket.heard.push(JSON.parse(frame)));
            sockets.push(socket);
            greeting(socket, sockets.length);
        });
    });
    return { window, sockets };
}

function hello(socket, seq, epoch = 'one') {
    socket.say({ type: 'connection_established', tenant_id: 'tenant_a', session_id: 's', seq, epoch });
}

for (const [what, say] of Object.entries({
    'an event': (socket) => socket.say({ type: 'event_created', event: { ...event(2), tenant_id: 'tenant_b' } }),
    'a snapshot': (socket) =>
        socket.say({ type: 'snapshot', events: [event(1), { ...event(2), tenant_id: 'tenant_b' }], seq: 2 }),
    'a greeting': (socket) =>
        socket.say({ type: 'connection_established', tenant_id: 'tenant_b', session_id: 's', seq: 1, epoch: 'one' }),
})) {
    test(`${what} of another tenant is not shown, and nothing more is taken from there`, async (t) => {
        const { window, sockets } = await scripted(t, (socket) => {
            if (what === 'an event') {
                hello(socket, 1);
                socket.say({ type: 'snapshot', events: [event(1)], seq: 1 });
            } else if (what === 'a snapshot') {
                hello(socket, 2);
            }
            say(socket);
            socket.tell(3);
        });
        await window.state('offline');
        assert.match(await window.text('#state-detail'), /not tenant_a’s, but tenant_b’s/);
        if (what === 'an event') {
            await window.sees('message 1');
        }
        assert.deepEqual(await window.messages(), what === 'an event' ? ['message 1'] : []);
        await window.page.waitForTimeout(1500); // for one that would come back by itself
        assert.equal(sockets.length, 1);
    });
}

for (const transport of ['websocket', 'sse', 'socketio']) {
    test(`a server that misdelivers is left for good over ${transport}`, async (t) => {
        const mutant = new Server(['--threads', '1']);
        mutant.binary = join(process.env.CARILLON_MUTANTS, 'misdeliver-without-boundary');
        t.after(() => mutant.stop());
        await mutant.start();
        const windows = [];
        for (const tenant of ['tenant_a', 'tenant_b', 'tenant_a', 'tenant_b']) { // every fourth is fed another's
            const window = await openWindow(t, browser, `${mutant.url}/?tenant=${tenant}`, {}, (page) =>
                page.addInitScript((chosen) => localStorage.setItem('carillon.transport', chosen), transport));
            await window.state('live');
            windows.push(window);
        }
        const [own, other, , fed] = windows;
        await mutant.publish('tenant_a', { message: 'of a', type: 'secret' });
        await own.sees('of a');
        await fed.state('offline');
        const told = fed.page.getByRole('alert').filter({ hasText: 'not tenant_b’s, but tenant_a’s' });
        await told.waitFor();
        await fed.page.evaluate(() => window.dispatchEvent(new Event('online')));
        await mutant.publish('tenant_b', { message: 'of b' });
        await other.sees('of b');
        assert.deepEqual(await fed.rows(), []);
        assert.equal(await fed.page.getAttribute('#state', 'data-state'), 'offline');
        assert.ok(await told.isVisible());
        assert.deepEqual(await other.messages(), ['of b']);
        assert.equal(await fed.page.locator('.chip[data-type="secret"]').count(), 0);

        await fed.page.click('#connect'); // who wants to try again may
        await fed.sees('of b');
        assert.equal(await fed.text('#state-detail'), '');
    });
}

test('what is older and another tenant’s is not shown either', async (t) => {
    const server = await serve(t);
    await server.publishMany('tenant_a', 'event', 60);
    const stranger = { ...event(3), tenant_id: 'tenant_b', message: 'of b' };
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`, {}, (page) =>
        page.route('**/api/v1/events?*', (route) =>
            route.fulfill({ json: { events: [event(10), stranger], has_more: true, next: '3' } })));
    await window.reaches(60);
    await window.page.locator('#viewport').evaluate((viewport) => { viewport.scrollTop = viewport.scrollHeight; });
    await window.page.locator('#older', { hasText: 'not tenant_a’s, but tenant_b’s' }).waitFor();
    assert.equal((await window.seqs()).length, 50);
    await window.page.unroute('**/api/v1/events?*');
    await window.page.click('#older-retry');
    await window.page.waitForFunction(async () => (await import('/js/main.js')).panel.store.length === 60);
});

test('another tenant’s counts are not shown, and what became another’s is not told as published', async (t) => {
    const server = await serve(t);
    await server.publish('tenant_b', { message: 'of b', type: 'secret' });
    const asTenantB = (route) =>
        route.continue({ headers: { ...route.request().headers(), 'x-tenant-id': 'tenant_b' } });
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`, {}, async (page) => {
        await page.route('**/api/v1/events/stats', asTenantB);
        await page.route('**/api/v1/events', asTenantB);
    });
    const { page } = window;
    await page.locator('#stat-problem', { hasText: 'not tenant_a’s, but tenant_b’s' }).waitFor();
    assert.equal(await window.text('#stat-total'), '0');
    assert.equal(await page.locator('.chip').count(), 0);
    await window.post('to a');
    await page.locator('#compose-error', { hasText: 'not tenant_a’s, but tenant_b’s' }).waitFor();
    assert.equal(await page.locator('#toasts .toast').count(), 0);
});

test('no event is shown twice, and no hole is passed over', async (t) => {
    const { window, sockets } = await scripted(t, (socket) => {
        hello(socket, 3);
        socket.say({ type: 'snapshot', events: [1, 2, 3].map(event), seq: 3 });
    });
    await window.state('live');
    sockets[0].tell(3, 2, 4, 4, 7);
    sockets[0].say({ type: 'gap', from: 8, to: 9 });
    sockets[0].say({ type: 'a_type_of_tomorrow' });
    sockets[0].say({ type: 'system_message', message: 'Tea is ready.' });
    sockets[0].tell(9, 10);
    await window.reaches(10);

    const rows = await window.rows();
    assert.deepEqual(rows.map((row) => String(row).replace(/ (are|is) no longer.*/, '')),
        ['10', 'Tea is ready.', 'Events #8 to #9', '7', 'Events #5 to #6', '4', '3', '2', '1']);
    assert.deepEqual(sockets[0].asked, { tenant: 'tenant_a', snapshot: '50' });
    assert.deepEqual(window.problems, []);
});

test('it catches up before it is live, and says so', async (t) => {
    const { window, sockets } = await scripted(t, (socket, number) => {
        hello(socket, number === 1 ? 0 : 30);
        if (number === 1) {
            socket.say({ type: 'snapshot', events: [], seq: 0 });
        }
    });
    await window.state('live');
    sockets[0].tell(1);
    await window.reaches(1);
    sockets[0].close(1001, 'going away');
    await window.state('catching-up');
    assert.deepEqual(sockets[1].asked, { tenant: 'tenant_a', since: '1', epoch: 'one' });
    sockets[1].tell(...Array.from({ length: 28 }, (_, i) => i + 2));
    await window.reaches(29);
    assert.equal(await window.page.getAttribute('#state', 'data-state'), 'catching-up');
    sockets[1].tell(30);
    await window.state('live');
});

test('the numbers of an old log do not hide events of the new one', async (t) => {
    const { window, sockets } = await scripted(t, (socket, number) => {
        hello(socket, number === 1 ? 9 : 2, `epoch ${number}`);
        if (number === 1) {
            socket.say({ type: 'snapshot', events: [8, 9].map(event), seq: 9 });
        } else {
            socket.say({ type: 'gap', from: 1, to: 9 });
            socket.tell(1, 2);
        }
    });
    await window.state('live');
    sockets[0].close(1012, '');
    await window.reaches(2);
    await window.state('live');
    assert.deepEqual(sockets[1].asked, { tenant: 'tenant_a', since: '9', epoch: 'epoch 1' });
    assert.deepEqual(await window.seqs(), [2, 1, 9, 8]);
    assert.equal((await window.notices()).length, 1);

    sockets[1].close(1012, '');
    await window.page.waitForFunction(() => document.querySelectorAll('#events li[data-notice]').length === 2);
    assert.deepEqual(sockets[2].asked, { tenant: 'tenant_a', since: '2', epoch: 'epoch 2' });
});

test('a frame that is no JSON ends the connection, not the feed', async (t) => {
    const { window, sockets } = await scripted(t, (socket, number) => {
        hello(socket, 1);
        socket.say(number === 1 ? { type: 'snapshot', events: [event(1)], seq: 1 } : { type: 'pong' });
    });
    await window.state('live');
    sockets[0].say('{"type":');
    await window.state('retrying');
    sockets[0].tell(2); // too late: nobody listens to this one any more
    await window.state('live');
    assert.deepEqual(await window.seqs(), [1]);
    sockets[1].tell(2);
    await window.reaches(2);
});

test('who is closed out for good does not come back', async (t) => {
    const { window, sockets } = await scripted(t, (socket) => {
        hello(socket, 0);
        socket.say({ type: 'snapshot', events: [], seq: 0 });
    });
    await window.state('live');
    sockets[0].close(1008, 'the tenant was removed');
    await window.state('offline');
    assert.equal(await window.text('#state-detail'), 'The tenant was removed');
    await window.page.waitForTimeout(1500);
    assert.equal(sockets.length, 1);
    assert.equal(await window.text('#connect'), 'Connect');
});

for (const transport of ['websocket', 'sse', 'socketio']) {
    test(`an attempt that hangs over ${transport} has an end, and is made again`, async (t) => {
        const server = await serve(t);
        const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`, {}, async (page) => {
            await page.clock.install();
            await page.addInitScript((chosen) => localStorage.setItem('carillon.transport', chosen), transport);
        });
        await window.state('live');
        await window.page.click('#connect');
        await window.state('offline');
        server.child.kill('SIGSTOP');
        try {
            await window.page.click('#connect');
            await window.state('connecting');
            await window.page.clock.fastForward(10_500);
            await window.state('retrying');
            assert.match(await window.text('#state-countdown'), /^retrying in \d+ s$/);
        } finally {
            server.child.kill('SIGCONT');
        }
        await window.state('live');
    });
}

test('each failure doubles the wait, up to half a minute', async (t) => {
    const stopClock = async (page) => {
        await page.clock.install({ time: 0 });
        await page.clock.pauseAt(1000);
    };
    const { window, sockets } = await scripted(t, (socket) => socket.close(1011, 'not today'), stopClock);

    for (let failures = 1; failures <= 9; failures++) {
        await window.state('retrying');
        const wait = Number(/\d+/.exec(await window.text('#state-countdown')));
        const span = Math.min(30, 0.5 * 2 ** (failures - 1));
        assert.ok(wait >= Math.ceil(span / 2) && wait <= Math.ceil(span), `${wait} s after ${failures} failures`);
        assert.equal(sockets.length, failures);
        await window.page.evaluate(() => {
            document.querySelector('#state').dataset.state = ''; // so that the next "retrying" is seen to be a new one
            document.querySelector('#retry-now').click();
        });
    }
});
