// The feed's part of the page: what is held and shown, filters, pausing, copying, keys.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { serve } from './support/server.mjs';
import { launch, range, watchTenant } from './support/window.mjs';

let browser;

before(async () => {
    browser = await launch();
});

after(() => browser?.close());

const watch = (t, server, ...rest) => watchTenant(t, browser, server, ...rest);

/** Waits until the list has these rows, all of them. */
async function has(window, count) {
    for (let tries = 0; tries < 150; tries++) {
        if ((await window.page.evaluate(async () => (await import('/js/main.js')).panel.store.length)) === count) {
            return;
        }
        await window.page.waitForTimeout(100);
    }
    assert.equal((await window.rows()).length, count);
}

/** Scrolls down, which takes that there is something to scroll. */
async function scrollTo(window, pixels) {
    await window.page.locator('#events li').first().waitFor();
    await window.page.locator('#viewport').evaluate((viewport, top) => { viewport.scrollTop = top; }, pixels);
}

/** How far below the list's top a row begins, in pixels, wherever that is while the page still fills. */
function placeOf(window, seq) {
    return window.row(seq).evaluate((row) =>
        row.getBoundingClientRect().top - document.querySelector('#viewport').getBoundingClientRect().top);
}

/** Scrolls to the end, as far as that is by then, until the list has so many rows. */
async function scrollUntil(window, count) {
    const held = () => window.page.evaluate(async () => (await import('/js/main.js')).panel.store.length);
    for (let tries = 0; tries < 150 && await held() < count; tries++) {
        await scrollTo(window, 100_000);
        await window.page.waitForTimeout(100);
    }
}

test('a pause holds the list, counts what waits, and loses nothing', async (t) => {
    const server = await serve(t);
    const window = await watch(t, server);
    const { page } = window;
    await server.publishMany('tenant_a', 'before', 3);
    await window.reaches(3);

    await page.keyboard.press('p');
    assert.equal(await page.getAttribute('#pause', 'aria-pressed'), 'true');
    await server.publishMany('tenant_a', 'during', 5);
    await page.locator('#pause', { hasText: '5 waiting' }).waitFor();
    assert.deepEqual(await window.seqs(), [3, 2, 1]);
    await page.click('#pause');
    await window.reaches(8);
    assert.deepEqual(await window.seqs(), range(1, 8).reverse());
    assert.equal(await window.text('#pause'), 'Pause');
    assert.deepEqual(window.problems, []);
});

/** Somebody who has scrolled to what is older, and where event 38 stands then. */
async function reading(t) {
    const server = await serve(t);
    await server.publishMany('tenant_a', 'before', 60);
    const window = await watch(t, server);
    await scrollTo(window, 640);
    await window.page.locator('#follow[aria-pressed="false"]').waitFor();
    await window.row(38).waitFor();
    return { server, window, wasAt: await placeOf(window, 38) };
}

test('what is read stays in its place, and the newest is one click away', async (t) => {
    const { server, window, wasAt } = await reading(t);
    const { page } = window;

    await server.publishMany('tenant_a', 'new', 7);
    await page.locator('#newest', { hasText: '7 new' }).waitFor();
    assert.equal(Math.round(await placeOf(window, 38)), Math.round(wasAt));
    await page.click('#newest');
    await window.reaches(67);
    assert.equal(await page.getAttribute('#follow', 'aria-pressed'), 'true');
    assert.equal(await page.locator('#newest').isVisible(), false);
    await server.publish('tenant_a', { message: 'newest' });
    await window.reaches(68);

    await page.click('#follow'); // off at the very top: what comes must not move the reader
    await server.publishMany('tenant_a', 'unseen', 2);
    await page.locator('#newest', { hasText: '2 new' }).waitFor();
    assert.ok(await placeOf(window, 68) < 1);
});

