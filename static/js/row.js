import { make } from './dom.js';
import { hueOf } from './hue.js';
import { ago, exactTime, timeOfDay } from './time.js';
import { treeOf } from './tree.js';

/** @typedef {import('./api.js').FeedEvent} FeedEvent */
/** @typedef {import('./store.js').Entry} Entry */

const PREVIEW_CHARS = 400; // a row is one line; the rest is in its details

/** @typedef {'json' | 'curl'} CopyForm */

/**
 * A row of the list, folded.
 *
 * @param {Entry} entry
 * @returns {HTMLLIElement}
 */
export function rowOf(entry) {
    const row = make('li', entry.event === undefined ? 'notice' : 'event');
    row.dataset.key = String(entry.key);
    if (entry.event === undefined) {
        row.dataset.notice = '';
        row.append(make('p', '', entry.notice));
        row.title = entry.notice ?? '';
    } else {
        row.dataset.seq = String(entry.event.seq);
        row.dataset.id = entry.event.id;
        row.append(headOf(entry.event));
    }
    return row;
}

/** @param {FeedEvent} event */
function headOf(event) {
    const head = make('div', 'head');
    const at = Date.parse(event.timestamp);
    const time = make('time', '', timeOfDay(at));
    time.dateTime = event.timestamp;
    time.title = exactTime(at);
    const what = make('p', 'what');
    if (event.message !== undefined) {
        const message = make('span', 'message', event.message.slice(0, PREVIEW_CHARS));
        message.dir = 'auto';
        what.append(message);
    }
    if (event.metadata !== undefined && Object.keys(event.metadata).length > 0) {
        what.append(make('span', 'preview', JSON.stringify(event.metadata).slice(0, PREVIEW_CHARS)));
    }
    head.append(foldButton(event), make('span', 'seq', `#${event.seq}`), time, badgeOf(event.type), what,
        make('span', 'author', event.author ?? ''), make('span', 'ago', ago(at)));
    return head;
}

/** @param {FeedEvent} event */
function foldButton({ seq }) {
    const button = make('button', 'fold');
    button.type = 'button';
    button.setAttribute('aria-expanded', 'false');
    button.setAttribute('aria-label', `Details of #${seq}`);
    return button;
}

/** @param {string} type */
export function badgeOf(type) {
    const badge = make('span', 'badge', type);
    badge.dataset.type = type;
    badge.title = type;
    badge.style.setProperty('--hue', String(hueOf(type)));
    return badge;
}

/**
 * What a row shows unfolded: the whole of the event.
 *
 * @param {FeedEvent} event
 * @returns {HTMLDivElement}
 */
export function detailsOf(event) {
    const details = make('div', 'details');
    if (event.message !== undefined) {
        const text = make('p', 'text', event.message);
        text.dir = 'auto';
        details.append(text);
    }
    if (event.metadata !== undefined) {
        details.append(treeOf(event.metadata));
    }
    details.append(factsOf(event), actions());
    return details;
}

/** @param {FeedEvent} event */
function factsOf(event) {
    const facts = make('dl', 'facts');
    const rows = [
        ['Seq', String(event.seq)], ['Type', event.type], ['Author', event.author ?? ''],
        ['Here', exactTime(Date.parse(event.timestamp))], ['UTC', event.timestamp], ['Id', event.id],
    ];
    for (const [name, value] of rows) {
        if (value !== '') {
            const pair = make('div');
            pair.append(make('dt', '', name), make('dd', '', value));
            facts.append(pair);
        }
    }
    return facts;
}

function actions() {
    const bar = make('div', 'actions');
    for (const [form, text] of [['json', 'Copy as JSON'], ['curl', 'Copy as curl']]) {
        const button = make('button', 'small', text);
        button.type = 'button';
        button.dataset.copy = form;
        bar.append(button);
    }
    return bar;
}
