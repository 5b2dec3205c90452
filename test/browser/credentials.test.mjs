// Who is let in by what, and what of it the page keeps.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { serve } from './support/server.mjs';
import { launch, openWindow } from './support/window.mjs';

const ADMIN = 'the-administrator-of-these-tests';

let browser;

before(async () => {
    browser = await launch();
});

after(() => browser?.close());

async function admin(server, path, body) {
    const response = await fetch(`${server.url}/api/v1/tenants${path}`, {
        method: 'POST',
        headers: { 'Authorization': `Bearer ${ADMIN}`, 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
    });
    assert.ok(response.ok, `${path} was answered ${response.status}`);
    return response.json();
}

async function paste(window, secret) {
    await window.page.fill('#secret', secret);
    await window.page.press('#secret', 'Enter');
}

/** What a tab keeps, and what it would leave behind. */
function storages(page) {
    return page.evaluate(() => [JSON.stringify({ ...sessionStorage }), JSON.stringify({ ...localStorage }),
        document.cookie, location.href]);
}

for (const transport of ['websocket', 'sse', 'socketio']) {
    test(`a key, and a token of another tenant, over ${transport}`, async (t) => {
        const server = await serve(t, ['--auth', 'key', '--admin-key', ADMIN]);
        const { api_key: key } = await admin(server, '', { name: 'Acme', id: 'acme' });
        await admin(server, '', { name: 'Other', id: 'other' });
        const { token } = await admin(server, '/other/token', { sub: 'ann', scopes: ['publish', 'subscribe'] });
        const window = await openWindow(t, browser, server.url, {}, (page) => page.addInitScript((chosen) =>
            localStorage.setItem('carillon.transport', chosen), transport));
        const { page } = window;

        await paste(window, 'car_nonsense');
        await page.locator('#secret-error', { hasText: 'not known' }).waitFor();
        assert.equal(await page.getAttribute('#secret', 'aria-invalid'), 'true');
        await paste(window, `  ${key} `);
        await window.state('live');
        assert.equal(await window.text('#tenant-name'), 'acme');
        assert.equal(await page.inputValue('#secret'), '');
        await window.post('by key');
        await window.sees('by key');

        await page.selectOption('#tenant', { label: 'Another credential…' });
        await paste(window, token);
        await page.waitForFunction(() => document.querySelector('#tenant-name').textContent === 'other');
        await window.state('live');
        await window.post('by token');
        await window.sees('by token');
        assert.equal(await window.row(1).locator('.author').textContent(), 'ann');
        assert.deepEqual(await window.messages(), ['by token']);

        const [session, ...others] = await storages(page);
        assert.ok(session.includes(key) && session.includes(token));
        assert.ok(others.every((text) => !text.includes(key) && !text.includes(token)));
        await page.goto(`${server.url}/?tenant=acme`);
        await window.sees('by key');
        await page.click('#forget');
        await window.state('offline');
        assert.ok(!(await storages(page))[0].includes(key));
        const refused = window.problems.filter((problem) => !/401/.test(problem));
        assert.deepEqual(refused, []);
    });
}

for (const transport of ['websocket', 'sse', 'socketio']) {
    test(`a key that is revoked ends the connection for good over ${transport}`, async (t) => {
        const server = await serve(t, ['--auth', 'key', '--admin-key', ADMIN]);
        const { api_key: key } = await admin(server, '', { name: 'Acme', id: 'acme' });
        const headers = { Authorization: `Bearer ${ADMIN}` };
        const window = await openWindow(t, browser, server.url, {}, (page) => page.addInitScript((chosen) =>
            localStorage.setItem('carillon.transport', chosen), transport));
        await paste(window, key);
        await window.state('live');
        const { keys } = await (await fetch(`${server.url}/api/v1/tenants/acme/keys`, { headers })).json();
        await fetch(`${server.url}/api/v1/tenants/acme/keys/${keys[0].id}`, { method: 'DELETE', headers });
        await window.state('offline');
        assert.notEqual(await window.text('#state-detail'), '');
    });
}

test('a user’s token, and one who may not publish', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'carillon-users-'));
    t.after(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'users.yaml'), 'users:\n'
        + '  - {tenant: acme, name: Ann, token: the-token-of-ann}\n'
        + '  - {tenant: acme, name: wall, token: the-token-of-the-wall, scopes: [subscribe]}\n');
    const server = await serve(t, ['--auth', 'token', '--users', join(folder, 'users.yaml')]);
    const ann = await openWindow(t, browser, server.url);
    const wall = await openWindow(t, browser, server.url);
    assert.equal(await ann.page.getAttribute('#secret', 'placeholder'), 'Token');
    await paste(ann, '');
    await ann.page.locator('#secret-error', { hasText: 'Paste a token.' }).waitFor();
    await paste(ann, 'the-token-of-ann');
    await paste(wall, 'the-token-of-the-wall');
    await ann.state('live');
    await wall.state('live');

    await ann.post('from Ann');
    await wall.sees('from Ann');
    assert.equal(await wall.row(1).locator('.author').textContent(), 'Ann');
    await wall.post('from the wall');
    await wall.page.locator('#compose-error', { hasText: 'may not publish' }).waitFor();
    assert.equal(await wall.page.inputValue('#message'), 'from the wall');
});

