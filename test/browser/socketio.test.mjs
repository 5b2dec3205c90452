// The stock Socket.IO client in a real browser, on a page of another origin.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { serve } from './support/server.mjs';
import { launch } from './support/window.mjs';

const bundle = new URL('../clients/node_modules/socket.io-client/dist/socket.io.min.js', import.meta.url);
const transports = { polling: ['polling'], websocket: ['websocket'], upgrading: ['polling', 'websocket'] };

const namespaces = { '': { query: { tenant: 'tenant_a' } }, '/events': { auth: { tenantId: 'tenant_a' } } };

let browser;
let origin;
let pages;

/** A site of its own, that serves a page with the client in it. */
before(async () => {
    const client = await readFile(bundle);
    pages = createServer((request, response) => {
        const script = request.url === '/client.js';
        response.writeHead(200, { 'Content-Type': script ? 'text/javascript' : 'text/html' });
        response.end(script ? client : '<!doctype html><title>a page</title><script src="/client.js"></script>');
    });
    await new Promise((resolve) => { pages.listen(0, '127.0.0.1', resolve); });
    origin = `http://127.0.0.1:${pages.address().port}`;
    browser = await launch();
});

after(async () => {
    await browser?.close();
    pages?.close();
});

/** A page of the site with a client connected; `told` reads what that has heard. */
async function open(t, url, options) {
    const context = await browser.newContext();
    t.after(() => context.close());
    const page = await context.newPage();
    await page.goto(origin);
    await page.evaluate(([target, given]) => {
        const { io } = globalThis;
        const told = { names: [], seqs: [], refusal: null };
        const socket = io(target, { reconnection: false, ...given });
        socket.onAny((name) => told.names.push(name));
        ['initial_events', 'snapshot'].forEach((name) => socket.on(name, (events) => {
            told.seqs.push(...events.map((event) => event.seq));
        }));
        socket.on('event_created', (event) => told.seqs.push(event.seq));
        socket.on('connect_error', (error) => { told.refusal = error.message; });
        Object.assign(globalThis, { told, socket });
    }, [url, options]);
    return page;
}

const until = (page, question, argument) => page.waitForFunction(question, argument, { timeout: 15_000 });

for (const [name, names] of Object.entries(transports)) {
    for (const [path, options] of Object.entries(namespaces)) {
        test(`${path || '/'} over ${name}`, async (t) => {
            const server = await serve(t, ['--cors-origin', origin]);
            await server.publishMany('tenant_a', 'before', 2);
            const page = await open(t, server.url + path, { transports: names, withCredentials: true, ...options });
            await until(page, () => globalThis.told.seqs.length === 2);
            await server.publish('tenant_b', { message: 'not for this page' });
            await server.publishMany('tenant_a', 'live', 20);
            await until(page, () => globalThis.told.seqs.length === 22);
            const answer = await page.evaluate(() => new Promise((resolve) => {
                globalThis.socket.emit('post_event', { message: 'from the page' }, resolve);
            }));
            assert.equal(answer.event.message, 'from the page');
            await until(page, () => globalThis.told.seqs.length === 23);
            const seqs = await page.evaluate(() => globalThis.told.seqs);
            assert.deepEqual(seqs, Array.from({ length: 23 }, (_, i) => i + 1));
            const wanted = name === 'polling' ? 'polling' : 'websocket';
            await until(page, (transport) => globalThis.socket.io.engine.transport.name === transport, wanted);
        });
    }
}

for (const [name, names] of Object.entries(transports)) {
    test(`a page of an origin that is not listed gets nothing over ${name}`, async (t) => {
        const server = await serve(t, ['--cors-origin', 'https://example.org']);
        const page = await open(t, server.url, { transports: names, query: { tenant: 'tenant_a' } });
        await until(page, () => globalThis.told.refusal !== null);
        assert.deepEqual(await page.evaluate(() => globalThis.told.names), []);
    });
}