test('what is read stays in its place while the reader scrolls, too', async (t) => {
    const { server, window, wasAt } = await reading(t);
    const { page } = window;

    const scrolled = page.evaluate(async () => { // by a pixel, whenever rows are there that are not shown yet
        const { panel } = await import('/js/main.js');
        const viewport = document.querySelector('#viewport');
        let pixels = 0;
        for (let length = panel.store.length; length < 70;) {
            await new Promise((resolve) => { setTimeout(resolve); });
            if (panel.store.length > length) {
                length = panel.store.length;
                viewport.scrollTop++;
                pixels++;
            }
        }
        return pixels;
    });
    for (let i = 0; i < 20; i++) {
        await server.publish('tenant_a', { message: `new ${i}` });
    }
    const pixels = await scrolled;
    await page.locator('#newest', { hasText: '20 new' }).waitFor();
    assert.equal(Math.round(await placeOf(window, 38)), Math.round(wasAt) - pixels);
});

test('a row stays under the pointer that presses on it', async (t) => {
    const server = await serve(t);
    await server.publish('tenant_a', { message: 'first' });
    const window = await watch(t, server);
    const { page } = window;
    await window.row(1).locator('.fold').hover();
    await page.mouse.down();
    await server.publish('tenant_a', { message: 'second' });
    await has(window, 2);
    await page.waitForTimeout(500); // for a list that would show it
    assert.equal(await page.locator('#events li').count(), 1);
    await page.mouse.up();
    await window.row(1).locator('.details').waitFor();
    await window.row(2).waitFor();
    assert.equal(await window.row(2).locator('.details').count(), 0);
});

test('older events are loaded by scrolling, once each, to the beginning', async (t) => {
    const server = await serve(t);
    await server.publishMany('tenant_a', 'event', 330);
    const window = await watch(t, server);
    const { page } = window;
    assert.deepEqual(await window.seqs(), range(281, 330).reverse());

    for (const count of [150, 250, 330]) {
        await scrollUntil(window, count);
        await server.publish('tenant_b', { message: 'another tenant’s' });
    }
    assert.deepEqual(await window.seqs(), range(1, 330).reverse());
    await scrollTo(window, 100_000);
    await page.locator('#older', { hasText: 'beginning' }).waitFor();
    assert.deepEqual(window.problems, []);
});

test('where older events can’t be had, it says so, and tries again when asked', async (t) => {
    const server = await serve(t);
    await server.publishMany('tenant_a', 'event', 120);
    let refuse = true;
    const window = await watch(t, server, {}, (page) => page.route('**/api/v1/events?*', (route) =>
        (refuse ? route.fulfill({ status: 503, json: { title: 'Not now' } }) : route.continue())));
    const { page } = window;
    await scrollTo(window, 100_000);
    await page.locator('#older', { hasText: 'Not now' }).waitFor();
    assert.equal((await window.seqs()).length, 50);
    refuse = false;
    await page.click('#older-retry');
    await has(window, 120);
    assert.deepEqual(await window.seqs(), range(1, 120).reverse());
});

test('a filter works at once on what is live, and in the past through the server', async (t) => {
    const server = await serve(t);
    for (let i = 1; i <= 120; i++) {
        await server.publish('tenant_a', {
            type: i % 3 === 0 ? 'order.paid' : 'message', message: i % 40 === 0 ? `Needle ${i}` : `hay ${i}`,
            ...(i === 7 ? { metadata: { found: { in: 'needlework' } } } : {}),
        });
    }
    const window = await watch(t, server);
    const { page } = window;

    await page.keyboard.press('/');
    await page.keyboard.type('needle');
    await has(window, 4);
    assert.deepEqual(await window.seqs(), [120, 80, 40, 7]);
    await page.keyboard.type(' '); // the word is whole now
    await has(window, 3);
    await server.publish('tenant_a', { message: 'hay again' });
    await server.publish('tenant_a', { message: 'a NEEDLE, live' });
    await window.reaches(122);
    assert.deepEqual(await window.seqs(), [122, 120, 80, 40]);
    assert.match(await window.text('#held'), /^3 of 52 held, 1 older$/);

    await page.click('.chip[data-type="order.paid"]');
    await has(window, 1);
    assert.deepEqual(await window.seqs(), [120]);
    await page.fill('#search', 'nothing of the kind');
    await page.locator('#events-empty', { hasText: 'Nothing passes' }).waitFor();
    await page.click('#search-clear');
    await window.reaches(122);
    assert.deepEqual(await window.seqs(), range(71, 122).reverse());
    await page.click('.chip[data-type="order.paid"]');
    await has(window, 40);
    assert.deepEqual(await window.seqs(), range(1, 40).map((i) => 3 * i).reverse());
    assert.deepEqual(window.problems, []);
});

