import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { relay } from './support/proxy.mjs';
import { serve } from './support/server.mjs';
import { launch, openWindow, range } from './support/window.mjs';

const HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>&lt;b&gt;\u2028</li>';

let browser;

before(async () => {
    browser = await launch();
});

after(() => browser?.close());

function descending(numbers) {
    return numbers.every((number, i) => i === 0 || number < numbers[i - 1]);
}

/** Opens a window that is connected to `tenant`. */
async function watch(t, url, tenant, ...rest) {
    const window = await openWindow(t, browser, `${url}/?tenant=${tenant}`, ...rest);
    await window.state('live');
    return window;
}

test('the page loads without a violation or an error, and connects', async (t) => {
    const server = await serve(t);
    const window = await openWindow(t, browser, server.url);
    const { page } = window;

    assert.equal(window.response.status(), 200);
    const policy = window.response.headers()['content-security-policy'] ?? '';
    assert.match(policy, /(script|default)-src 'self'/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    assert.equal(await page.getAttribute('#state', 'data-state'), 'offline');
    assert.deepEqual(await page.locator('#tenant option').allTextContents(), ['tenant_a', 'tenant_b', 'Another…']);

    await page.click('#connect');
    await window.state('live');
    assert.equal(await window.text('#state-text'), 'Live');
    assert.equal(new URL(page.url()).searchParams.get('tenant'), 'tenant_a');

    await window.post('first');
    await window.sees('first');
    await page.click('#connect');
    await window.state('offline');
    assert.deepEqual(window.problems, []);
});

test('two windows of a tenant see each other, a third of another tenant sees nothing', async (t) => {
    const server = await serve(t);
    const one = await watch(t, server.url, 'tenant_a');
    const two = await watch(t, server.url, 'tenant_a');
    const other = await watch(t, server.url, 'tenant_b');

    await one.post('from one');
    await two.sees('from one');
    await two.post('from two');
    await one.sees('from two');
    await other.post('from the other');
    await other.sees('from the other');

    assert.deepEqual(await one.messages(), ['from two', 'from one']);
    assert.deepEqual(await two.messages(), ['from two', 'from one']);
    assert.deepEqual(await other.messages(), ['from the other']);
    await one.screenshot('two-windows');
    for (const window of [one, two, other]) {
        assert.deepEqual(window.problems, []);
    }
});

test('events stand newest first, and a new one is highlighted for a moment', async (t) => {
    const server = await serve(t);
    await server.publishMany('tenant_a', 'before', 60);
    const window = await watch(t, server.url, 'tenant_a');

    assert.deepEqual(await window.seqs(), range(11, 60).reverse());
    assert.equal(await window.page.locator('#events [data-fresh]').count(), 0);

    const event = await server.publish('tenant_a', { message: 'new' });
    await window.page.waitForSelector(`#events li[data-seq="${event.seq}"][data-fresh]`);
    assert.equal((await window.seqs())[0], event.seq);
    assert.equal(await window.page.locator('#events [data-fresh]').count(), 1);
    await window.page.waitForSelector('#events [data-fresh]', { state: 'detached' });
    assert.ok(descending(await window.seqs()));
});

test('an event shows its type, times and author, and unfolded all of it', async (t) => {
    const server = await serve(t);
    const window = await watch(t, server.url, 'tenant_a');
    const { page } = window;

    await page.click('#more summary');
    await page.fill('#type', 'order.paid');
    await page.fill('#metadata', '{"amount": 12, "items": ["a", {"sku": "b", "gift": null}]}');
    await page.click('#post');
    const row = window.row(1);
    await row.waitFor();
    assert.equal(await row.locator('.badge').textContent(), 'order.paid');
    assert.equal(await row.locator('.message').count(), 0);
    assert.equal(await row.locator('.details').count(), 0);
    assert.match(await row.locator('time').getAttribute('datetime'), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.match(await row.locator('time').textContent(), /^\d\d:\d\d:\d\d$/);
    assert.match(await row.locator('.ago').textContent(), /now|ago/);

    await row.locator('.fold').press('Enter');
    assert.equal(await row.locator('.fold').getAttribute('aria-expanded'), 'true');
    assert.deepEqual(await row.locator('.tree .name').allTextContents(), ['amount', 'items']);
    await row.locator('summary', { hasText: 'items' }).click();
    await row.locator('summary', { hasText: '1' }).last().click();
    await row.locator('.tree .name', { hasText: 'gift' }).waitFor();
    assert.deepEqual(await row.locator('.tree .name').allTextContents(), ['amount', 'items', '0', '1', 'sku', 'gift']);
    assert.deepEqual(await row.locator('.tree .leaf').allTextContents(), ['12', '"a"', '"b"', 'null']);
    const id = await row.getAttribute('data-id');
    assert.ok((await row.locator('.facts').textContent()).includes(id));
    await row.locator('.fold').press('Enter');
    await row.locator('.details').waitFor({ state: 'detached' });
});

test('markup in an event is shown as text', async (t) => {
    const server = await serve(t);
    const window = await watch(t, server.url, 'tenant_a');
    const { page } = window;

    await window.post(HOSTILE);
    await page.waitForSelector('#events li[data-seq="1"]');
    await server.publish('tenant_a', { message: HOSTILE, metadata: { [HOSTILE]: [HOSTILE] } });
    const shown = async () => {
        const row = await window.unfold(2);
        assert.equal(await row.locator('.text').textContent(), HOSTILE);
        assert.equal(await row.locator('.tree .name').first().textContent(), HOSTILE);
        assert.equal(JSON.parse(await row.locator('.leaf').textContent()), HOSTILE);
    };
    await shown();
    await page.reload(); // live is one way in, the snapshot another
    await shown();

    assert.equal(await window.row(1).locator('.message').textContent(), HOSTILE);
    assert.equal(await page.locator('#events img, #events script, #events b').count(), 0);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.deepEqual(window.problems, []);

    await page.evaluate(() => { // were it ever to become markup, the policy would still stop it
        const script = document.createElement('script');
        script.textContent = 'window.hacked = 1';
        document.body.append(script);
    });
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.match(window.problems.join(), /script-src/);
});

test('a server killed and restarted is found again, and its new log is shown as one', async (t) => {
    const server = await serve(t);
    const proxy = await relay(t, server);
    const window = await watch(t, proxy.url, 'tenant_a');
    await server.publishMany('tenant_a', 'old', 3);
    await window.reaches(3);

    await server.kill();
    await window.page.waitForFunction(() => { // in one look: it tries again soon
        const text = (id) => document.getElementById(id).textContent;
        return text('state-text') === 'Connection lost' && /^retrying in \d+ s$/.test(text('state-countdown'));
    });
    await window.screenshot('retrying');
    proxy.cut(); // so that all of the new ones are there before the page is
    await server.start();
    await server.publishMany('tenant_a', 'new', 5);
    proxy.mend();
    await window.state('live');
    await window.reaches(5);

    assert.deepEqual(await window.messages(),
        ['new 5', 'new 4', 'new 3', 'new 2', 'new 1', 'old 3', 'old 2', 'old 1']);
    const notices = await window.notices();
    assert.equal(notices.length, 1);
    assert.match(notices[0], /made anew.*#3/);
    assert.equal((await window.rows()).indexOf(notices[0]), 5);

    await window.post('after');
    await window.sees('after');
});

test('a broken connection goes on where it broke', async (t) => {
    const server = await serve(t);
    const proxy = await relay(t, server);
    const window = await watch(t, proxy.url, 'tenant_a');
    await server.publishMany('tenant_a', 'before', 10);
    await window.reaches(10);

    for (const round of [1, 2, 3]) {
        proxy.cut();
        await window.state('retrying');
        await server.publishMany('tenant_a', `during ${round}`, 40);
        proxy.mend();
        await window.retry();
        await window.state('live');
        await window.reaches(10 + round * 40);
    }
    await server.publish('tenant_a', { message: 'after' });
    await window.reaches(131);

    assert.deepEqual(await window.seqs(), range(1, 131).reverse());
    assert.deepEqual(await window.notices(), []);
});

test('a line that died without a word is found out', async (t) => {
    const server = await serve(t);
    const proxy = await relay(t, server);
    let pongs = 0;
    const window = await watch(t, proxy.url, 'tenant_a', {}, async (page) => {
        await page.clock.install();
        page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => {
            pongs += JSON.parse(payload).type === 'pong' ? 1 : 0;
        }));
    });
    await server.publishMany('tenant_a', 'before', 2);
    await window.reaches(2);

    const earlier = pongs;
    await window.page.clock.fastForward(21_000);
    while (pongs === earlier) {
        await window.page.waitForTimeout(20);
    }
    await window.page.evaluate(() => 0); // the page has read it by then, too
    await window.page.clock.fastForward(12_000);
    assert.equal(await window.page.getAttribute('#state', 'data-state'), 'live');

    proxy.freeze();
    await server.publishMany('tenant_a', 'during', 2);
    await window.page.clock.fastForward(21_000);
    await window.page.clock.fastForward(12_000);
    await window.reaches(4);
    await window.state('live');
    assert.deepEqual(await window.seqs(), [4, 3, 2, 1]);
});

test('disconnecting and connecting again misses nothing, changing the tenant empties the list', async (t) => {
    const server = await serve(t);
    const window = await watch(t, server.url, 'tenant_a');
    const { page } = window;
    await server.publishMany('tenant_a', 'a', 2);
    await window.reaches(2);

    await page.click('#connect');
    await window.state('offline');
    await server.publishMany('tenant_a', 'more', 2);
    await page.click('#connect');
    await window.reaches(4);
    assert.deepEqual(await window.seqs(), [4, 3, 2, 1]);

    await server.publish('tenant_b', { message: 'b' });
    await page.selectOption('#tenant', 'tenant_b');
    await window.sees('b');
    assert.deepEqual(await window.messages(), ['b']);
    assert.equal(new URL(page.url()).searchParams.get('tenant'), 'tenant_b');
    await server.publish('tenant_a', { message: 'too late' });
    await window.post('b again');
    await window.sees('b again');
    assert.deepEqual(await window.messages(), ['b again', 'b']);

    await page.selectOption('#tenant', { label: 'Another…' });
    await page.fill('#tenant-other', 'tenant_a');
    await page.press('#tenant-other', 'Enter');
    await window.sees('too late');
    assert.deepEqual(window.problems, []);
});

test('the tenants are offered in order, the usual two where the server does not say', async (t) => {
    const server = await serve(t);
    for (const [status, ids, offered] of [
        [200, ['b10', 'c', 'a'], ['a', 'b10', 'c']],
        [200, [], []],
        [503, [], ['tenant_a', 'tenant_b']],
    ]) {
        const window = await openWindow(t, browser, server.url, {}, (page) => page.route('**/api/v1/tenants', (route) =>
            route.fulfill({ status, json: { tenants: ids.map((id) => ({ id })) } })));
        assert.deepEqual(await window.page.locator('#tenant option').allTextContents(), [...offered, 'Another…']);
        assert.equal(await window.page.locator('#tenant-other').isVisible(), offered.length === 0);
    }
});

test('an unknown tenant is refused with its reason, and not asked for again and again', async (t) => {
    const server = await serve(t);
    const window = await openWindow(t, browser, `${server.url}/?tenant=nobody`);

    await window.page.waitForFunction(() => document.querySelector('#state-detail').textContent !== '');
    await window.state('offline');
    assert.equal(await window.page.inputValue('#tenant-other'), 'nobody');
    assert.equal(await window.text('#state-detail'), 'Unknown tenant');
    assert.equal(await window.text('#events-empty'), 'Unknown tenant');

    const strange = await openWindow(t, browser, `${server.url}/?tenant=${encodeURIComponent(HOSTILE)}`);
    assert.match(await strange.text('#tenant-error'), /up to 64/);
    assert.equal(await strange.page.getAttribute('#state', 'data-state'), 'offline');
});

test('the form says what is wrong where it is wrong', async (t) => {
    const server = await serve(t);
    const window = await watch(t, server.url, 'tenant_a');
    const { page } = window;

    await page.click('#post');
    assert.match(await window.text('#message-error'), /Write a message/);
    assert.equal(await page.getAttribute('#message', 'aria-invalid'), 'true');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'message');

    await page.fill('#message', 'fine');
    assert.equal(await window.text('#message-error'), '');
    assert.equal(await page.getAttribute('#message', 'aria-invalid'), null);
    await page.fill('#message', '');
    await page.click('#more summary');
    await page.click('#post');
    assert.match(await window.text('#message-error'), /Write a message/);
    await page.fill('#metadata', '[1]');
    assert.equal(await window.text('#message-error'), '');
    await page.fill('#message', 'fine');
    await page.click('#post');
    assert.match(await window.text('#metadata-error'), /object/);
    await page.fill('#metadata', '{oops');
    await page.click('#post');
    assert.match(await window.text('#metadata-error'), /not JSON/);
    await page.fill('#metadata', '');
    await page.fill('#type', 'no spaces');
    await page.click('#post');
    assert.match(await window.text('#type-error'), /up to 64/);
    assert.equal(await page.getAttribute('#message', 'aria-invalid'), null);
    await page.fill('#type', '');
    assert.deepEqual(window.problems, []);

    await page.fill('#message', '🔔'.repeat(2048)); // as the server counts
    assert.equal(await window.text('#message-count'), '2048 / 2048');
    assert.equal(await page.getAttribute('#message-count', 'data-over'), null);
    await page.click('#post');
    await window.reaches(1);
    assert.equal(await window.text('#message-count'), '0 / 2048');

    await page.fill('#message', 'x'.repeat(2049));
    assert.equal(await page.getAttribute('#message-count', 'data-over'), '');
    assert.match(await window.text('#message-error'), /up to 2048/);
    await page.click('#post');
    assert.match(await window.text('#message-error'), /up to 2048/);
    assert.equal(await window.text('#compose-error'), '');
    assert.equal((await page.inputValue('#message')).length, 2049);
    await window.screenshot('form-error');

    await page.fill('#message', 'to nobody');
    await server.kill();
    await page.click('#post');
    await page.waitForFunction(() => /reached/.test(document.querySelector('#compose-error').textContent));
    assert.equal(await page.inputValue('#message'), 'to nobody');
    assert.equal(await window.text('#message-error'), '');
    assert.deepEqual(await page.locator('#toasts-urgent .toast p').allTextContents(), ['Not published to tenant_a.']);
    await page.fill('#message', 'to somebody');
    assert.equal(await window.text('#compose-error'), '');
});

