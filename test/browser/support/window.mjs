import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { artifacts } from './server.mjs';

const WAIT_MS = 15_000;

/** The whole numbers from one to another, both included. */
export function range(from, to) {
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

export function launch() {
    return chromium.launch({
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
            '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
}

/** One browser window on the page, with what a test asks of it. */
export class Window {
    constructor(page) {
        this.page = page;
        /** Console errors, uncaught exceptions and violations of the Content-Security-Policy. */
        this.problems = [];
        page.setDefaultTimeout(WAIT_MS);
        page.on('console', (message) => {
            if (message.type() === 'error' || message.type() === 'warning') {
                this.problems.push(message.text());
            }
        });
        page.on('pageerror', (error) => this.problems.push(String(error)));
    }

    async state(name) {
        await this.page.waitForSelector(`#state[data-state="${name}"]`);
    }

    /** Connects now: by itself that may come later than a test waits. Nothing where it has done so already. */
    async retry() {
        await this.page.evaluate(() => {
            const button = document.querySelector('#retry-now');
            if (button.checkVisibility()) {
                button.click();
            }
        });
    }

    /** Fills the form and sends it. */
    async post(message) {
        await this.page.fill('#message', message);
        await this.page.click('#post');
    }

    /** Waits until an event of this message is listed. */
    async sees(message) {
        await this.page.locator('#events .message', { hasText: new RegExp(`^${escapeRegExp(message)}$`) }).waitFor();
    }

    /** Waits until the newest event has this seq. */
    async reaches(seq) {
        await this.page.waitForFunction((want) => document.querySelector('#events li[data-seq]')?.dataset.seq === want,
            String(seq));
    }

    /** The messages, as listed. */
    messages() {
        return this.page.locator('#events .message').allTextContents();
    }

    /**
     * All rows of the list, newest first, in sight or not: a seq, or a notice's text. Whatever is in sight has to be
     * there in the same order.
     */
    async rows() {
        const { held, seen } = await this.page.evaluate(async () => {
            const { panel } = await import('/js/main.js');
            const { store } = panel;
            return {
                held: Array.from({ length: store.length }, (_, i) => store.at(i)?.event?.seq ?? store.at(i)?.notice),
                seen: [...document.querySelectorAll('#events li')].map((row) =>
                    row.dataset.seq === undefined ? row.textContent : Number(row.dataset.seq)),
            };
        });
        assert.ok(seen.length <= 120, `${seen.length} rows are elements`);
        const from = held.indexOf(seen[0]);
        assert.deepEqual(seen, seen.length === 0 ? [] : held.slice(from, from + seen.length));
        return held;
    }

    /** The seqs, newest first, of all rows of the list. */
    async seqs() {
        return (await this.rows()).filter((row) => typeof row === 'number');
    }

    async notices() {
        return (await this.rows()).filter((row) => typeof row === 'string');
    }

    row(seq) {
        return this.page.locator(`#events li[data-seq="${seq}"]`);
    }

    /** Unfolds a row, and all branches of its metadata. */
    async unfold(seq) {
        const row = this.row(seq);
        await row.locator('.fold').click();
        await row.locator('.details').waitFor();
        for (let folds = row.locator('details:not([open]) > summary'); await folds.count() > 0;) {
            await folds.first().click();
        }
        return row;
    }

    text(selector) {
        return this.page.locator(selector).textContent();
    }

    async screenshot(name) {
        await mkdir(artifacts, { recursive: true });
        await this.page.screenshot({ path: join(artifacts, `${name}.png`), fullPage: true });
    }
}

function escapeRegExp(text) {
    return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/**
 * Opens the page in a browser profile of its own, which ends with the test.
 *
 * @param {string} url
 * @param {object} [options] of the browser context (viewport, colorScheme, reducedMotion)
 * @param {(page: import('playwright-core').Page) => Promise<void>} [prepare] before the page is loaded
 */
export async function openWindow(t, browser, url, options = {}, prepare = async () => {}) {
    const context = await browser.newContext(options);
    t.after(() => context.close());
    const window = new Window(await context.newPage());
    await window.page.addInitScript(() => {
        document.addEventListener('securitypolicyviolation', (violation) => {
            console.error(`CSP: ${violation.violatedDirective} ${violation.blockedURI}`);
        });
    });
    await prepare(window.page);
    window.response = await window.page.goto(url);
    await window.page.waitForSelector('body[data-ready]');
    return window;
}

/** The feed of tenant_a, live. See openWindow. */
export async function watchTenant(t, browser, server, options = {}, prepare = async () => {}) {
    const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`, options, prepare);
    await window.state('live');
    return window;
}