test('each of many types can be filtered by', async (t) => {
    const server = await serve(t);
    for (let i = 0; i < 60; i++) {
        await server.publish('tenant_a', { type: `type${i}`, message: `of type ${i}` });
    }
    const { page, problems } = await watch(t, server);
    const more = page.locator('#types button', { hasText: '20 more' });
    await more.waitFor();
    assert.equal(await page.locator('#types .chip:visible').count(), 40);
    await more.click();
    assert.equal(await page.locator('#types .chip:visible').count(), 60);
    const last = await page.locator('#types .chip').last().getAttribute('data-type');
    await page.locator('#types .chip').last().click();
    await page.locator('#held', { hasText: /^[01] of 50 held/ }).waitFor();
    await page.locator('#types button', { hasText: 'Fewer types' }).click();
    assert.ok(await page.locator(`.chip[data-type="${last}"]`).isVisible(), 'what is chosen stays in sight');
    assert.equal(await page.locator('#types .chip:visible').count(), 41);
    assert.deepEqual(problems, []);
});

test('an event is copied as JSON and as a command', async (t) => {
    const server = await serve(t);
    const event = await server.publish('tenant_a', { message: 'it\'s <b>', metadata: { deep: [1] }, type: 'x' });
    for (const secure of [true, false]) {
        const window = await watch(t, server, { permissions: ['clipboard-read', 'clipboard-write'] }, (page) =>
            page.addInitScript((isSecure) => {
                if (!isSecure) {
                    Object.defineProperty(navigator, 'clipboard', { value: undefined });
                    document.addEventListener('copy', () => { window.copied = getSelection().toString(); });
                }
            }, secure));
        const { page } = window;
        const copied = () => page.evaluate((isSecure) =>
            (isSecure ? navigator.clipboard.readText() : document.querySelector('textarea.unseen')?.value
                ?? window.copied), secure);
        const row = await window.unfold(1);
        await row.locator('[data-copy="json"]').click();
        await page.locator('#toasts .toast', { hasText: 'as JSON' }).waitFor();
        if (secure) {
            assert.deepEqual(JSON.parse(await copied()), event);
        }
        await row.locator('[data-copy="curl"]').click();
        await page.locator('#toasts .toast', { hasText: 'as a curl command' }).waitFor();
        if (secure) {
            assert.match(await copied(), /^curl 'http:\/\/[\d.]+:\d+\/api\/v1\/events' \\\n {2}-H 'X-Tenant-ID: te/);
        }
        assert.deepEqual(window.problems, []);
    }
});

test('keys do what the help says, and can be turned off', async (t) => {
    const server = await serve(t);
    const window = await watch(t, server);
    const { page } = window;
    const focused = () => page.evaluate(() => document.activeElement.id);

    await page.keyboard.press('n');
    assert.equal(await focused(), 'message');
    await page.keyboard.type('n/p?');
    assert.equal(await page.inputValue('#message'), 'n/p?');
    await page.focus('#viewport');
    await page.keyboard.press('/');
    assert.equal(await focused(), 'search');
    assert.equal(await page.inputValue('#search'), '');
    await page.focus('#viewport');
    await page.keyboard.press('?');
    assert.ok(await page.locator('#help').isVisible());
    await window.screenshot('help');
    await page.uncheck('#keys-enabled');
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('#help').isVisible(), false);
    await page.focus('#viewport');
    await page.keyboard.press('p');
    await page.keyboard.press('n');
    assert.equal(await focused(), 'viewport');
    assert.equal(await window.text('#pause'), 'Pause');
    await page.reload();
    await window.state('live');
    await page.keyboard.press('n');
    assert.notEqual(await focused(), 'message');
});

