// The administration, against a server that wants keys.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { serve } from './support/server.mjs';
import { relay } from './support/proxy.mjs';
import { launch, openWindow } from './support/window.mjs';

const ADMIN = 'the-administrator-of-these-tests';
const LOCKED = /status of (401|403)/;

let browser;

before(async () => {
    browser = await launch();
});

after(() => browser?.close());

/** Past the page: asks the server as the administrator. */
async function admin(server, method, path, body) {
    const response = await fetch(`${server.url}/api/v1/tenants${path}`, {
        method,
        headers: { 'Authorization': `Bearer ${ADMIN}`, 'Content-Type': 'application/json' },
        ...body === undefined ? {} : { body: JSON.stringify(body) },
    });
    assert.ok(response.ok, `${method} ${path} was answered ${response.status}`);
    return response.status === 204 ? null : response.json();
}

/** The status of publishing with that key. */
async function publish(server, key, message = 'hello') {
    const response = await fetch(`${server.url}/api/v1/events`, {
        method: 'POST',
        headers: { 'X-API-Key': key, 'Content-Type': 'application/json' },
        body: JSON.stringify({ message }),
    });
    await response.arrayBuffer();
    return response.status;
}

function locked(t, ...flags) {
    return serve(t, ['--auth', 'key', '--admin-key', ADMIN, ...flags]);
}

async function enter(page, key) {
    await page.getByLabel('Administrator’s key').fill(key);
    await page.keyboard.press('Enter');
}

/** The view of that server, unlocked. */
async function unlocked(t, url, options = {}) {
    const window = await openWindow(t, browser, `${url}/#administration`, options);
    await enter(window.page, ADMIN);
    await window.page.getByRole('heading', { name: 'Tenants' }).waitFor();
    return window;
}

function tenants(page) {
    return page.getByRole('table', { name: 'Tenants' });
}

function rowOf(page, id) {
    return tenants(page).locator('tbody tr').filter({ has: page.getByRole('button', { name: id, exact: true }) });
}

async function open(page, id) {
    await rowOf(page, id).getByRole('button').click();
    await page.getByRole('heading', { name: id, exact: true }).waitFor();
    await page.getByRole('heading', { name: 'API keys' }).waitFor();
}

function storages(page) {
    return page.evaluate(() => [JSON.stringify({ ...sessionStorage }), JSON.stringify({ ...localStorage }),
        document.cookie, location.href]);
}

function focused(page) {
    return page.evaluate(() => document.activeElement.textContent || document.activeElement.id);
}

test('the key is asked for once, kept in the tab, and forgotten', async (t) => {
    const server = await locked(t);
    const window = await openWindow(t, browser, `${server.url}/#administration`);
    const { page } = window;
    const field = page.getByLabel('Administrator’s key');
    await field.waitFor();
    assert.equal(await field.getAttribute('aria-invalid'), null);
    assert.equal(await tenants(page).count(), 0);

    await enter(page, '');
    await page.getByRole('alert').filter({ hasText: 'Enter the key' }).waitFor();
    await enter(page, 'not the key');
    await page.getByRole('alert').filter({ hasText: 'no blanks' }).waitFor();
    await enter(page, 'a-guess');
    await page.getByRole('alert').filter({ hasText: 'administrator' }).waitFor();
    assert.equal(await field.getAttribute('aria-invalid'), 'true');
    assert.equal(await field.evaluate((input) => input === document.activeElement), true);
    assert.ok(!(await storages(page)).join().includes('a-guess'));

    await enter(page, ADMIN);
    await rowOf(page, 'tenant_a').waitFor();
    assert.ok(!(await field.isVisible()));
    const [kept, local, cookie, url] = await storages(page);
    assert.ok(kept.includes(ADMIN));
    assert.ok(![local, cookie, url].join().includes(ADMIN));
    assert.ok(!(await page.content()).includes(ADMIN));

    await page.reload();
    await rowOf(page, 'tenant_a').waitFor();
    await page.getByRole('button', { name: 'Forget key' }).click();
    await field.waitFor();
    assert.ok(!(await storages(page)).join().includes(ADMIN));
    assert.equal(await tenants(page).isVisible(), false);
    await page.reload();
    await field.waitFor();
    assert.ok(!server.said.join().includes(ADMIN));
    assert.ok(window.problems.every((problem) => LOCKED.test(problem)), window.problems.join('\n'));
});

