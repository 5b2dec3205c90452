import { make } from '../dom.js';
import { ago, timeOfDay } from '../time.js';
import { button, newId, timeOf } from './parts.js';
import { bytes, count, pace } from './values.js';

/**
 * @template T
 * @typedef {object} Column
 * @property {string} title
 * @property {(row: T, cell: HTMLElement) => string | void} show the cell's text; or it sees to the cell itself
 * @property {boolean} [number]
 * @property {boolean} [head] it says which row it is
 * @property {string} [sort] what the server calls it, where it can be sorted by
 */

/**
 * A table whose rows come anew every now and then: each row is the same element for as long as its key comes, so that
 * what has the focus keeps it.
 *
 * @template T
 */
export class Table {
    root = make('div', 'table');
    #columns;
    #keyOf;
    #body = make('tbody');
    #empty;
    #table = make('table');
    /** @type {Map<string, HTMLTableRowElement>} */
    #rows = new Map();
    /** @type {Map<string, HTMLTableCellElement>} */
    #heads = new Map();

    /**
     * @param {string} caption
     * @param {Column<T>[]} columns
     * @param {(row: T, index: number) => string} keyOf
     * @param {string} empty what is said where there are no rows
     */
    constructor(caption, columns, keyOf, empty) {
        this.#columns = columns;
        this.#keyOf = keyOf;
        this.#empty = make('p', 'none quiet', empty);
        const title = make('caption', 'unseen', caption);
        title.id = newId('caption');
        const line = make('tr');
        line.append(...columns.map((column) => this.#head(column)));
        const head = make('thead');
        head.append(line);
        this.#table.append(title, head, this.#body);
        this.#table.hidden = true;
        /* Where it is too wide it is scrolled, from the keyboard as well. */
        this.root.tabIndex = 0;
        this.root.setAttribute('role', 'group');
        this.root.setAttribute('aria-label', caption);
        this.root.append(this.#table, this.#empty);
    }

    /**
     * Has the columns' titles sort.
     *
     * @param {(sort: string) => void} act
     */
    onSort(act) {
        for (const [sort, head] of this.#heads) {
            const title = make('button', 'sort', head.textContent ?? '');
            title.type = 'button';
            title.addEventListener('click', () => act(sort));
            head.replaceChildren(title);
        }
    }

    /**
     * @param {string} sort
     * @param {'asc' | 'desc'} order
     */
    showSort(sort, order) {
        for (const [name, head] of this.#heads) {
            if (name === sort) {
                head.ariaSort = order === 'asc' ? 'ascending' : 'descending';
            } else {
                head.removeAttribute('aria-sort');
            }
        }
    }

    /** @param {T[]} rows in their order */
    show(rows) {
        const focused = document.activeElement;
        /** @type {Map<string, HTMLTableRowElement>} */
        const kept = new Map();
        rows.forEach((row, i) => {
            const key = this.#keyOf(row, i);
            const line = this.#rows.get(key) ?? this.#line();
            this.#columns.forEach((column, at) => fill(column, row, /** @type {HTMLElement} */ (line.children[at])));
            kept.set(key, line);
            const there = this.#body.children[i];
            if (there !== line) {
                this.#body.insertBefore(line, there ?? null);
            }
        });
        for (const [key, line] of this.#rows) {
            if (!kept.has(key)) {
                line.remove();
            }
        }
        this.#rows = kept;
        this.#table.hidden = rows.length === 0;
        this.#empty.hidden = rows.length > 0;
        if (focused instanceof HTMLElement && focused !== document.activeElement && this.#body.contains(focused)) {
            focused.focus();
        }
    }

    /** @param {string} key */
    rowOf(key) {
        return this.#rows.get(key) ?? null;
    }

    /** @param {Column<T>} column */
    #head({ title, number = false, sort }) {
        const head = make('th', number ? 'number' : '', title);
        head.scope = 'col';
        if (sort !== undefined) {
            this.#heads.set(sort, head);
        }
        return head;
    }

    #line() {
        const line = make('tr');
        for (const { number = false, head = false } of this.#columns) {
            const cell = make(head ? 'th' : 'td', number ? 'number' : '');
            if (head) {
                cell.scope = 'row';
            }
            line.append(cell);
        }
        return line;
    }
}

/**
 * @template T
 * @param {Column<T>} column
 * @param {T} row
 * @param {HTMLElement} cell
 */
function fill(column, row, cell) {
    const text = column.show(row, cell);
    if (typeof text === 'string' && cell.textContent !== text) {
        cell.textContent = text;
    }
}

/** @typedef {import('./client.js').Overview} Overview */
/** @typedef {import('./client.js').Refusal} Refusal */
/** @typedef {import('./client.js').SlowReader} SlowReader */
/** @typedef {import('./client.js').Standing} Standing */
/** @typedef {import('./values.js').Paces} Paces */
/** @typedef {(id: string) => void} Open shows a tenant */

/** @type {Record<string, string>} */
const TRANSPORTS = { websocket: 'WebSocket', sse: 'Event stream', socketio: 'Socket.IO' };

/** Who publishes most, who reads too slowly, and who was refused. */
export class Reports {
    root = make('div', 'reports');
    #talkers;
    #slow;
    #slowTitle = make('h3', '', 'Slow readers');
    #refusals;

