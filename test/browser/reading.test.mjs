// What a reader goes by: times, what is read out, what has the focus, what is on its way, and what was copied.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { serve } from './support/server.mjs';
import { launch, openWindow, watchTenant } from './support/window.mjs';

const HOSTILE = 'it\'s "$HOME" `id` \\ <b>&amp;\nand a second line 🔔';

let browser;

before(async () => {
    browser = await launch();
});

after(() => browser?.close());

const watch = (t, server, ...rest) => watchTenant(t, browser, server, ...rest);

test('nothing that the server is asked for keeps the page from being drawn', async (t) => {
    const server = await serve(t);
    const context = await browser.newContext();
    t.after(() => context.close());
    const page = await context.newPage();
    const held = [];
    let hold = true;
    await page.route('**/api/**', (route) => (hold ? held.push(route) : route.continue()));
    await page.goto(server.url);
    await page.waitForFunction(() => performance.getEntriesByName('first-contentful-paint').length > 0);
    assert.equal(await page.locator('#state-text').textContent(), 'Offline');
    for (const part of ['#tenant-name', '#message', '#events-empty']) {
        assert.ok(await page.locator(part).isVisible(), part);
    }
    await page.keyboard.press('?'); // it is not only drawn
    await page.locator('#help').waitFor();
    assert.ok(held.some((route) => new URL(route.request().url()).pathname === '/api/v1/settings'));
    assert.equal(await page.locator('body[data-ready]').count(), 0);
    hold = false;
    await Promise.all(held.map((route) => route.continue()));
    await page.locator('body[data-ready]').waitFor();
    assert.equal(await page.locator('#tenant option').count(), 3);
});

test('times are told as here, exactly and as how long ago', async (t) => {
    const server = await serve(t);
    const { timestamp } = await server.publish('tenant_a', { message: 'hello' });
    const clock = { hourCycle: 'h23', hour: '2-digit', minute: '2-digit', second: '2-digit' };
    const window = await watch(t, server, { timezoneId: 'Asia/Kathmandu', locale: 'en-GB' },
        (page) => page.clock.install());
    const row = window.row(1);
    await row.waitFor();
    const time = row.locator('time');
    const here = new Intl.DateTimeFormat('en-GB', { timeZone: 'Asia/Kathmandu', ...clock }).format(new Date(timestamp));
    assert.equal(await time.textContent(), here);
    assert.equal(await time.getAttribute('datetime'), timestamp);
    const title = await time.getAttribute('title');
    assert.ok(title.includes(`${here}${timestamp.slice(-5, -1)}`), title);
    assert.match(title, /\b20\d\d\b/);
    assert.match(await row.locator('.ago').textContent(), /now|s(ec)?\.? ago/);
    await window.page.clock.fastForward(3 * 60_000);
    await row.locator('.ago', { hasText: /^3 ?m(in)?\.? ago$/ }).waitFor();
    assert.equal(await time.textContent(), here);
});

test('who listens to the page hears of many events at once, and of what is not there', async (t) => {
    const server = await serve(t);
    const window = await watch(t, server);
    const said = window.page.locator('#announce[role="status"]');
    await server.publishMany('tenant_a', 'event', 3);
    await said.filter({ hasText: /^3 new events$/ }).waitFor();
    await server.publish('tenant_a', { message: 'one more' });
    await said.filter({ hasText: /^1 new event$/ }).waitFor();
    assert.equal(await window.page.locator('#events[aria-live]').count(), 0, 'rows come and go by scrolling, too');
    assert.equal(await window.page.getAttribute('#state-text', 'role'), 'status');
    assert.equal(await window.page.locator('#state-countdown').getAttribute('aria-hidden'), 'true');
});

test('what has the focus shows it', async (t) => {
    const server = await serve(t);
    await server.publish('tenant_a', { message: 'hello', metadata: { a: { b: 1 } } });
    for (const colorScheme of ['light', 'dark']) {
        const window = await watch(t, server, { colorScheme });
        const { page } = window;
        await window.unfold(1);
        await page.click('#more summary');
        await page.focus('#skip');
        const seen = new Set();
        for (let presses = 0; presses < 80; presses++) {
            await page.keyboard.press('Tab');
            const { name, ring } = await page.evaluate(() => {
                const element = document.activeElement;
                const { outlineStyle, outlineWidth } = getComputedStyle(element);
                return { name: element === document.body ? 'the end' : element.id || element.className
                    || element.textContent.trim(), ring: outlineStyle === 'none' ? 0 : parseFloat(outlineWidth) };
            });
            if (name === 'the end') {
                break;
            }
            seen.add(name);
            assert.ok(ring >= 2, `${name} in ${colorScheme}: ${ring}`);
        }
        for (const name of ['tenant', 'connect', 'search', 'follow', 'pause', 'viewport', 'fold', 'message', 'type',
            'metadata', 'post']) {
            assert.ok(seen.has(name), `${name} is none of ${[...seen]}`);
        }
    }
});