test('only what comes live counts for the rate and the latency', async (t) => {
    const server = await serve(t);
    let offline = false;
    let gone = () => {};
    const window = await watch(t, server, {}, (page) => page.routeWebSocket(/\/ws\?/, (near) => {
        if (offline) {
            near.close({ code: 1013 });
        } else {
            near.connectToServer();
            gone = () => near.close({ code: 1013 });
        }
    }));
    await server.publish('tenant_a', { message: 'live' });
    await window.reaches(1);
    offline = true;
    gone();
    await window.state('retrying');
    await server.publishMany('tenant_a', 'missed', 30);
    offline = false;
    await window.reaches(31);
    await window.state('live');
    await window.page.locator('#latency li').first().waitFor({ state: 'attached' });
    const seen = () => window.page.locator('#latency li').evaluateAll((bars) => bars
        .map((bar) => Number(bar.title.split(': ')[1].replace(/\D/g, ''))).reduce((sum, count) => sum + count, 0));
    await server.publish('tenant_a', { message: 'live again' });
    await window.reaches(32);
    for (let tries = 0; tries < 100 && await seen() < 2; tries++) { // until it is drawn
        await window.page.waitForTimeout(100);
    }
    assert.equal(await seen(), 2);
});

test('nothing is asked any more with what was refused', async (t) => {
    const server = await serve(t);
    let asked = 0;
    let refuse = false;
    const window = await watch(t, server, {}, (page) => page.route('**/api/v1/events/stats', (route) => {
        asked++;
        return refuse ? route.fulfill({ status: 401, json: { title: 'Unauthorized' } }) : route.continue();
    }));
    await window.page.locator('#stat-total', { hasText: '0' }).waitFor();
    refuse = true;
    await window.page.locator('#stat-problem', { hasText: 'Unauthorized' }).waitFor();
    const then = asked;
    await window.page.waitForTimeout(4000); // more than it takes to ask again
    assert.equal(asked, then);
});

test('numbers are shown and copied as they were written', async (t) => {
    const server = await serve(t);
    const metadata = '{"n":12345678901234567890123,"d":1.0,"in":[-0,1e2]}';
    const publish = () => fetch(`${server.url}/api/v1/events`, {
        method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Tenant-ID': 'tenant_a' },
        body: `{"message":"numbers","metadata":${metadata}}`,
    });
    await publish();
    await server.publishMany('tenant_a', 'between', 50); // the first is of the history, the last comes live
    for (const transport of ['websocket', 'sse']) {
        const window = await watch(t, server, { permissions: ['clipboard-read', 'clipboard-write'] }, (page) =>
            page.addInitScript((chosen) => localStorage.setItem('carillon.transport', chosen), transport));
        const { page } = window;
        const { seq } = await (await publish()).json();
        await window.reaches(seq);
        for (const which of [seq, 1]) {
            if (which === 1) {
                await page.fill('#search', 'numbers 12345678901234567890123 ');
                await window.row(1).waitFor();
            }
            const row = await window.unfold(which);
            await row.locator('.leaf').nth(3).waitFor(); // a branch is made when it is open
            assert.deepEqual(await row.locator('.leaf').allTextContents(),
                ['12345678901234567890123', '1.0', '-0', '1e2']);
            await row.locator('[data-copy="curl"]').click();
            await page.locator('#toasts .toast', { hasText: `#${which} is copied as a curl` }).waitFor();
            assert.ok((await page.evaluate(() => navigator.clipboard.readText())).includes(metadata));
        }
        assert.deepEqual(window.problems, []);
    }
});

test('statistics go along', async (t) => {
    const server = await serve(t);
    await server.publish('tenant_a', { message: 'before', type: 'order.paid' });
    const window = await watch(t, server);
    const { page } = window;
    await server.publishMany('tenant_a', 'live', 4);
    await page.locator('#stat-total', { hasText: /^5$/ }).waitFor();
    const bars = () => page.locator('#stat-types li').allTextContents();
    await page.waitForFunction(() => document.querySelector('#stat-types').textContent === 'message4order.paid1');
    assert.deepEqual(await bars(), ['message4', 'order.paid1']);
    await page.locator('#stat-latency', { hasText: /^half (≤ \d+ ms|> 1 s), 99 %/ }).waitFor();
    await page.locator('#stat-peak', { hasText: /^peak [1-4]\/s$/ }).waitFor();
    await page.locator('#stat-connections', { hasText: /^1$/ }).waitFor();
    assert.match(await page.getAttribute('#rate-line', 'd'), /^M0 48L.*Z$/);
    await server.kill();
    await page.locator('#stat-problem', { hasText: 'Not up to date' }).waitFor();
});

