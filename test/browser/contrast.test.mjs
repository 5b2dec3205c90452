// Text on what it stands on, for every hue and both schemes (WCAG 2.2, 1.4.3).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { serve } from './support/server.mjs';
import { launch, openWindow } from './support/window.mjs';

let browser;

before(async () => {
    browser = await launch();
});

after(() => browser?.close());

/** Runs in the page: the lowest contrast of each kind of text, over all hues. */
function lowestContrasts() {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const luminance = (color) => {
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => {
            const share = value / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (one, other) => {
        const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const style = (selector) => getComputedStyle(document.querySelector(selector));
    const lowest = {};
    const note = (what, ink, ground) => {
        lowest[what] = Math.min(lowest[what] ?? 21, contrast(ink, ground));
    };
    for (let hue = 0; hue < 360; hue += 5) {
        document.documentElement.style.setProperty('--tenant-hue', hue);
        for (const element of document.querySelectorAll('.badge, .chip')) {
            element.style.setProperty('--hue', hue);
        }
        note('tenant', style('.tenant-now').color, style('.tenant-now').backgroundColor);
        note('to', style('.to').color, style('.side').backgroundColor);
        note('badge', style('#events .badge').color, style('#events .badge').backgroundColor);
        note('chip', style('.chip').color, style('html').backgroundColor);
        note('state', style('#state').color, style('.top').backgroundColor);
        note('button', style('#connect').color, style('.top').backgroundColor);
        note('select', style('#transport').color, style('#transport').backgroundColor);
        document.querySelector('.chip').setAttribute('aria-pressed', 'true');
        note('pressed chip', style('.chip').color, style('.chip').backgroundColor);
        document.querySelector('.chip').setAttribute('aria-pressed', 'false');
    }
    document.querySelector('.event').toggleAttribute('data-fresh', true); // in this turn: the page takes it away again
    for (const quiet of ['.seq', '.ago', '#held', '#message-count', '.figures dt']) {
        for (const ground of ['html', '.stage', '.event[data-fresh] .head']) {
            note(`${quiet} on ${ground}`, style(quiet).color, style(ground).backgroundColor);
        }
    }
    return lowest;
}

test('text can be read, in light and dark, whatever the hue', async (t) => {
    const server = await serve(t);
    for (const colorScheme of ['light', 'dark']) {
        const window = await openWindow(t, browser, `${server.url}/?tenant=tenant_a`,
            { colorScheme, reducedMotion: 'reduce' }, (page) => page.clock.install());
        await window.state('live');
        await server.publish('tenant_a', { message: 'new' });
        await window.page.locator('.chip').first().waitFor();
        await window.page.locator('#events .badge').first().waitFor(); // drawn in a frame of its own
        const lowest = await window.page.evaluate(lowestContrasts);
        for (const [what, ratio] of Object.entries(lowest)) {
            assert.ok(ratio >= 4.5, `${what} in ${colorScheme}: ${ratio.toFixed(2)}`);
        }
    }
});
