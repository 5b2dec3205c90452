import { listTenants, Problem, publish, settings } from '../api.js';
import { byId, make } from '../dom.js';
import { Keyring } from '../keyring.js';
import { Column } from './column.js';
import { Adder, Controls } from './forms.js';
import { Runner } from './runner.js';
import { Tally } from './tally.js';

/** @typedef {import('../access.js').Access} Access */
/** @typedef {import('../feed.js').Transport} Transport */
/** @typedef {import('./tally.js').Verdict} Verdict */

/** A browser has six connections to a server, streams among them; the feed's is one, and what is posted wants one. */
const COLUMNS_MAX = 4;
const AT_FIRST = 2;
const SHOW_EVERY_MS = 250;

const ABOUT = 'Each column is a connection of its own, with its tenant’s own credential. Canaries that name their'
    + ' tenant and can’t be guessed are posted to tenants drawn at random; each may be seen in its own column alone.';

/** @type {Record<Verdict, string>} */
const SAYS = {
    idle: 'Nothing posted yet',
    waiting: 'No leak so far',
    blind: 'Can’t tell: a column is not connected',
    holds: 'Isolation holds',
    missing: 'Canaries are missing',
    leaked: 'LEAKED',
};

/**
 * Two or more tenants side by side: canaries are posted to each at random, and none may be seen in a column that is not
 * its own.
 */
export class Bench {
    #tally = new Tally();
    #keyring = new Keyring();
    /** @type {Column[]} */
    #columns = [];
    #row = make('div', 'columns');
    #verdict = make('div', 'verdict');
    #verdictText = make('strong');
    #verdictCounts = make('span');
    #leak = make('p', 'form-error');
    #runner = new Runner({ post: () => this.#post(), changed: () => this.#refresh() });
    #controls = new Controls({
        start: (count, rate) => this.#start(count, rate),
        stop: () => this.#runner.stop(),
        clear: () => this.#clear(),
    });
    #adder = new Adder({ add: (access) => this.#add(access), taken: (tenant) => this.#whyNot(tenant) });
    #due = false;
    #maxChars = Infinity; // of a message; the server says how many

    /** @param {HTMLElement} host */
    constructor(host) {
        this.#leak.role = 'alert';
        this.#verdict.role = 'status';
        this.#verdict.append(this.#verdictText);
        host.append(make('h2', '', 'Isolation'),
            make('p', 'quiet', ABOUT),
            this.#verdict, this.#verdictCounts, this.#leak, this.#controls.element, this.#adder.element, this.#row);
        this.#show();
        setInterval(() => this.#refresh(), 4 * SHOW_EVERY_MS); // what is late is missing without anything happening
        this.#begin();
    }

    /** With the tenants that are at hand. */
    async #begin() {
        /** @type {string[] | null} */
        let tenants = [];
        let auth;
        try {
            const how = await settings();
            auth = how.auth;
            this.#maxChars = how.max_message_chars;
            tenants = auth === 'open' ? await listTenants() : null;
        } catch (error) {
            this.#adder.say(error instanceof Problem ? error.message : String(error));
        }
        this.#adder.offer(tenants, auth);
        const current = document.documentElement.dataset.tenant ?? '';
        const ids = tenants ?? this.#keyring.tenants;
        const first = [...ids.filter((id) => id === current), ...ids.filter((id) => id !== current)];
        for (const tenant of first.slice(0, AT_FIRST)) {
            const access = tenants === null ? this.#keyring.find(tenant) : { tenant, kind: 'name', secret: '' };
            if (access && this.#whyNot(tenant) === '') {
                this.#add(/** @type {Access} */ (access));
            }
        }
    }

    /** Why there can't be a column for it; empty where there can. @param {string} tenant */
    #whyNot(tenant) {
        if (this.#columns.some((column) => column.tenant === tenant)) {
            return `${tenant} has a column already.`;
        }
        return this.#columns.length < COLUMNS_MAX ? '' : `There is room for ${COLUMNS_MAX}; a browser has no more`
            + ' connections to one server.';
    }

    /** @param {Access} access */
    #add(access) {
        const transports = byId('transport', HTMLSelectElement);
        const column = new Column(access, /** @type {Transport} */ (transports.value), [...transports.options], {
            judge: (frame) => this.#tally.take(access.tenant, frame),
            changed: () => this.#refresh(),
            remove: () => this.#remove(column),
        });
        this.#columns.push(column);
        this.#row.append(column.element);
        this.#refresh();
    }

    /** @param {Column} column */
    #remove(column) {
        column.close();
        this.#columns = this.#columns.filter((other) => other !== column);
        this.#tally.drop(column.tenant);
        this.#adder.focus();
        this.#refresh();
    }

    /**
     * @param {number} count
     * @param {number} rate
     */
    #start(count, rate) {
        if (this.#runner.running) {
            return;
        }
        this.#controls.say(this.#columns.length < 2 ? 'Two tenants are wanted at least.' : '');
        if (this.#columns.length > 1) {
            this.#runner.start(count, rate);
        }
    }

    /** One canary, to a tenant drawn at random; whether it was taken. */
    async #post() {
        const column = this.#columns[Math.floor(Math.random() * this.#columns.length)];
        if (!column) {
            return false;
        }
        const { token, message } = this.#tally.issue(column.tenant);
        const what = message.length <= this.#maxChars ? { message } : { metadata: JSON.stringify({ canary: token }) };
        try {
            await publish(column.access, { ...what, type: 'canary' }, token);
            this.#tally.took(token, Date.now());
            return true;
        } catch (error) {
            this.#tally.failed(token);
            this.#controls.say(`${column.tenant}: ${error instanceof Problem ? error.message : error}`);
            return false;
        }
    }

    #clear() {
        this.#tally.clear();
        this.#columns.forEach((column) => column.clear());
        this.#controls.say('');
        this.#refresh();
    }

    #refresh() {
        if (!this.#due) {
            this.#due = true;
            setTimeout(() => {
                this.#due = false;
                this.#show();
            }, SHOW_EVERY_MS);
        }
    }

    #show() {
        const now = Date.now();
        const verdict = this.#tally.verdict(now, this.#runner.running,
            this.#columns.some((column) => !column.isLive));
        this.#verdict.dataset.verdict = verdict;
        setText(this.#verdictText, SAYS[verdict]);
        for (const column of this.#columns) {
            column.show(this.#tally.read(column.tenant, now));
        }
        const total = this.#tally.total(now);
        setText(this.#verdictCounts, `${total.posted} posted, ${total.failed} failed, ${total.expected} expected,`
            + ` ${total.seen} seen, ${total.missing} missing, ${total.leaked} leaked`);
        const { leak } = this.#tally;
        setText(this.#leak, leak === null ? '' : `${leak.seq === null ? 'The connection' : `Event #${leak.seq}`} of`
            + ` ${leak.owner} was seen by ${leak.column}.`);
        this.#controls.show(this.#runner.running, this.#runner.left);
    }
}

/**
 * Only where it is another: what is the same need not be read out again.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
function setText(element, text) {
    if (element.textContent !== text) {
        element.textContent = text;
    }
}