test('a server that is stricter than the page is quoted at the field, once', async (t) => {
    const server = await serve(t);
    const window = await watch(t, server.url, 'tenant_a', {}, (page) => page.route('**/api/v1/events', (route) =>
        route.fulfill({ status: 422, json: { detail: 'the event breaks a rule',
            errors: [{ field: 'message', message: 'has a word that is not liked' }] } })));
    const { page } = window;
    await window.post('a word');
    await page.locator('#message-error', { hasText: /^Has a word that is not liked$/ }).waitFor();
    assert.equal(await window.text('#compose-error'), '');
    assert.equal(await page.locator('.toast').count(), 0);
    await page.fill('#message', 'another');
    assert.equal(await window.text('#message-error'), '');
});

test('nothing is published while the page has no tenant', async (t) => {
    const server = await serve(t);
    const window = await openWindow(t, browser, server.url);
    const { page } = window;
    assert.equal(await window.text('#publish-tenant'), 'no tenant');
    await window.post('to whom');
    await page.locator('#compose-error', { hasText: 'Choose a tenant first' }).waitFor();
    await page.click('#connect');
    await window.state('live');
    assert.equal(await window.text('#compose-error'), '');
    assert.equal(await page.inputValue('#message'), 'to whom');
    await page.click('#post');
    await window.sees('to whom');
    assert.deepEqual(await window.seqs(), [1]);
    assert.deepEqual(window.problems, []);
});

