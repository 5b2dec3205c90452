// Every view, in each of its states, light and dark, wide and narrow, as axe-core judges it; and pictures of them all.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { relay } from './support/proxy.mjs';
import { serve } from './support/server.mjs';
import { launch, openWindow } from './support/window.mjs';

const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 360, height: 740 };
const LOOKS = {
    'light': { colorScheme: 'light', viewport: WIDE },
    'dark': { colorScheme: 'dark', viewport: WIDE },
    'light-narrow': { colorScheme: 'light', viewport: NARROW },
    'dark-narrow': { colorScheme: 'dark', viewport: NARROW },
};

let axe;
let browser;

before(async () => {
    axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    browser = await launch();
});

after(() => browser?.close());

/** What axe-core finds that is serious or critical, each with the elements. */
async function findings(page) {
    await page.evaluate(axe);
    const violations = await page.evaluate(async () => (await globalThis.axe.run(document)).violations);
    return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}

function open(t, url, prepare) {
    return openWindow(t, browser, url, { viewport: NARROW, reducedMotion: 'reduce' }, prepare);
}

async function look({ page }, { colorScheme, viewport }) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(viewport);
    await page.evaluate(() => new Promise((resolve) => {
        requestAnimationFrame(() => requestAnimationFrame(resolve));
    }));
}

/** Has what comes to tenant_b's sockets come to tenant_a's as well. */
async function leak(page) {
    const others = [];
    await page.routeWebSocket(/\/ws\?/, (near) => {
        const far = near.connectToServer();
        const tenant = new URL(near.url()).searchParams.get('tenant');
        if (tenant === 'tenant_a') {
            others.push(near);
        }
        far.onMessage((text) => {
            near.send(text);
            if (tenant === 'tenant_b' && JSON.parse(text).type === 'event_created') {
                others.forEach((other) => other.send(text));
            }
        });
    });
}

/** Shows that part of the feed's view, for where there is room for one only. */
function pane(page, name) {
    return page.click(`#panes [data-pane="${name}"]`);
}

async function post(window) {
    await window.page.getByLabel('A second').fill('50');
    await window.page.getByRole('button', { name: 'Post canaries' }).click();
}

/** The states of the page: each brings it about, in a narrow window, and gives that. */
const STATES = {
    async empty(t, server) {
        return open(t, server.url);
    },
    async live(t, server) {
        const window = await open(t, `${server.url}/?tenant=tenant_a`);
        await window.state('live');
        await server.publish('tenant_a', { message: 'Hello', type: 'greeting', metadata: { to: ['Ann', null], n: 1 } });
        await server.publish('tenant_a', { message: 'Paid.', type: 'order.paid' });
        await window.unfold(1);
        await window.page.locator('.chip').first().waitFor();
        return window;
    },
    async publishing(t, server) {
        const window = await open(t, `${server.url}/?tenant=tenant_a`);
        await window.state('live');
        await pane(window.page, 'publish');
        await window.page.click('#more summary');
        await window.page.fill('#metadata', '{oops');
        await window.page.click('#post');
        await window.page.locator('#metadata-error', { hasText: 'not JSON' }).waitFor();
        return window;
    },
    async statistics(t, server) {
        const window = await open(t, `${server.url}/?tenant=tenant_a`);
        await window.state('live');
        await pane(window.page, 'statistics');
        await window.page.locator('#stat-types li').first().waitFor();
        return window;
    },
    async refused(t, server) {
        const window = await open(t, `${server.url}/?tenant=nobody`);
        await window.page.locator('#state-detail:not(:empty)').waitFor();
        return window;
    },
    async retrying(t, server) {
        const proxy = await relay(t, server);
        const window = await open(t, `${proxy.url}/?tenant=tenant_a`);
        await window.state('live');
        proxy.cut();
        await window.state('retrying');
        return window;
    },
    async help(t, server) {
        const window = await open(t, `${server.url}/?tenant=tenant_a`);
        await window.page.click('#help-open');
        await window.page.locator('#help').waitFor();
        return window;
    },
    async locked(t) {
        const locked = await serve(t, ['--auth', 'key']);
        const window = await open(t, locked.url);
        await window.page.fill('#secret', 'car_nonsense');
        await window.page.press('#secret', 'Enter');
        await window.page.locator('#secret-error', { hasText: 'not known' }).waitFor();
        return window;
    },
    async isolation(t, server) {
        const window = await open(t, `${server.url}/?tenant=tenant_a#isolation`);
        await window.page.locator('.column [data-state="live"]').nth(1).waitFor();
        await post(window);
        await window.page.locator('.verdict[data-verdict="holds"]').waitFor();
        return window;
    },
    async leaking(t, server) {
        const window = await open(t, `${server.url}/?tenant=tenant_a#isolation`, leak);
        await window.page.locator('.column [data-state="live"]').nth(1).waitFor();
        await post(window);
        await window.page.locator('.verdict[data-verdict="leaked"]').waitFor();
        return window;
    },
    async administration(t, server) {
        const window = await open(t, `${server.url}/?tenant=tenant_a#administration`);
        await window.page.locator('#view-administration h2').waitFor();
        return window;
    },
};

for (const [name, bring] of Object.entries(STATES)) {
    test(`${name}: nothing serious or critical`, async (t) => {
        const server = await serve(t);
        await server.publish('tenant_a', { message: 'there before', type: 'kind.of' });
        const window = await bring(t, server);
        for (const [called, as] of Object.entries(LOOKS)) {
            await look(window, as);
            await window.screenshot(`${name}-${called}`);
            assert.deepEqual(await findings(window.page), [], called);
        }
        assert.deepEqual(window.problems.filter((problem) => /CSP|Content Security/.test(problem)), []);
    });
}

test('what is wrong would be found', async (t) => {
    const server = await serve(t);
    const window = await open(t, server.url);
    await window.page.evaluate(() => {
        document.querySelector('#connect').textContent = '';
        document.querySelector('#events-empty').style.color = '#eee';
        const style = document.createElement('style');
        style.textContent = 'p { color: red }';
        document.head.append(style);
    });
    assert.deepEqual((await findings(window.page)).map((finding) => finding.split(':')[0]).sort(),
        ['button-name', 'color-contrast']);
    assert.ok(window.problems.some((problem) => /CSP|Content Security/.test(problem)));
});
