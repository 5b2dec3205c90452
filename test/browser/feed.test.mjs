// The page against a scripted WebSocket: what a well-behaved server does not send, and what it sends only in hours.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { serve } from './support/server.mjs';
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

    const rows = await window.page.locator('#events li').evaluateAll((all) =>
        all.map((row) => row.dataset.seq ?? row.textContent));
    assert.deepEqual(rows.map((row) => row.replace(/ (are|is) no longer.*/, '')),
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
    assert.equal(await window.text('#state-detail'), 'the tenant was removed');
    await window.page.waitForTimeout(1500);
    assert.equal(sockets.length, 1);
    assert.equal(await window.text('#connect'), 'Connect');
});

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
