// The page under load: it stays smooth, and what it holds is bounded.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { serve } from './support/server.mjs';
import { launch, openWindow } from './support/window.mjs';

const SECONDS = Number(process.env.CARILLON_PAGE_LOAD_SECONDS ?? 8);
const RATE = 1000;
const BATCH = 50;
const LONG_MS = 200;
const BYTES_PER_EVENT = 2500;
const LOADS = 7;

let browser;

before(async () => {
    browser = await launch();
});

after(() => browser?.close());

/**
 * Traces what the main threads of pages do. The function it returns ends that, and gives the longest task in
 * milliseconds of processor time: by the clock, a task also lasts while others have the processor, which says nothing
 * of the page.
 */
async function watchTasks() {
    const session = await browser.newBrowserCDPSession();
    const events = [];
    session.on('Tracing.dataCollected', ({ value }) => events.push(...value));
    await session.send('Tracing.start', { traceConfig: { includedCategories: ['toplevel', '__metadata'] } });
    return async () => {
        const complete = new Promise((resolve) => { session.once('Tracing.tracingComplete', resolve); });
        await session.send('Tracing.end');
        await complete;
        await session.detach();
        const names = events.filter(({ name }) => name === 'thread_name');
        const mains = new Set(names.filter(({ args }) => args.name === 'CrRendererMain')
            .map(({ pid, tid }) => `${pid} ${tid}`));
        const tasks = events.filter(({ ph, pid, tid, tdur }) => ph === 'X' && tdur && mains.has(`${pid} ${tid}`));
        assert.ok(tasks.length > 100, `only ${tasks.length} tasks were traced`);
        return tasks.reduce((longest, { tdur }) => Math.max(longest, tdur), 0) / 1000;
    };
}

async function heapOf(page) {
    const session = await page.context().newCDPSession(page);
    await session.send('HeapProfiler.collectGarbage');
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    await session.detach();
    return usedSize;
}

async function publishBatch(server, from) {
    const events = Array.from({ length: BATCH }, (_, i) => ({
        message: `event ${from + i} of many`, type: `kind.${i % 5}`, metadata: { number: from + i, tags: ['a', 'b'] },
    }));
    const response = await fetch(`${server.url}/api/v1/events/batch`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'X-Tenant-ID': 'tenant_a' },
        body: JSON.stringify(events),
    });
    assert.equal(response.status, 201);
    await response.arrayBuffer();
}

test(`${RATE} events a second for ${SECONDS} s`, async (t) => {
    // All is kept: a machine too busy for the page to follow in time leaves no gap.
    const server = await serve(t, ['--buffer-size', String(RATE * SECONDS)]);
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`);
    await window.state('live');
    const longestTask = await watchTasks();
    const empty = await heapOf(window.page);
    const start = performance.now();
    const total = RATE * SECONDS;
    for (let sent = 0; sent < total; sent += BATCH) {
        await publishBatch(server, sent);
        const left = start + (sent + BATCH) * 1000 / RATE - performance.now();
        await new Promise((resolve) => { setTimeout(resolve, left); });
    }
    await window.reaches(total);
    const longest = await longestTask();

    assert.deepEqual(await window.seqs(), Array.from({ length: total }, (_, i) => total - i));
    const grown = await heapOf(window.page) - empty;
    t.diagnostic(`longest task ${Math.round(longest)} ms, ${Math.round(grown / total)} bytes an event`);
    assert.ok(longest <= LONG_MS, `a task took ${longest} ms`);
    assert.ok(grown <= total * BYTES_PER_EVENT, `${grown} bytes for ${total} events`);
    assert.deepEqual(window.problems, []);
});

test('a hundred thousand are held, no more, and scrolled and filtered smoothly', async (t) => {
    const server = await serve(t);
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`);
    const { page } = window;
    await window.state('live');
    await page.evaluate(async () => {
        const { panel } = await import('/js/main.js');
        let seq = 0;
        window.fill = (count) => panel.add(Array.from({ length: count }, () => {
            seq++;
            return {
                id: `id-${seq}`, tenant_id: 'tenant_a', seq, type: `kind.${seq % 5}`, message: `event ${seq}`,
                metadata: { number: seq }, timestamp: '2026-11-20T20:36:00.123Z',
            };
        }), true);
        window.held = () => panel.store.size;
    });
    for (let i = 0; i < 110; i++) {
        await page.evaluate(() => window.fill(1000));
    }
    await window.reaches(110_000);
    const full = await heapOf(page);
    let longestTask = await watchTasks();
    for (let i = 0; i < 100; i++) {
        await page.evaluate(() => window.fill(1000));
    }
    await window.reaches(210_000);
    const held = await page.evaluate(() => window.held());
    assert.ok(held <= 100_000 && held > 90_000, `${held} are held`);
    const filling = await longestTask();
    const grown = await heapOf(page) - full;
    longestTask = await watchTasks();
    assert.ok(grown < full / 4, `${grown} bytes more than ${full}, for no more events`);

    for (const share of [0.5, 1, 0.25, 0]) {
        await page.locator('#viewport').evaluate((viewport, at) => {
            viewport.scrollTop = viewport.scrollHeight * at;
        }, share);
        await page.waitForTimeout(200);
        assert.ok(await page.locator('#events li').count() < 60);
    }
    await page.fill('#search', 'event 2099');
    await page.locator('#held', { hasText: ' of ' }).waitFor();
    await window.reaches(209_999);
    const longest = Math.max(filling, await longestTask());
    t.diagnostic(`longest task ${Math.round(longest)} ms, ${full} bytes for ${held} events`);
    assert.ok(longest <= LONG_MS, `a task took ${longest} ms`);
});