test('what the server does not say is found out by trying', async (t) => {
    const server = await serve(t, ['--auth', 'key', '--admin-key', ADMIN]);
    const { api_key: key } = await admin(server, '', { name: 'Acme', id: 'acme' });
    const { token } = await admin(server, '/acme/token', { sub: 'ann', scopes: ['subscribe'] });
    for (const secret of [key, token]) {
        const { page, ...window } = await openWindow(t, browser, server.url, {}, (opened) =>
            opened.route('**/api/v1/settings', (route) => route.fulfill({ status: 503, json: { title: 'Not now' } })));
        assert.equal(await page.getAttribute('#secret', 'placeholder'), 'API key or token');
        await paste({ page, ...window }, secret);
        await page.locator('#state[data-state="live"]').waitFor();
        assert.equal(await page.locator('#tenant-name').textContent(), 'acme');
        assert.equal(await page.locator('#message-count').textContent(), '0 / 2048');
    }
});

test('a tenant has its color, on every page the same', async (t) => {
    const server = await serve(t);
    const colors = [];
    for (const tenant of ['tenant_a', 'tenant_b', 'tenant_a']) {
        const { page } = await openWindow(t, browser, `${server.url}/?tenant=${tenant}`);
        await page.locator('#tenant-name', { hasText: tenant }).waitFor();
        assert.ok((await page.title()).startsWith(tenant));
        colors.push(await page.locator('.tenant-now').evaluate((name) => getComputedStyle(name).backgroundColor));
    }
    assert.equal(colors[0], colors[2]);
    assert.notEqual(colors[0], colors[1]);
});

test('a credential that is forgotten is used no more', async (t) => {
    const server = await serve(t, ['--auth', 'key', '--admin-key', ADMIN]);
    const { api_key: key } = await admin(server, '', { name: 'Acme', id: 'acme' });
    const window = await openWindow(t, browser, server.url);
    const { page } = window;
    await paste(window, key);
    await window.state('live');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'tenant');
    await window.post('before');
    await window.sees('before');

    for (const connected of [true, false]) {
        if (!connected) {
            await paste(window, key);
            await window.sees('before');
            await page.click('#connect'); // who has only disconnected may publish still
            await window.state('offline');
        }
        await page.click('#forget');
        await window.state('offline');
        const sent = [];
        page.on('request', (request) => sent.push(request.url()));
        assert.equal(await window.text('#tenant-name'), 'No tenant');
        assert.equal(await window.text('#publish-tenant'), 'no tenant');
        assert.equal(await page.title(), 'Carillon');
        assert.equal(new URL(page.url()).searchParams.get('tenant'), null);
        assert.equal(await page.evaluate(() => document.documentElement.dataset.tenant), undefined);
        assert.deepEqual(await window.rows(), []);
        assert.match(await window.text('#events-empty'), /Choose a tenant/);
        assert.equal(await window.text('#stat-total'), '0');
        assert.equal(await page.locator('#stat-types li').count(), 0);
        await window.post('after');
        await page.locator('#compose-error', { hasText: 'Choose a tenant first' }).waitFor();
        await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange'))); // statistics ask then
        assert.deepEqual(sent, []);
    }
    assert.deepEqual(window.problems, []);
});

test('who has to show a credential is not asked for tenants without one', async (t) => {
    const server = await serve(t, ['--auth', 'key', '--admin-key', ADMIN]);
    const sent = [];
    const window = await openWindow(t, browser, `${server.url}/?tenant=acme`, {}, (page) => {
        page.on('request', (request) => sent.push(new URL(request.url()).pathname));
    });
    assert.ok(await window.page.locator('#secret').isVisible());
    assert.deepEqual(sent.filter((path) => path.startsWith('/api')), ['/api/v1/settings']);
    assert.deepEqual(window.problems, []);
});
