// Tenants side by side: the view shows that isolation holds, and shows it where it does not.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Server, serve } from './support/server.mjs';
import { launch, openWindow } from './support/window.mjs';

const ADMIN = 'the-administrator-of-these-tests';
const FIGURES = ['posted', 'failed', 'expected', 'seen', 'missing', 'leaked'];

let browser;

before(async () => {
    browser = await launch();
});

after(() => browser?.close());

/** The view, with a column for each of the tenants, over that transport, and all of them live. */
async function bench(t, url, tenants, { transport = 'websocket', prepare = async () => {} } = {}) {
    const window = await openWindow(t, browser, `${url}/?tenant=${tenants[0]}#isolation`, {}, async (page) => {
        await page.addInitScript((chosen) => localStorage.setItem('carillon.transport', chosen), transport);
        await prepare(page);
    });
    await columns(window, tenants.slice(0, 2));
    for (const tenant of tenants.slice(2)) {
        await add(window, tenant);
    }
    await columns(window, tenants);
    return window;
}

/** Waits until these, and no others, have columns that are live. */
async function columns(window, tenants) {
    for (const tenant of tenants) {
        await window.page.locator(`.column[data-tenant="${tenant}"] [data-state="live"]`).waitFor();
    }
    const there = await window.page.locator('.column').evaluateAll((all) => all.map(({ dataset }) => dataset.tenant));
    assert.deepEqual(there, tenants);
}

async function add(window, what) {
    await window.page.fill('.add input', what);
    await window.page.press('.add input', 'Enter');
}

async function post(window, count, rate = 50) {
    await window.page.getByLabel('Canaries', { exact: true }).locator('visible=true').last().fill(String(count));
    await window.page.getByLabel('A second').fill(String(rate));
    await window.page.getByRole('button', { name: 'Post canaries' }).click();
}

/** Waits until the last one was answered, and has come where it will. */
async function allPosted(window) {
    await window.page.locator('.run button[aria-disabled]', { hasText: 'Stop' }).waitFor();
    await window.page.waitForTimeout(500);
}

function verdict(window, name) {
    return window.page.locator(`.verdict[data-verdict="${name}"]`).waitFor();
}

async function figures(window, tenant) {
    const column = window.page.locator(`.column[data-tenant="${tenant}"]`);
    const texts = await Promise.all(FIGURES.map((name) => column.locator(`[data-figure="${name}"] dd`).textContent()));
    return Object.fromEntries(FIGURES.map((name, i) => [name, Number(texts[i])]));
}

/** Waits until all that was posted to it has come to the column. */
async function settles(window, tenant) {
    await window.page.waitForFunction((id) => {
        const figure = (name) =>
            document.querySelector(`.column[data-tenant="${id}"] [data-figure="${name}"] dd`).textContent;
        return figure('seen') === figure('posted');
    }, tenant);
}

/** The figures of a column where all that was posted has come, and nothing else. */
function sound(posted) {
    return { posted, failed: 0, expected: posted, seen: posted, missing: 0, leaked: 0 };
}

for (const transport of ['websocket', 'sse', 'socketio']) {
    test(`isolation holds over ${transport}`, async (t) => {
        const server = await serve(t);
        await server.publishMany('tenant_a', 'before', 3);
        const window = await bench(t, server.url, ['tenant_a', 'tenant_b'], { transport });
        await verdict(window, 'idle');
        assert.equal(await window.text('.verdict'), 'Nothing posted yet');
        await post(window, 40);
        await verdict(window, 'holds');
        assert.equal(await window.text('.verdict'), 'Isolation holds');
        const [a, b] = [await figures(window, 'tenant_a'), await figures(window, 'tenant_b')];
        assert.equal(a.posted + b.posted, 40);
        for (const one of [a, b]) {
            assert.ok(one.posted > 0, 'both are drawn');
            assert.deepEqual(one, sound(one.posted));
        }
        const { total } = await (await fetch(`${server.url}/api/v1/events/stats?tenant=tenant_b`)).json();
        assert.equal(total, b.posted);
        await window.screenshot(`isolation-holds-${transport}`);

        await window.page.getByRole('button', { name: 'Count from 0' }).click();
        await verdict(window, 'idle');
        assert.equal((await figures(window, 'tenant_a')).posted, 0);
        assert.deepEqual(window.problems, []);
    });
}