/** The median of some numbers. */
function median(numbers) {
    return numbers.sort((a, b) => a - b)[numbers.length >> 1];
}

/** Opens the page with an empty cache; `bytes()` is what came over the wire since it was last asked. */
async function weighed(t, url) {
    const data = new Set(); // what it asks the server for is not the page, and grows with what is there
    let bytes = 0;
    const window = await openWindow(t, browser, url, {}, async (page) => {
        const session = await page.context().newCDPSession(page);
        await session.send('Network.enable');
        session.on('Network.responseReceived', ({ requestId, type }) => {
            if (type === 'Fetch' || type === 'XHR') {
                data.add(requestId);
            }
        });
        session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
            bytes += data.has(requestId) ? 0 : encodedDataLength;
        });
    });
    const take = () => {
        const taken = bytes;
        bytes = 0;
        return taken;
    };
    return { window, take };
}

/** When something was to be seen first, in milliseconds, with an empty cache each time. */
async function firstPaints(url, prepare = async () => {}) {
    const paints = [];
    for (let i = 0; i < LOADS; i++) {
        const context = await browser.newContext();
        const page = await context.newPage();
        await prepare(page);
        await page.goto(url);
        paints.push(await page.evaluate(() => new Promise((resolve) => {
            new PerformanceObserver((list, observer) => {
                const [paint] = list.getEntriesByName('first-contentful-paint');
                if (paint) {
                    observer.disconnect();
                    resolve(paint.startTime);
                }
            }).observe({ type: 'paint', buffered: true });
        })));
        await context.close();
    }
    return paints;
}

test('the page is small, and soon there', async (t) => {
    const server = await serve(t);
    const paints = await firstPaints(server.url);
    const bare = await firstPaints(server.url, (page) =>
        page.route('**/*', (route) => route.fulfill({ contentType: 'text/html', body: '<p>a page</p>' })));
    t.diagnostic(`first paint after ${Math.round(median(paints))} ms, the median of ${LOADS} loads, the longest after`
        + ` ${Math.round(Math.max(...paints))} ms; a page of one word after ${Math.round(median(bare))} ms`);

    const { window, take } = await weighed(t, server.url);
    const bytes = take();
    const parts = [];
    for (const view of ['isolation', 'administration']) {
        await window.page.click(`#views a[href="#${view}"]`);
        await window.page.locator(`#view-${view} h2`).waitFor();
        await window.page.waitForTimeout(300);
        parts.push([view, take()]);
    }
    await window.page.evaluate(() => import('/js/vendor/socket.io.esm.min.js'));
    await window.page.waitForTimeout(300);
    parts.push(['the Socket.IO client', take()]);
    t.diagnostic(`${bytes} bytes on the wire, headers and all; when chosen, ${parts.map((part) => part.join(' '))
        .join(', ')}`);
    const all = parts.slice(0, 2).reduce((sum, [, part]) => sum + part, bytes);
    assert.ok(bytes > 10_000 && all < 120_000, `${all} bytes on the wire, all views`);
    assert.ok(parts.every(([, part]) => part > 0), 'the parts were not there before');
});