test('a key that has become wrong locks the view', async (t) => {
    const server = await locked(t);
    const { page } = await unlocked(t, server.url);
    await server.stop();
    server.flags = server.flags.map((flag) => flag === ADMIN ? 'another-one' : flag);
    await server.start();
    await page.getByRole('alert').filter({ hasText: 'administrator' }).waitFor();
    assert.equal(await tenants(page).isVisible(), false);
    assert.ok(!(await storages(page)).join().includes(ADMIN));
    await enter(page, 'another-one');
    await rowOf(page, 'tenant_a').waitFor();
});

test('where nobody has to show a key, none is asked for', async (t) => {
    const server = await serve(t);
    const { page, problems } = await openWindow(t, browser, `${server.url}/?tenant=tenant_a#administration`);
    await rowOf(page, 'tenant_a').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Forget key' }).isVisible(), false);
    assert.equal(await page.getByLabel('Administrator’s key').isVisible(), false);
    assert.deepEqual(problems, []);
});

test('a tenant is made, its key shown once and copied', async (t) => {
    const server = await locked(t);
    const window = await unlocked(t, server.url, { permissions: ['clipboard-read', 'clipboard-write'] });
    const { page } = window;
    await page.getByRole('button', { name: 'New tenant' }).click();
    assert.equal(await page.getByLabel('Name', { exact: true }).evaluate((x) => x === document.activeElement), true);
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('alert').filter({ hasText: 'has a name' }).waitFor();
    await page.getByLabel('Name', { exact: true }).fill('Acme, inc.');
    await page.getByLabel('Id', { exact: true }).fill('tenant_a');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('alert').filter({ hasText: 'is a tenant of that id' }).waitFor();
    await page.getByLabel('Id', { exact: true }).fill('-');
    await page.getByRole('button', { name: 'Create' }).click();
    await page.getByRole('alert').filter({ hasText: 'The id ' }).waitFor();
    await page.getByLabel('Id', { exact: true }).fill('acme');
    await page.keyboard.press('Enter');

    const box = page.getByRole('group', { name: 'API key of acme' });
    const key = await box.getByLabel('API key').inputValue();
    assert.match(key, /^car_[\w-]{44}$/);
    assert.equal(await focused(page), 'Copy');
    await page.keyboard.press('Enter');
    await page.locator('#toasts', { hasText: 'clipboard' }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), key);
    assert.equal(await publish(server, key), 201);
    await rowOf(page, 'acme').getByText('Acme, inc.').waitFor();
    assert.ok(!(await storages(page)).join().includes(key));
    await box.getByRole('button', { name: 'Done' }).click();
    assert.ok(!(await page.content()).includes(key));
    assert.ok(window.problems.every((problem) => /status of (401|409|422)/.test(problem)), window.problems.join('\n'));
});

test('numbers are live while the view is looked at, and nobody asks otherwise', async (t) => {
    const server = await locked(t);
    const { api_key: key } = await admin(server, 'POST', '', { name: 'Acme', id: 'acme' });
    const { page } = await unlocked(t, server.url);
    await rowOf(page, 'acme').waitFor();
    const cell = (n) => rowOf(page, 'acme').locator('td').nth(n);
    for (let i = 0; i < 20; i++) {
        assert.equal(await publish(server, key), 201);
    }
    await page.waitForFunction(() => [...document.querySelectorAll('#view-administration tbody tr')].some((row) =>
        row.textContent.startsWith('acme') && parseFloat(row.children[1].textContent) > 0));
    await cell(5).filter({ hasText: /^20$/ }).waitFor(); // the page may have looked before all of them were there
    await page.getByRole('table', { name: 'Top talkers' }).getByRole('button', { name: 'acme' }).waitFor();

    await page.click('#views a[href="#feed"]');
    await tenants(page).waitFor({ state: 'hidden' });
    let asked = 0;
    const isOverview = (request) => request.url().includes('/overview');
    page.on('request', (request) => { asked += Number(isOverview(request)); });
    await page.waitForTimeout(2500);
    assert.equal(asked, 0);
    await Promise.all([page.waitForRequest(isOverview), page.click('#views a[href="#administration"]')]);
});