test('each column has a credential of its own, where one is wanted', async (t) => {
    const server = await serve(t, ['--auth', 'key', '--admin-key', ADMIN]);
    const ask = async (path, body) => {
        const response = await fetch(`${server.url}/api/v1/tenants${path}`, {
            method: 'POST',
            headers: { 'Authorization': `Bearer ${ADMIN}`, 'Content-Type': 'application/json' },
            body: JSON.stringify(body),
        });
        return response.json();
    };
    const { api_key: key } = await ask('', { name: 'Acme', id: 'acme' });
    await ask('', { name: 'Other', id: 'other' });
    const { token } = await ask('/other/token', { sub: 'ann', scopes: ['publish', 'subscribe'] });
    const window = await openWindow(t, browser, `${server.url}/#isolation`);
    const { page } = window;
    await page.locator('.add input[type="password"]').waitFor();
    await add(window, 'car_nonsense');
    await page.locator('.add [role="alert"]', { hasText: 'not known' }).waitFor();
    await add(window, key);
    await columns(window, ['acme']);
    await post(window, 5);
    await page.locator('.run [role="alert"]', { hasText: 'Two tenants' }).waitFor();
    await add(window, key);
    await page.locator('.add [role="alert"]', { hasText: 'column already' }).waitFor();
    await add(window, token);
    await columns(window, ['acme', 'other']);
    await post(window, 20);
    await verdict(window, 'holds');
    assert.equal((await figures(window, 'acme')).seen + (await figures(window, 'other')).seen, 20);
    const [session, local] = await page.evaluate(() => [JSON.stringify({ ...sessionStorage }),
        JSON.stringify({ ...localStorage })]);
    assert.ok(session.includes(key) && session.includes(token));
    assert.ok(!local.includes(key) && !local.includes(token) && !page.url().includes(token));

    await page.reload();
    await columns(window, ['acme', 'other']); // the tab still has what was pasted
    assert.deepEqual(window.problems.filter((problem) => !/401/.test(problem)), []);
});

for (const [most, text] of [[140, /^#\d+ canary for tenant_\w: [0-9a-f]{32}$/], [40, /^#\d+ canary$/]]) {
    test(`canaries fit where a message has ${most} characters at most`, async (t) => {
        const server = await serve(t, ['--max-message-chars', String(most)]);
        const window = await bench(t, server.url, ['tenant_a', 'tenant_b']);
        await post(window, 20);
        await verdict(window, 'holds');
        const [a, b] = [await figures(window, 'tenant_a'), await figures(window, 'tenant_b')];
        assert.equal(a.seen + b.seen, 20);
        assert.match(await window.page.locator('.arrivals li').first().textContent(), text);
        assert.deepEqual(window.problems, []);
    });
}

test('where users have tokens, tokens are asked for, and nothing without one', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'carillon-users-'));
    t.after(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'users.yaml'), 'users:\n'
        + '  - {tenant: acme, name: Ann, token: the-token-of-ann}\n'
        + '  - {tenant: other, name: Bob, token: the-token-of-bob}\n');
    const server = await serve(t, ['--auth', 'token', '--users', join(folder, 'users.yaml')]);
    const window = await openWindow(t, browser, `${server.url}/#isolation`);
    await window.page.locator('.add input[placeholder="Token"]').waitFor();
    await add(window, '');
    await window.page.locator('.add [role="alert"]', { hasText: 'Paste a token.' }).waitFor();
    await add(window, 'the-token-of-ann');
    await columns(window, ['acme']);
    await add(window, 'the-token-of-bob');
    await columns(window, ['acme', 'other']);
    await post(window, 20);
    await verdict(window, 'holds');
});