test('characters are counted against what the server takes', async (t) => {
    const server = await serve(t, ['--max-message-chars', '500']);
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`);
    await window.state('live');
    await window.page.fill('#message', '🔔'.repeat(500));
    assert.equal(await window.text('#message-count'), '500 / 500');
    assert.equal(await window.page.getAttribute('#message-count', 'data-over'), null);
    await window.page.click('#post');
    await window.reaches(1);
    await window.page.fill('#message', 'x'.repeat(501));
    assert.equal(await window.page.getAttribute('#message-count', 'data-over'), '');
    await window.page.locator('#message-error', { hasText: 'up to 500' }).waitFor();
});

test('everything can be done from the keyboard', async (t) => {
    const server = await serve(t);
    const window = await openWindow(t, browser, server.url);
    const { page } = window;
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className
        || document.activeElement.parentElement.id);
    const stops = [];

    for (let i = 0; i < 15; i++) {
        await page.keyboard.press('Tab');
        stops.push(await focused());
    }
    assert.deepEqual(stops, ['skip', 'tenant', 'connect', 'transport', 'help-open', 'views', 'views', 'views', 'search',
        'follow', 'pause', 'viewport', 'message', 'more', 'post']);
    await page.focus('#connect');
    await page.keyboard.press('Enter');
    await window.state('live');
    await page.focus('#message');
    await page.keyboard.type('two');
    await page.keyboard.press('Enter');
    await page.keyboard.type('lines');
    await page.keyboard.press('Control+Enter');
    await window.reaches(1);
    assert.deepEqual(await window.messages(), ['two\nlines']);
    assert.equal(await focused(), 'message');
});

test('a window of 360 pixels holds it all', async (t) => {
    const server = await serve(t);
    const long = 'a'.repeat(300);
    await server.publish('tenant_a', { message: long, type: `t${'y'.repeat(60)}`, metadata: { [long]: long } });
    await server.publish('tenant_a', { message: 'A short one.\nOn two lines.', metadata: { room: 12 } });
    await server.publish('tenant_a', { message: 'مرحبا 👋 こんにちは', type: 'greeting' });

    for (const colorScheme of ['light', 'dark']) {
        const window = await watch(t, server.url, 'tenant_a', { viewport: { width: 360, height: 740 }, colorScheme });
        const { page } = window;
        await window.row(1).waitFor();
        await window.unfold(1);
        for (const pane of ['feed', 'publish', 'statistics']) {
            await page.click(`[data-pane="${pane}"]`);
            if (pane === 'publish') {
                await page.click('#more summary');
            }
            const [width, inside] = await page.evaluate(() => [document.documentElement.scrollWidth,
                document.querySelector('#viewport').scrollWidth]);
            assert.ok(width <= 360 && inside <= 360, `${pane} is ${width} pixels wide, its rows ${inside}`);
            for (const always of ['#state', '#tenant-name']) {
                assert.ok(await page.locator(always).isVisible());
            }
            assert.ok(await page.locator(`.pane-${pane}`).isVisible());
            await window.screenshot(`narrow-${pane}-${colorScheme}`);
        }

        const wide = await watch(t, server.url, 'tenant_a', { viewport: { width: 1200, height: 800 }, colorScheme });
        await server.publish('tenant_a', { message: `Hello in ${colorScheme}` });
        await wide.sees(`Hello in ${colorScheme}`);
        await wide.screenshot(`wide-${colorScheme}`);
        assert.deepEqual(wide.problems, []);
    }
});

test('who asked for less motion gets none', async (t) => {
    const server = await serve(t);
    /** The row's and the bells', in the turn in which the row is seen: they last a moment. */
    const animations = () => {
        const head = document.querySelector('#events [data-fresh] .head');
        return head && [head, ...document.querySelectorAll('#bell g')].map((element) =>
            getComputedStyle(element).animationName);
    };
    for (const [reducedMotion, rowMoves] of [['reduce', 'none'], ['no-preference', 'arrive']]) {
        const window = await watch(t, server.url, 'tenant_a', { reducedMotion });
        await server.publish('tenant_a', { message: 'new' });
        const moves = await (await window.page.waitForFunction(animations)).jsonValue();
        assert.deepEqual(moves, [rowMoves, ...new Array(3).fill(rowMoves === 'none' ? 'none' : 'ring')]);
    }
});