test('sorted and filtered by the server', async (t) => {
    const server = await locked(t);
    for (const id of ['zeta', 'beta', 'alpha']) {
        await admin(server, 'POST', '', { name: `The ${id}`, id });
    }
    const { page } = await unlocked(t, server.url);
    const ids = () => tenants(page).locator('tbody th button').allTextContents();
    const sorted = async (want) => {
        await page.waitForFunction((list) => [...document.querySelectorAll('.tenants tbody button')]
            .map((link) => link.textContent).join() === list, want.join());
        assert.deepEqual(await ids(), want);
    };
    const all = ['alpha', 'beta', 'tenant_a', 'tenant_b', 'zeta'];
    const title = tenants(page).getByRole('button', { name: 'Tenant', exact: true });
    await title.click();
    await sorted(all);
    assert.equal(await tenants(page).locator('[aria-sort]').getAttribute('aria-sort'), 'ascending');
    await title.focus();
    await page.keyboard.press('Enter');
    await sorted([...all].reverse());
    assert.equal(await tenants(page).locator('[aria-sort]').getAttribute('aria-sort'), 'descending');
    await page.getByLabel('Filter by id or name').fill('THE ');
    await sorted(['zeta', 'beta', 'alpha']);
    await page.getByRole('status').filter({ hasText: '3 tenants' }).waitFor();
    await page.getByLabel('Filter by id or name').fill('nobody');
    await page.getByText('There is no such tenant.').waitFor();
    await page.getByLabel('Filter by id or name').fill('');
    await sorted([...all].reverse());
});

test('limits and retention, with the server’s errors at the fields', async (t) => {
    const server = await locked(t);
    await admin(server, 'POST', '', { name: 'Acme', id: 'acme', limits: { connections: 7 }, retention: '24h/' });
    const { page } = await unlocked(t, server.url);
    await open(page, 'acme');
    assert.equal(await page.getByLabel('Connections', { exact: true }).inputValue(), '7');
    assert.equal(await page.getByRole('textbox', { name: 'Retention' }).inputValue(), '24h/');
    const save = page.getByRole('button', { name: 'Save' });

    await page.getByLabel('Events a second').fill('many');
    await save.click();
    const events = page.getByLabel('Events a second');
    await page.locator('.terms').getByRole('alert').filter({ hasText: 'whole number' }).waitFor();
    assert.equal(await events.getAttribute('aria-invalid'), 'true');
    assert.equal(await events.evaluate((input) => input === document.activeElement), true);
    await events.fill('50');
    await page.getByRole('textbox', { name: 'Retention' }).fill('soon');
    await save.click();
    await page.locator('.terms').getByRole('alert').filter({ hasText: 'AGE/COUNT' }).waitFor();
    await page.getByRole('textbox', { name: 'Retention' }).fill('/1000');
    await page.getByLabel('Connections', { exact: true }).fill('');
    await page.locator('.terms').getByLabel('Name', { exact: true }).fill('Acme & Sons');
    await save.click();
    await page.locator('#toasts', { hasText: 'terms of acme are changed' }).waitFor();
    const now = await admin(server, 'GET', '/acme');
    assert.equal(now.name, 'Acme & Sons');
    assert.equal(now.retention, '/1000');
    assert.equal(now.limits.events_per_second, 50);
    assert.equal(now.limits.connections, null);
    await page.getByRole('button', { name: 'All tenants' }).click();
    await rowOf(page, 'acme').getByText('Acme & Sons').waitFor();
    assert.equal(await focused(page), 'acme');
});