for (const transport of ['websocket', 'sse', 'socketio']) {
    test(`a server that misdelivers is found out over ${transport}`, async (t) => {
        const mutant = new Server(['--tenants', 'tenant_a,tenant_b,tenant_c', '--threads', '1']);
        mutant.binary = join(process.env.CARILLON_MUTANTS, 'misdeliver-without-boundary');
        t.after(() => mutant.stop());
        await mutant.start();
        // Every fourth session is fed another's events; the feed's is one.
        const window = await bench(t, mutant.url, ['tenant_a', 'tenant_b', 'tenant_c'], { transport });
        await post(window, 60);
        await verdict(window, 'leaked');
        assert.equal(await window.text('.verdict'), 'LEAKED');
        await window.page.locator('.column[data-leaked]').waitFor();
        const all = await Promise.all(['tenant_a', 'tenant_b', 'tenant_c'].map((tenant) => figures(window, tenant)));
        assert.ok(all.some(({ leaked }) => leaked > 0));
        assert.match(await window.text('#view-isolation .form-error'),
            /^Event #\d+ of tenant_\w was seen by tenant_\w\.$/);
        assert.ok(await window.page.locator('.arrivals .leak').count() > 0);
        await window.screenshot(`isolation-leaked-${transport}`);
    });
}

/** Has tenant_a's sockets go through `meddle(message, what tenant_b's have got, hand, socket)`. */
function between(page, meddle) {
    const heard = [];
    return page.routeWebSocket(/\/ws\?/, (near) => {
        const far = near.connectToServer();
        const tenant = new URL(near.url()).searchParams.get('tenant');
        far.onMessage((text) => {
            if (tenant === 'tenant_b') {
                heard.push(JSON.parse(text));
                near.send(text);
            } else {
                meddle(JSON.parse(text), heard, (frame) => near.send(JSON.stringify(frame)), near);
            }
        });
    });
}

for (const [what, forge] of [
    ['another tenant’s event', (event) => event],
    ['another tenant’s canary under the own name', (event) => ({ ...event, tenant_id: 'tenant_a' })],
    ['another tenant’s event that has been shown before', (event) => ({ ...event, seq: 1 })],
]) {
    test(`a proxy that brings ${what} is found out`, async (t) => {
        const server = await serve(t);
        const told = new Set();
        const window = await bench(t, server.url, ['tenant_a', 'tenant_b'], { prepare: (page) =>
            between(page, (frame, heard, hand, socket) => {
                hand(frame);
                const stolen = heard.find(({ type }) => type === 'event_created');
                if (frame.type === 'event_created' && stolen && !told.has(socket)) {
                    told.add(socket);
                    hand({ ...stolen, event: forge(stolen.event) });
                }
            }) });
        await post(window, 40);
        await verdict(window, 'leaked');
        await allPosted(window);
        await settles(window, 'tenant_b');
        await verdict(window, 'leaked');
        const [a, b] = [await figures(window, 'tenant_a'), await figures(window, 'tenant_b')];
        assert.equal(a.leaked, 1);
        assert.deepEqual(b, sound(b.posted));
        assert.match(await window.text('#view-isolation .form-error'), /of tenant_b was seen by tenant_a/);
    });
}

test('a canary that does not arrive is missing', async (t) => {
    const server = await serve(t);
    const window = await bench(t, server.url, ['tenant_a', 'tenant_b'], { prepare: async (page) => {
        await page.clock.install();
        await between(page, (frame, heard, hand) => {
            if (frame.type !== 'event_created') {
                hand(frame);
            }
        });
    } });
    await post(window, 20);
    await allPosted(window);
    await settles(window, 'tenant_b');
    await verdict(window, 'waiting');
    await window.page.clock.fastForward(11_000);
    await verdict(window, 'missing');
    const a = await figures(window, 'tenant_a');
    assert.ok(a.expected > 0);
    assert.deepEqual(a, { posted: a.posted, failed: 0, expected: a.posted, seen: 0, missing: a.posted, leaked: 0 });
    assert.equal((await figures(window, 'tenant_b')).missing, 0);
});

test('while a column is not connected, nothing is said to hold, and what was not taken is told', async (t) => {
    const server = await serve(t);
    const window = await bench(t, server.url, ['tenant_a', 'tenant_b']);
    await post(window, 10);
    await verdict(window, 'holds');
    await server.kill();
    await verdict(window, 'blind');
    assert.match(await window.text('.verdict'), /can’t tell/i);
    await post(window, 3);
    await allPosted(window);
    await verdict(window, 'blind');
    const [a, b] = [await figures(window, 'tenant_a'), await figures(window, 'tenant_b')];
    assert.equal(a.posted + b.posted, 13);
    assert.equal(a.failed + b.failed, 3);
    assert.equal(a.expected + b.expected, 10);
});

test('it can be stopped, is bounded, and goes on behind another view', async (t) => {
    const server = await serve(t, ['--tenants', 'tenant_a,tenant_b,tenant_c,tenant_d,tenant_e']);
    const window = await bench(t, server.url, ['tenant_a', 'tenant_b', 'tenant_c', 'tenant_d']);
    const { page } = window;
    await add(window, 'tenant_e');
    await page.locator('.add [role="alert"]', { hasText: 'room for 4' }).waitFor();
    await page.getByRole('button', { name: 'Remove tenant_d' }).click();
    await add(window, 'tenant_e');
    await columns(window, ['tenant_a', 'tenant_b', 'tenant_c', 'tenant_e']);

    const status = page.locator('.run [role="status"]');
    await post(window, 1001);
    assert.equal(await status.textContent(), '');
    await post(window, 1000, 51);
    assert.equal(await status.textContent(), '');
    await post(window, 1000, 20);
    await status.filter({ hasText: 'to come' }).waitFor();
    await page.click('#views a[href="#feed"]');
    await server.publish('tenant_a', { message: 'in the feed' });
    await window.sees('in the feed');
    await page.click('#views a[href="#isolation"]');
    await page.getByRole('button', { name: 'Stop' }).click();
    await verdict(window, 'holds');
    const posted = async () => /\d+/.exec(await window.text('.verdict + span'))[0];
    const then = await posted();
    assert.ok(Number(then) > 0 && Number(then) < 900);
    await page.waitForTimeout(600);
    assert.equal(await posted(), then);
    assert.deepEqual(window.problems, []);
});