test('what was published is told with how long it took', async (t) => {
    const server = await serve(t);
    const window = await watch(t, server);
    await window.post('hello');
    const said = /^Published to tenant_a as #1 in [\d.]+ m?s\.$/;
    const toast = window.page.locator('#toasts .toast p');
    await toast.waitFor();
    assert.match(await toast.textContent(), said);
    assert.equal(await window.text('#publish-tenant'), 'tenant_a');
});

test('metadata is published as it was written', async (t) => {
    const server = await serve(t);
    const window = await watch(t, server);
    const { page } = window;
    await page.click('#more summary');
    for (const message of ['', 'with a message']) {
        await page.fill('#metadata', '{"big": 12345678901234567890, "b": "\\u0041", "e": 1e2}');
        await window.post(message);
        await window.reaches(message === '' ? 1 : 2);
    }
    const list = await (await fetch(`${server.url}/api/v1/events`, { headers: { 'X-Tenant-ID': 'tenant_a' } })).text();
    assert.equal(list.split('12345678901234567890').length, 3);
    assert.equal(JSON.parse(list).events[0].message, 'with a message');
});

test('while it is published, the form says so and takes no second press', async (t) => {
    const server = await serve(t);
    /** @type {(() => void)[]} */
    const held = [];
    const window = await watch(t, server, {}, (page) => page.route('**/api/v1/events', (route) =>
        new Promise((go) => held.push(() => go(route.continue())))));
    const { page } = window;
    const button = page.locator('#post');
    await window.post('slow');
    await page.locator('#post[aria-disabled=true]', { hasText: 'Publishing…' }).waitFor();
    assert.equal(await page.getAttribute('#compose', 'aria-busy'), 'true');
    await button.press('Enter');
    await page.fill('#message', 'the next one');
    held.forEach((go) => go());
    await window.sees('slow');
    await page.locator('#post[aria-disabled=false]', { hasText: /^Publish$/ }).waitFor();
    assert.equal(await page.getAttribute('#compose', 'aria-busy'), 'false');
    assert.equal(await page.inputValue('#message'), 'the next one');
    assert.equal(held.length, 1);
});

test('a draft stays with its tenant', async (t) => {
    const server = await serve(t);
    const window = await watch(t, server);
    const { page } = window;
    const turnTo = async (tenant) => {
        await page.selectOption('#tenant', tenant);
        await page.waitForFunction((id) => document.querySelector('#publish-tenant').textContent === id, tenant);
    };
    await page.click('#more summary');
    await page.fill('#message', 'for a');
    await page.fill('#metadata', '{oops');
    await turnTo('tenant_b');
    assert.deepEqual([await page.inputValue('#message'), await page.inputValue('#metadata')], ['', '']);
    assert.equal(await window.text('#metadata-error'), '');
    assert.equal(await window.text('#message-count'), '0 / 2048');
    await window.post('for b');
    await window.sees('for b');
    await turnTo('tenant_a');
    assert.deepEqual([await page.inputValue('#message'), await page.inputValue('#metadata')], ['for a', '{oops']);
    assert.match(await window.text('#metadata-error'), /not JSON/);
    await page.fill('#metadata', '');
    await page.click('#post');
    await window.sees('for a');
    assert.deepEqual(await window.messages(), ['for a']);
});

test('metadata is as deep as the server takes it', async (t) => {
    const server = await serve(t);
    const window = await watch(t, server);
    const { page } = window;
    await page.click('#more summary');
    await page.fill('#metadata', `{"a": ${'['.repeat(16)}${']'.repeat(16)}}`);
    assert.match(await window.text('#metadata-error'), /16 levels/);
    await page.fill('#metadata', `{"a": ${'['.repeat(15)}${']'.repeat(15)}}`);
    assert.equal(await window.text('#metadata-error'), '');
    await page.click('#post');
    await window.reaches(1);
});