test('keys are made, rotated and revoked', async (t) => {
    const server = await locked(t);
    const { api_key: first } = await admin(server, 'POST', '', { name: 'Acme', id: 'acme' });
    const { page } = await unlocked(t, server.url);
    await open(page, 'acme');
    const keys = page.getByRole('list', { name: 'API keys' }).getByRole('listitem');
    await keys.filter({ hasText: first.slice(0, 12) }).waitFor();
    assert.equal(await keys.count(), 1);
    assert.ok(!(await page.content()).includes(first));

    await page.getByRole('button', { name: `Rotate ${first.slice(0, 12)}…` }).click();
    const box = page.getByRole('group', { name: 'API key of acme' });
    const second = await box.getByLabel('API key').inputValue();
    assert.equal(await focused(page), 'Copy');
    await keys.nth(1).waitFor();
    assert.deepEqual([await publish(server, first), await publish(server, second)], [201, 201]);

    await box.getByRole('button', { name: `Revoke ${first.slice(0, 12)}…` }).click();
    await box.getByText('is shut out at once').waitFor();
    assert.equal(await publish(server, first), 201);
    await page.keyboard.press('Escape');
    assert.equal(await focused(page), `Revoke ${first.slice(0, 12)}…`);
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    await page.locator('#toasts', { hasText: 'good no more' }).waitFor();
    assert.deepEqual([await publish(server, first), await publish(server, second)], [401, 201]);
    await keys.nth(1).waitFor({ state: 'detached' });
    await box.getByText('still good').waitFor({ state: 'detached' });
    await box.getByRole('button', { name: 'Done' }).click();
    assert.ok(!(await page.content()).includes(second));

    await page.getByRole('button', { name: 'New key' }).click();
    await keys.nth(1).waitFor();
    for (let left = 2; left > 0; left--) {
        await keys.first().getByRole('button', { name: 'Revoke' }).click();
        await keys.first().getByRole('button', { name: /^Revoke car_/ }).click();
        await page.waitForFunction((n) => document.querySelectorAll('.api-keys li[data-key]').length === n, left - 1);
    }
    await keys.filter({ hasText: 'It has none' }).waitFor();
    assert.equal(await publish(server, second), 401);
});

test('a tenant goes when its name has been typed', async (t) => {
    const server = await locked(t);
    const { api_key: key } = await admin(server, 'POST', '', { name: 'Acme Tools', id: 'acme' });
    const { page } = await unlocked(t, server.url);
    await open(page, 'acme');
    const field = page.getByLabel('Type “Acme Tools” to delete it');
    const remove = page.getByRole('button', { name: 'Delete tenant' });
    for (const [typed, said] of [['', 'Type the name'], ['acme', 'not the name'], ['Acme tools', 'not the name']]) {
        await field.fill(typed);
        await remove.click();
        await page.locator('.end').getByRole('alert').filter({ hasText: said }).waitFor();
    }
    assert.equal(await publish(server, key), 201);
    await field.fill('Acme Tools');
    await page.keyboard.press('Enter');
    await page.locator('#toasts', { hasText: 'acme is deleted' }).waitFor();
    await page.waitForFunction(() => !document.querySelector('.tenants').textContent.includes('acme'));
    assert.equal(await publish(server, key), 401);
    assert.equal((await admin(server, 'GET', '')).tenants.length, 2);
});

test('what tenants are called is text, wherever it stands', async (t) => {
    const server = await locked(t);
    const called = '<img src=x onerror="document.title=\'owned\'"><b>Bold</b>';
    await admin(server, 'POST', '', { name: called, id: 'odd' });
    const window = await unlocked(t, server.url);
    const { page } = window;
    await rowOf(page, 'odd').getByText(called).waitFor();
    await open(page, 'odd');
    assert.equal(await page.locator('.terms').getByLabel('Name', { exact: true }).inputValue(), called);
    await page.getByText(`Type “${called}” to delete it`).waitFor();
    assert.equal(await page.locator('#view-administration :is(img, b, script)').count(), 0);
    assert.notEqual(await page.title(), 'owned');
    assert.ok(window.problems.every((problem) => LOCKED.test(problem)), window.problems.join('\n'));
});

test('refusals, without what was shown to get in', async (t) => {
    const server = await locked(t);
    const wrong = `car_${'W'.repeat(44)}`;
    const { page } = await unlocked(t, server.url);
    assert.equal(await publish(server, wrong), 401);
    await fetch(`${server.url}/events?api_key=${wrong}&tenant=tenant_a`);
    const refusals = page.getByRole('table', { name: 'Recent refusals' });
    await refusals.getByRole('row').filter({ hasText: 'POST /api/v1/events' }).filter({ hasText: '401' }).waitFor();
    await refusals.getByRole('row').filter({ hasText: 'GET /events' }).filter({ hasText: 'tenant_a' }).waitFor();
    assert.ok((await refusals.textContent()).includes('127.0.0.1'));
    assert.ok(!(await page.content()).includes('WWWW'));
    await refusals.getByRole('button', { name: 'tenant_a' }).first().click();
    await page.getByRole('heading', { name: 'tenant_a', exact: true }).waitFor();
});

