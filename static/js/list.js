import { byId, make } from './dom.js';

/** @typedef {import('./api.js').FeedEvent} FeedEvent */

const MAX_ROWS = 1000;
const FRESH_MS = 2500;
const ANNOUNCE_EVERY_MS = 2000;

const clockTime = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** The events, newest first, with notices in their place between them. */
export class EventList {
    #list = byId('events', HTMLOListElement);
    #tenant = byId('events-tenant', HTMLElement);
    #empty = byId('events-empty', HTMLElement);
    #capped = byId('events-capped', HTMLElement);
    #announcer = byId('announce', HTMLElement);
    #bell = byId('bell', SVGElement);
    #unannounced = 0;

    /**
     * Empties the list for another tenant.
     *
     * @param {string} tenant
     */
    reset(tenant) {
        this.#list.replaceChildren();
        this.#list.dataset.tenant = tenant;
        this.#tenant.textContent = `of ${tenant}`;
        this.#empty.textContent = 'Nothing yet. Post an event, here or in a second window.';
        this.#empty.hidden = false;
        this.#capped.hidden = true;
        this.#unannounced = 0;
    }

    /**
     * @param {FeedEvent[]} events oldest first
     * @param {boolean} fresh to be highlighted for a moment
     */
    add(events, fresh) {
        const rows = events.map(eventRow);
        if (fresh) {
            this.#highlight(rows);
            this.#announce(events);
        }
        this.#prepend(rows);
    }

    /** @param {string} text */
    notice(text) {
        const row = make('li', 'notice', text);
        row.dataset.notice = '';
        this.#prepend([row]);
        this.#announcer.textContent = text;
    }

    /** @param {HTMLLIElement[]} rows the later, the nearer to the top */
    #prepend(rows) {
        if (rows.length === 0) {
            return;
        }
        this.#list.prepend(...rows.reverse());
        this.#empty.hidden = true;
        while (this.#list.children.length > MAX_ROWS) {
            this.#list.lastElementChild?.remove();
            this.#capped.hidden = false;
            this.#capped.textContent = `Only the newest ${MAX_ROWS} are shown.`;
        }
    }

    /** @param {HTMLLIElement[]} rows */
    #highlight(rows) {
        for (const row of rows) {
            row.dataset.fresh = '';
        }
        this.#bell.dataset.ringing = '';
        setTimeout(() => {
            for (const row of rows) {
                delete row.dataset.fresh;
            }
            if (this.#list.querySelector('[data-fresh]') === null) {
                delete this.#bell.dataset.ringing;
            }
        }, FRESH_MS);
    }

    /** One sentence for many, so that a screen reader keeps up. @param {FeedEvent[]} events */
    #announce(events) {
        const waiting = this.#unannounced > 0;
        this.#unannounced += events.length;
        if (waiting) {
            return;
        }
        setTimeout(() => {
            const count = this.#unannounced;
            this.#unannounced = 0;
            if (count > 0) {
                this.#announcer.textContent = count === 1 ? '1 new event' : `${count} new events`;
            }
        }, ANNOUNCE_EVERY_MS);
    }
}

/** @param {FeedEvent} event */
function eventRow(event) {
    const row = make('li', 'event');
    row.dataset.seq = String(event.seq);
    row.dataset.id = event.id;
    row.append(headLine(event));
    if (event.message !== undefined) {
        const message = make('p', 'message', event.message);
        message.dir = 'auto';
        row.append(message);
    }
    if (event.metadata !== undefined && Object.keys(event.metadata).length > 0) {
        row.append(metadataFold(event.metadata));
    }
    return row;
}

/** @param {FeedEvent} event */
function headLine(event) {
    const line = make('div', 'head');
    const badge = make('span', 'badge', event.type);
    badge.dataset.type = event.type;
    line.append(make('span', 'seq', `#${event.seq}`), badge);
    if (event.author !== undefined && event.author !== '') {
        line.append(make('span', 'author', event.author));
    }
    line.append(timeOf(event.timestamp));
    return line;
}

/** @param {string} timestamp */
function timeOf(timestamp) {
    const date = new Date(timestamp);
    const today = date.toDateString() === new Date().toDateString();
    const time = make('time', '', (today ? clockTime : dateTime).format(date));
    time.dateTime = timestamp;
    time.title = timestamp;
    return time;
}

/** @param {Record<string, unknown>} metadata */
function metadataFold(metadata) {
    const fold = make('details', 'metadata');
    const text = make('pre');
    text.tabIndex = 0; // it scrolls, so the keyboard must reach it
    fold.append(make('summary', '', 'Metadata'), text);
    fold.addEventListener('toggle', () => {
        text.textContent = JSON.stringify(metadata, null, 2);
    }, { once: true });
    return fold;
}
