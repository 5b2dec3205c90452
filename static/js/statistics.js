import { Problem, stats } from './api.js';
import { byId, make } from './dom.js';
import { BOUNDS, Histogram } from './histogram.js';
import { Rate } from './rate.js';
import { badgeOf } from './row.js';

/** @typedef {import('./access.js').Access} Access */
/** @typedef {import('./api.js').FeedEvent} FeedEvent */

const SECONDS = 180;
const ASK_EVERY_MS = 3000;
const DRAW_EVERY_MS = 1000;
const TYPES = 8; // bars; the rest is summed up
const CHART_HEIGHT = 48;

/** What is counted, live: by the server what it keeps, by the page what it sees. */
export class Statistics {
    #total = byId('stat-total', HTMLElement);
    #connections = byId('stat-connections', HTMLElement);
    #rateNow = byId('stat-rate', HTMLElement);
    #peak = byId('stat-peak', HTMLElement);
    #line = byId('rate-line', SVGPathElement);
    #types = byId('stat-types', HTMLElement);
    #bars = byId('latency', HTMLElement);
    #latency = byId('stat-latency', HTMLElement);
    #problem = byId('stat-problem', HTMLElement);
    #onTypes;
    #rate = new Rate(SECONDS);
    #histogram = new Histogram();
    #skew = 0;
    /** @type {Access | null} */
    #access = null;
    /** Whether the server has refused to answer this one. */
    #refused = false;
    /** What the server said last, and what has come since. */
    #base = { total: 0, last_seq: 0, connections: 0, by_type: /** @type {Record<string, number>} */ ({}) };
    /** @type {Map<string, number>} */
    #since = new Map();
    #changed = true;

    /** @param {(counts: [type: string, count: number][]) => void} onTypes told which there are, frequent ones first */
    constructor(onTypes) {
        this.#onTypes = onTypes;
        this.#bars.append(...BOUNDS.map((ms) => barOf(`≤ ${ms} ms`)), barOf('> 1 s'));
        setInterval(() => this.#ask(), ASK_EVERY_MS);
        setInterval(() => this.#draw(), DRAW_EVERY_MS);
        document.addEventListener('visibilitychange', () => this.#ask());
        this.#draw();
    }

    /** @param {Access | null} access null where there is no tenant to count for */
    reset(access) {
        this.#access = access;
        this.#refused = false;
        this.#rate = new Rate(SECONDS);
        this.#histogram = new Histogram();
        this.#base = { total: 0, last_seq: 0, connections: 0, by_type: {} };
        this.#since.clear();
        this.#changed = true;
        this.#problem.textContent = '';
        this.#draw();
        this.#ask();
    }

    /** The server lets us in again. */
    resume() {
        if (this.#refused) {
            this.#refused = false;
            this.#ask();
        }
    }

    /** @param {number} ms what the server's clock is behind ours */
    setSkew(ms) {
        this.#skew = ms;
    }

    /** @param {FeedEvent[]} events that have just come */
    seen(events) {
        const now = Date.now();
        this.#rate.add(events.length, now);
        for (const { type, seq, timestamp } of events) {
            this.#histogram.add(Math.max(0, now - this.#skew - Date.parse(timestamp)));
            if (seq > this.#base.last_seq) {
                this.#since.set(type, (this.#since.get(type) ?? 0) + 1);
            }
        }
        this.#changed = true;
    }

    /** While nobody looks, nobody asks. */
    async #ask() {
        const access = this.#access;
        if (access === null || this.#refused || document.hidden) {
            return;
        }
        try {
            const answer = await stats(access);
            if (access === this.#access) {
                this.#base = answer;
                this.#since.clear();
                this.#changed = true;
                this.#problem.textContent = '';
                this.#draw();
            }
        } catch (error) {
            if (access === this.#access) {
                this.#refused = error instanceof Problem && (error.status === 401 || error.status === 403);
                this.#problem.textContent = `Not up to date. ${error instanceof Error ? error.message : ''}`;
            }
        }
    }

    #draw() {
        if (document.hidden) {
            return;
        }
        const counts = this.#rate.read(Date.now()).slice(0, -1);
        const peak = Math.max(...counts);
        this.#rateNow.textContent = String(counts.at(-1));
        this.#peak.textContent = `peak ${peak.toLocaleString()}/s`;
        this.#line.setAttribute('d', areaOf(counts, Math.max(peak, 1)));
        if (this.#changed) {
            this.#changed = false;
            this.#drawCounts();
            this.#drawLatency();
        }
    }

    #drawCounts() {
        const { total, connections, by_type: byType } = this.#base;
        const counts = new Map(Object.entries(byType));
        let live = 0;
        for (const [type, count] of this.#since) {
            counts.set(type, (counts.get(type) ?? 0) + count);
            live += count;
        }
        const sorted = [...counts].sort(([, a], [, b]) => b - a);
        this.#total.textContent = (total + live).toLocaleString();
        this.#connections.textContent = connections.toLocaleString();
        this.#types.replaceChildren(...typeBars(sorted));
        this.#onTypes(sorted);
    }

    #drawLatency() {
        const { counts, total } = this.#histogram;
        const most = Math.max(1, ...counts);
        [...this.#bars.children].forEach((bar, i) => {
            /** @type {HTMLElement} */ (bar).style.setProperty('--share', String(counts[i] / most));
            /** @type {HTMLElement} */ (bar).title = `${bar.getAttribute('aria-label')}: ${counts[i].toLocaleString()}`;
        });
        this.#latency.textContent = total === 0 ? 'none seen live yet'
            : `half ${bound(this.#histogram.quantile(0.5))}, 99 % ${bound(this.#histogram.quantile(0.99))}`;
    }
}

/** @param {number | null} ms */
function bound(ms) {
    return ms === Infinity ? '> 1 s' : `≤ ${ms} ms`;
}

/** @param {string} label */
function barOf(label) {
    const bar = make('li');
    bar.setAttribute('aria-label', label);
    return bar;
}

/** @param {[string, number][]} sorted */
function typeBars(sorted) {
    const shown = sorted.slice(0, TYPES);
    const rest = sorted.slice(TYPES);
    const most = Math.max(1, ...shown.map(([, count]) => count));
    const rows = shown.map(([type, count]) => {
        const row = make('li');
        row.style.setProperty('--share', String(count / most));
        row.append(badgeOf(type), make('span', 'count', count.toLocaleString()));
        return row;
    });
    if (rest.length > 0) {
        const sum = rest.reduce((total, [, count]) => total + count, 0);
        rows.push(make('li', 'rest', `${rest.length} more types, ${sum.toLocaleString()} events`));
    }
    return rows;
}

/**
 * @param {number[]} counts
 * @param {number} peak
 */
function areaOf(counts, peak) {
    const tops = counts.map((count, x) => `${x} ${(CHART_HEIGHT * (1 - count / peak)).toFixed(1)}`);
    return `M0 ${CHART_HEIGHT}L${tops.join('L')}L${counts.length - 1} ${CHART_HEIGHT}Z`;
}