test('slow readers', async (t) => {
    const server = await serve(t, ['--admin-key', ADMIN, '--buffer-size', '2000']);
    const { page } = await unlocked(t, server.url);
    await page.getByText('Everybody keeps up.').waitFor();
    const open1 = await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`);
    const { sid } = JSON.parse((await open1.text()).slice(1));
    const session = `${server.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
    await fetch(session, { method: 'POST', body: '40{"tenant":"tenant_b"}' });
    await (await fetch(session)).text();
    await server.publishMany('tenant_b', 'missed', 3);
    const row = page.getByRole('table', { name: 'Slow readers' }).getByRole('row').filter({ hasText: 'tenant_b' });
    await row.filter({ hasText: 'Socket.IO' }).waitFor();
    assert.equal(await row.locator('td').nth(2).textContent(), '3');
    await (await fetch(session)).text();
    await page.getByText('Everybody keeps up.').waitFor();
});

test('the view is small', async (t) => {
    const server = await locked(t);
    const urls = new Map();
    let bytes = 0;
    const { page } = await openWindow(t, browser, server.url, {}, async (loading) => {
        const session = await loading.context().newCDPSession(loading);
        await session.send('Network.enable');
        session.on('Network.responseReceived', ({ requestId, response }) => urls.set(requestId, response.url));
        session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
            bytes += /admin/.test(urls.get(requestId)) ? encodedDataLength : 0;
        });
    });
    assert.equal(bytes, 0);
    await page.click('#views a[href="#administration"]');
    await page.getByLabel('Administrator’s key').waitFor();
    await page.waitForLoadState('networkidle');
    t.diagnostic(`${bytes} bytes on the wire, headers and all`);
    assert.ok(bytes > 10_000 && bytes < 28_000, `${bytes} bytes on the wire`);
});

test('the server goes, and comes back', async (t) => {
    const server = await locked(t);
    const line = await relay(t, server);
    const { page } = await unlocked(t, line.url);
    await rowOf(page, 'tenant_a').waitFor();
    line.cut();
    const said = page.getByRole('status').filter({ hasText: 'can’t be reached' });
    await said.waitFor();
    assert.ok(await rowOf(page, 'tenant_a').isVisible());
    await rowOf(page, 'tenant_a').getByRole('button').click();
    await page.locator('.tenant').getByRole('alert').filter({ hasText: 'can’t be reached' }).waitFor();
    line.mend();
    await page.getByRole('button', { name: 'Try now' }).click();
    await said.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('heading', { name: 'API keys' }).waitFor();
});

test('what has the focus keeps it when its row moves', async (t) => {
    const server = await locked(t);
    const { api_key: key } = await admin(server, 'POST', '', { name: 'Zeta', id: 'zeta' });
    const { page } = await unlocked(t, server.url);
    const first = tenants(page).locator('tbody tr').first();
    await first.filter({ hasText: 'tenant_a' }).waitFor();
    await rowOf(page, 'zeta').getByRole('button').focus();
    assert.equal(await publish(server, key), 201);
    await first.filter({ hasText: 'zeta' }).waitFor();
    assert.equal(await focused(page), 'zeta');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'API keys' }).waitFor();
    assert.equal(await focused(page), 'zeta');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await tenants(page).waitFor();
    assert.equal(await focused(page), 'zeta');
});

for (const colorScheme of ['light', 'dark']) {
    test(`360 pixels are enough, in ${colorScheme}`, async (t) => {
        const server = await locked(t);
        await admin(server, 'POST', '', { name: 'x'.repeat(128), id: 'a'.repeat(64) });
        const window = await unlocked(t, server.url, { viewport: { width: 360, height: 740 }, colorScheme });
        const { page } = window;
        await rowOf(page, 'tenant_a').waitFor();
        const wide = () => page.evaluate(() => Math.max(document.documentElement.scrollWidth,
            document.querySelector('#view-administration').scrollWidth));
        assert.ok(await wide() <= 360);
        await window.screenshot(`admin-360-${colorScheme}`);
        await page.getByRole('button', { name: 'New tenant' }).click();
        assert.ok(await wide() <= 360);
        await page.getByRole('button', { name: 'Cancel' }).click();
        await open(page, 'a'.repeat(64));
        await page.getByRole('button', { name: 'New key' }).click();
        await page.getByRole('group', { name: /API key of/ }).waitFor();
        assert.ok(await wide() <= 360);
        await window.screenshot(`admin-tenant-360-${colorScheme}`);
    });
}
