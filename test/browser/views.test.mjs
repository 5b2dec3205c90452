// The views, and the way from one to another.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { serve } from './support/server.mjs';
import { launch, openWindow, range } from './support/window.mjs';

const NAMES = ['feed', 'isolation', 'administration'];

let browser;

before(async () => {
    browser = await launch();
});

after(() => browser?.close());

/** Waits until that view, and no other, is shown, and is the one that the navigation names. */
async function shows(window, name) {
    await window.page.locator(`#views a[href="#${name}"][aria-current="page"]`).waitFor();
    assert.equal(await window.page.locator('#views [aria-current]').count(), 1);
    await window.page.locator(name === 'feed' ? '#main' : `#view-${name} h2`).waitFor();
    assert.equal(await window.page.locator('main:visible').count(), 1);
    assert.equal(await window.page.locator('#viewport').isVisible(), name === 'feed');
}

function focused(window) {
    return window.page.evaluate(() => document.activeElement.id || document.activeElement.getAttribute('href'));
}

test('views are fetched when they are shown, and the feed goes on behind them', async (t) => {
    const server = await serve(t);
    const asked = [];
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`, {}, async (page) => {
        page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    });
    const { page } = window;
    await window.state('live');
    await shows(window, 'feed');
    const late = () => asked.filter((path) => /isolation|admin/.test(path)).sort();
    assert.deepEqual(late(), []);

    await page.click('#views a[href="#isolation"]');
    await shows(window, 'isolation');
    assert.ok(late().includes('/js/isolation/main.js') && late().includes('/css/isolation.css'));
    assert.ok(!late().some((path) => path.includes('admin')));
    assert.equal(await focused(window), 'view-isolation');
    await server.publishMany('tenant_a', 'behind', 7);
    await page.click('#views a[href="#administration"]');
    await shows(window, 'administration');
    assert.equal(await page.getAttribute('#state', 'data-state'), 'live');

    const asked_before = asked.length;
    await page.click('#views a[href="#isolation"]');
    await shows(window, 'isolation');
    await page.click('#views a[href="#feed"]');
    await shows(window, 'feed');
    assert.equal(asked.slice(asked_before).filter((path) => /isolation|admin/.test(path)).length, 0);
    await window.reaches(7);
    assert.deepEqual(await window.rows(), range(1, 7).reverse());
    assert.equal(await page.locator('#events li').count(), 7);
    assert.deepEqual(window.problems, []);
});

test('the address says which, going back and loading anew as well', async (t) => {
    const server = await serve(t);
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a#administration`);
    const { page } = window;
    await shows(window, 'administration');
    assert.notEqual(await focused(window), 'view-administration');
    await window.state('live');
    assert.equal(new URL(page.url()).hash, '#administration');
    for (const name of ['isolation', 'feed']) {
        await page.click(`#views a[href="#${name}"]`);
        await shows(window, name);
    }
    await page.goBack();
    await shows(window, 'isolation');
    await page.reload();
    await page.waitForSelector('body[data-ready]');
    await shows(window, 'isolation');
    await page.goBack();
    await shows(window, 'administration');
    await page.evaluate(() => { location.hash = '#nothing-of-that-name'; });
    await page.waitForTimeout(100);
    await shows(window, 'administration');
    assert.deepEqual(window.problems, []);
});

test('from the keyboard', async (t) => {
    const server = await serve(t);
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`);
    const { page } = window;
    await window.state('live');
    await page.focus('#help-open');
    for (const name of NAMES) {
        await page.keyboard.press('Tab');
        assert.equal(await focused(window), `#${name}`);
    }
    await page.keyboard.press('Enter');
    await shows(window, 'administration');
    assert.equal(await focused(window), 'view-administration');

    await page.keyboard.press('p');
    await page.focus('#skip');
    await page.keyboard.press('Enter');
    assert.equal(await focused(window), 'view-administration');
    await page.keyboard.press('/');
    await shows(window, 'feed');
    assert.equal(await focused(window), 'search');
    assert.equal(await page.getAttribute('#pause', 'aria-pressed'), 'false');
    await page.goBack();
    await shows(window, 'administration');
    await page.goForward();
    await shows(window, 'feed');
    await page.focus('#skip');
    await page.keyboard.press('Enter');
    assert.equal(await focused(window), 'viewport');
    await shows(window, 'feed');
});

test('a view that can’t be fetched says so, and is fetched when asked again', async (t) => {
    const server = await serve(t);
    for (const file of ['**/js/isolation/main.js', '**/css/isolation.css']) {
        const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`);
        const { page } = window;
        await window.state('live');
        await page.route(file, (route) => route.abort());
        await page.click('#views a[href="#isolation"]');
        await page.locator('#view-isolation [role="alert"]', { hasText: 'can’t be loaded' }).waitFor();
        await page.unroute(file);
        await page.click('#view-isolation button');
        await shows(window, 'isolation');
        assert.equal(await focused(window), 'view-isolation');
    }
});

test('360 pixels hold each of them', async (t) => {
    const server = await serve(t);
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`,
        { viewport: { width: 360, height: 740 } });
    const { page } = window;
    await window.state('live');
    for (const name of NAMES) {
        await page.click(`#views a[href="#${name}"]`);
        await shows(window, name);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= 360, name);
        assert.equal(await page.locator('#panes').isVisible(), name === 'feed');
        assert.ok(await page.locator('#state').isVisible());
    }
});
