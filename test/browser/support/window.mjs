import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { artifacts } from './server.mjs';

const WAIT_MS = 15_000;

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

    /** The seqs, as listed. */
    seqs() {
        const rows = this.page.locator('#events li[data-seq]');
        return rows.evaluateAll((all) => all.map((row) => Number(row.dataset.seq)));
    }

    /** Unfolds the metadata of an event, and reads it. */
    async metadata(seq) {
        const row = this.page.locator(`#events li[data-seq="${seq}"]`);
        await row.locator('summary').click();
        await row.locator('pre', { hasText: '}' }).waitFor();
        return JSON.parse(await row.locator('pre').textContent());
    }

    notices() {
        return this.page.locator('#events li[data-notice]').allTextContents();
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