    /**
     * @param {Open} open
     * @param {Paces} paces
     */
    constructor(open, paces) {
        this.#talkers = talkerTable(open, paces);
        this.#slow = slowTable(open);
        this.#refusals = refusalTable(open);
        this.root.append(
            section(make('h3', '', 'Top talkers'), this.#talkers.root),
            section(this.#slowTitle, this.#slow.root),
            section(make('h3', '', 'Recent refusals'), this.#refusals.root),
        );
    }

    /** @param {Overview} overview */
    show(overview) {
        const more = overview.slow > overview.slow_readers.length;
        this.#talkers.show(overview.talkers.filter(({ rate_1m: rate }) => rate > 0));
        this.#slow.show(overview.slow_readers);
        this.#slowTitle.textContent = more ? `Slow readers, ${overview.slow_readers.length} of ${count(overview.slow)}`
            : 'Slow readers';
        this.#refusals.show(overview.refusals);
    }
}

/**
 * @param {HTMLElement} title
 * @param {HTMLElement} content
 */
function section(title, content) {
    const root = make('section');
    title.id = newId('title');
    root.setAttribute('aria-labelledby', title.id);
    root.append(title, content);
    return root;
}

/**
 * A tenant's id, by which it is shown. The cell keeps its button.
 *
 * @param {Open} open
 * @param {HTMLElement} cell
 * @param {string | null} id
 */
export function tenantLink(open, cell, id) {
    let link = cell.firstElementChild;
    if (id === null) {
        cell.textContent = '–';
        return;
    }
    if (!(link instanceof HTMLButtonElement)) {
        link = button('', () => open(/** @type {HTMLElement} */ (cell.firstElementChild).textContent ?? ''), 'link');
        cell.replaceChildren(link);
    }
    if (link.textContent !== id) {
        link.textContent = id;
    }
}

/** @param {Open} open @param {Paces} paces @returns {Table<Standing>} */
function talkerTable(open, paces) {
    return new Table('Top talkers', [
        { title: 'Tenant', head: true, show: ({ id }, cell) => tenantLink(open, cell, id) },
        { title: 'Events/s', number: true, show: ({ id }) => paceText(paces.of(id)?.published) },
        { title: 'Over a minute', number: true, show: ({ rate_1m: rate }) => pace(rate) },
        { title: 'Delivered/s', number: true, show: ({ id }) => paceText(paces.of(id)?.delivered) },
        { title: 'Bytes/s', number: true, show: ({ id }) => bytesText(paces.of(id)?.bytes) },
    ], ({ id }) => id, 'Nobody has published in the last minute.');
}

/** @param {Open} open @returns {Table<SlowReader>} */
function slowTable(open) {
    return new Table('Slow readers', [
        { title: 'Tenant', head: true, show: ({ tenant_id: id }, cell) => tenantLink(open, cell, id) },
        { title: 'Over', show: ({ transport }) => TRANSPORTS[transport] ?? transport },
        { title: 'Address', show: ({ address }) => address ?? '–' },
        { title: 'Events behind', number: true, show: ({ events_behind: events }) => count(events) },
        { title: 'Waiting', number: true, show: ({ bytes_waiting: waiting }) => bytes(waiting) },
        { title: 'Since', show: ({ since }, cell) => showTime(cell, since, ago(Date.parse(since))) },
        { title: 'Request', show: ({ request_id: id }, cell) => showId(cell, id) },
    ], (_, i) => String(i), 'Everybody keeps up.');
}

/** @param {Open} open @returns {Table<Refusal>} */
function refusalTable(open) {
    return new Table('Recent refusals', [
        { title: 'Time', head: true, show: ({ at }, cell) => showTime(cell, at, timeOfDay(Date.parse(at))) },
        { title: 'Status', show: ({ status: code, code: word }) => `${code} ${word.replaceAll('_', ' ')}` },
        { title: 'Asked for', show: ({ act, method, path }) => [method, path ?? act].filter(Boolean).join(' ') },
        { title: 'Tenant', show: ({ tenant_id: id }, cell) => tenantLink(open, cell, id) },
        { title: 'Address', show: ({ address }) => address ?? '–' },
        { title: 'Reason', show: ({ reason }) => reason },
        { title: 'Request', show: ({ request_id: id }, cell) => showId(cell, id) },
    ], (_, i) => String(i), 'Nobody has been refused since the server began.');
}

/** @param {HTMLElement} cell @param {string} at @param {string} text */
function showTime(cell, at, text) {
    const time = cell.firstElementChild;
    if (!(time instanceof HTMLTimeElement) || time.dateTime !== at) {
        cell.replaceChildren(timeOf(at, text));
    } else if (time.textContent !== text) {
        time.textContent = text;
    }
}

/** @param {HTMLElement} cell @param {string} id */
function showId(cell, id) {
    if (cell.textContent !== id) {
        cell.replaceChildren(make('code', '', id));
    }
}

/** @param {number | undefined} value */
export function paceText(value) {
    return value === undefined ? '…' : pace(value);
}

/** @param {number | undefined} value */
export function bytesText(value) {
    return value === undefined ? '…' : bytes(value);
}