test('while nobody answers, the page says that it waits', async (t) => {
    const server = await serve(t);
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`, {}, (page) =>
        page.routeWebSocket(/\/ws\?/, () => {}));
    await window.state('connecting');
    assert.equal(await window.text('#state-text'), 'Connecting');
    assert.equal(await window.text('#events-empty'), 'Waiting for the server…');
});

test('older events that take their time are said to be on their way', async (t) => {
    const server = await serve(t);
    await server.publishMany('tenant_a', 'event', 60);
    const held = [];
    const window = await watch(t, server, {}, (page) => page.route('**/api/v1/events?*', (route) => held.push(route)));
    await window.reaches(60);
    await window.page.locator('#viewport').evaluate((viewport) => { viewport.scrollTop = viewport.scrollHeight; });
    await window.page.locator('#older[role="status"]', { hasText: 'Loading older events…' }).waitFor();
    await held[0].continue();
    await window.page.locator('#older', { hasText: 'That is the beginning.' }).waitFor();
    assert.equal((await window.seqs()).length, 60);
});

test('the wait for the next attempt is counted down', async (t) => {
    const server = await serve(t);
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`, {}, async (page) => {
        await page.clock.install({ time: 0 });
        await page.clock.pauseAt(1000);
        await page.routeWebSocket(/\/ws\?/, (route) => route.close({ code: 1011 }));
    });
    const { page } = window;
    let wait = 0;
    while (wait < 4) { // until there is something to count
        await window.state('retrying');
        wait = Number(/\d+/.exec(await window.text('#state-countdown'))[0]);
        if (wait < 4) {
            await page.evaluate(() => {
                document.querySelector('#state').dataset.state = '';
                document.querySelector('#retry-now').click();
            });
        }
    }
    for (let left = wait - 1; left >= 2; left--) {
        await page.clock.runFor(1000);
        assert.equal(await window.text('#state-countdown'), `retrying in ${left} s`);
    }
});

test('what was said of a success goes by itself, what was said of a failure stays until it is dismissed', async (t) => {
    const server = await serve(t);
    const { page } = await watch(t, server, {}, (opened) => opened.clock.install());
    await page.evaluate(async () => {
        const { Toasts } = await import('/js/toast.js');
        const toasts = new Toasts();
        toasts.success('It is done.');
        toasts.failure('It is not.');
    });
    const [good, bad] = ['[role="status"] > .toast', '[role="alert"] > .toast'].map((toast) => page.locator(toast));
    await good.waitFor();
    await bad.waitFor();
    await page.clock.fastForward(60_000);
    await good.waitFor({ state: 'detached' });
    assert.ok(await bad.isVisible());
    await bad.getByRole('button', { name: 'Dismiss' }).click();
    assert.equal(await bad.count(), 0);
});

test('the command that is copied publishes the same again', async (t) => {
    const server = await serve(t);
    await server.publish('tenant_a', { message: HOSTILE, type: 'of.a.kind', metadata: { [HOSTILE]: [HOSTILE, 1.5] } });
    const window = await watch(t, server, { permissions: ['clipboard-read', 'clipboard-write'] });
    const row = await window.unfold(1);
    await row.locator('[data-copy="curl"]').click();
    await window.page.locator('#toasts .toast', { hasText: 'as a curl command' }).waitFor();
    const command = await window.page.evaluate(() => navigator.clipboard.readText());
    const { stdout } = await promisify(execFile)('sh', ['-c', `${command} -sS --max-time 10 --noproxy '*'`]);
    const answer = JSON.parse(stdout);
    assert.deepEqual([answer.seq, answer.message, answer.type, answer.metadata],
        [2, HOSTILE, 'of.a.kind', { [HOSTILE]: [HOSTILE, 1.5] }]);
    await window.reaches(2);
});
