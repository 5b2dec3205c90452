import { Problem } from '../api.js';
import { make } from '../dom.js';
import { Toasts } from '../toast.js';
import { Client, Poller } from './client.js';
import { Lock } from './lock.js';
import { button, wordsOf } from './parts.js';
import { Reports } from './tables.js';
import { figure, TenantPage } from './tenant.js';
import { Tenants } from './tenants.js';
import { bytes, count, pace, Paces } from './values.js';

/** @typedef {import('./client.js').Overview} Overview */

const EVERY_MS = 2000;

/** The administration. See ViewModule in ../views.js. */
class Administration {
    #host;
    #toasts = new Toasts();
    #paces = new Paces();
    #pace = new Paces(); // of the process
    #lock = new Lock({ open: () => this.#poller.start(), close: () => this.#shut() });
    #client = new Client(() => this.#lock.key);
    #title = make('h2', '', 'Administration');
    #problem = make('p', 'problem');
    #open = make('div', 'open');
    #totals = make('dl', 'figures totals');
    #list = make('div');
    #tenants;
    #reports;
    #poller = new Poller((signal) => this.#look(signal), EVERY_MS);
    /** The tenant that is shown. @type {TenantPage | null} */
    #page = null;
    /** @type {Overview | null} */
    #last = null;

    /** @param {HTMLElement} host */
    constructor(host) {
        this.#host = host;
        this.#tenants = new Tenants(this.#client, this.#paces, this.#toasts, {
            open: (id) => this.#show(id),
            look: () => this.#poller.now(),
            refused: (error) => this.#refused(error),
        });
        this.#reports = new Reports((id) => this.#show(id), this.#paces);
        const top = make('div', 'top-row');
        top.append(this.#title, this.#lock.forget);
        this.#problem.setAttribute('role', 'status');
        this.#list.append(this.#tenants.root, this.#reports.root);
        this.#open.append(this.#totals, this.#list);
        host.append(top, this.#problem, this.#lock.root, this.#open);
        this.#lock.root.hidden = true;
        this.#lock.forget.hidden = true;
        this.#open.hidden = true;
        this.#problem.textContent = 'Loading…';
    }

    /** Without a key nobody is asked again, for each time would be one more refusal. */
    show() {
        if (this.#lock.root.hidden) {
            this.#poller.start();
        }
    }

    hide() {
        this.#poller.stop();
    }

    /** @param {AbortSignal} signal */
    async #look(signal) {
        try {
            const view = this.#page === null ? this.#tenants.view : viewOf(this.#page.id);
            const overview = await this.#client.overview(view, signal);
            if (!signal.aborted) {
                this.#lock.accept();
                this.#fill(overview);
            }
        } catch (error) {
            if (!signal.aborted && !this.#refused(error)) {
                this.#fail(error);
            }
        }
    }

    /** @param {Overview} overview */
    #fill(overview) {
        const hadFocus = this.#lock.root.contains(document.activeElement);
        this.#last = overview;
        this.#paces.look(countsOf(overview), overview.uptime);
        this.#pace.look([['', overview.totals]], overview.uptime);
        this.#lock.root.hidden = true;
        this.#open.hidden = false;
        this.#problem.textContent = '';
        this.#fillTotals(overview);
        if (this.#page !== null) {
            this.#page.show(overview);
        } else {
            this.#tenants.show(overview);
            this.#reports.show(overview);
        }
        if (hadFocus) {
            this.#host.focus();
        }
    }

    /** @param {Overview} overview */
    #fillTotals({ totals, uptime, version }) {
        const now = this.#pace.of('');
        const budget = totals.memory_budget > 0 ? ` of ${bytes(totals.memory_budget)}` : '';
        this.#totals.replaceChildren(
            figure('tenants', count(totals.tenants)),
            figure('connections', count(totals.connections)),
            figure('events/s', now === null ? '…' : pace(now.published)),
            figure('delivered/s', now === null ? '…' : pace(now.delivered)),
            figure('memory', bytes(totals.memory) + budget),
            figure('refused', count(totals.refused)),
            figure(`up, version ${version}`, spanOf(uptime)),
        );
    }

    /** Whether the server wants the administrator's key, or another one. @param {unknown} error */
    #refused(error) {
        if (!(error instanceof Problem) || (error.status !== 401 && error.status !== 403)) {
            return false;
        }
        this.#shut();
        this.#lock.refuse(error.message);
        return true;
    }

    /** Nobody is let in, and nothing of what was shown stays. */
    #shut() {
        this.#poller.stop();
        this.#back();
        this.#tenants.clear();
        this.#totals.replaceChildren();
        this.#last = null;
        this.#problem.textContent = '';
        this.#open.hidden = true;
        this.#lock.root.hidden = false;
        this.#lock.forget.hidden = true;
    }

    /** @param {unknown} error */
    #fail(error) {
        if (!this.#lock.root.hidden && error instanceof Problem && error.status > 0) {
            this.#poller.stop(); // a key is tried once
            this.#lock.fail(error.message);
            return;
        }
        const retry = this.#last === null ? 'Trying again.' : 'What is shown is not up to date. Trying again.';
        const text = `${wordsOf(error)} ${retry}`;
        if (this.#problem.firstChild?.textContent !== text) {
            this.#problem.replaceChildren(make('span', '', text), button('Try now', () => this.#poller.now(), 'link'));
        }
    }

    /** @param {string} id */
    #show(id) {
        this.#page?.root.remove();
        this.#page = new TenantPage(id, this.#client, this.#paces, this.#toasts, {
            back: (gone) => this.#leave(gone),
            refused: (error) => this.#refused(error),
        });
        this.#list.hidden = true;
        this.#open.append(this.#page.root);
        this.#page.focus();
        if (this.#last !== null) {
            this.#page.show(this.#last);
        }
        this.#poller.now();
    }

    /** @param {boolean} gone */
    #leave(gone) {
        const id = this.#page?.id ?? '';
        this.#back();
        this.#tenants.focus(gone ? '' : id);
        this.#poller.now();
    }

    #back() {
        this.#page?.root.remove();
        this.#page = null;
        this.#list.hidden = false;
    }
}

/** To ask for one tenant's figures. @param {string} id @returns {import('./client.js').View} */
function viewOf(id) {
    return { sort: 'id', order: 'asc', q: id };
}

/**
 * @param {Overview} overview
 * @returns {[string, import('./values.js').Counts][]}
 */
function countsOf({ tenants, talkers }) {
    return [...tenants, ...talkers].map((row) => [row.id, row]);
}

/** “5 d”, “3 h”, “12 min”. @param {number} seconds */
function spanOf(seconds) {
    const [span, unit] = seconds >= 172_800 ? [86_400, 'd'] : seconds >= 7200 ? [3600, 'h'] : [60, 'min'];
    return `${count(Math.floor(seconds / span))} ${unit}`;
}

/** @type {Administration | null} */
let administration = null;

/** @param {HTMLElement} host */
export function show(host) {
    administration ??= new Administration(host);
    administration.show();
}

export function hide() {
    administration?.hide();
}
