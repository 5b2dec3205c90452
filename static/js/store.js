import { Filter } from './filter.js';

/** @typedef {import('./api.js').FeedEvent} FeedEvent */

/**
 * What the list shows in a row: an event, or a notice of what is, or is not, there.
 *
 * @typedef {object} Entry
 * @property {number} key in the order of the rows, higher for newer ones
 * @property {FeedEvent} [event]
 * @property {string} [notice]
 * @property {number} arrived when, on the clock of Date.now(); 0 where it was there before the page was
 */

export const CAPACITY = 100_000;

/**
 * The entries that the page holds, bounded, and those of them that pass the filter. What is held has no holes but those
 * that a notice tells of; what the server finds for a filter in the past, which would have, is kept behind it for as
 * long as the filter stays.
 */
export class EventStore {
    #capacity;
    /** Oldest first. @type {Entry[]} */
    #held = [];
    /** Those of them that pass, oldest first; the same array where all do. @type {Entry[]} */
    #passing = this.#held;
    /** Older ones that the server found for the filter, newest first. @type {Entry[]} */
    #found = [];
    #filter = new Filter();
    /** How many of those that are held are notices, which pass every filter. */
    #notices = 0;
    #newestKey = 0;
    #oldestKey = 0;

    /** @param {number} [capacity] entries held at most */
    constructor(capacity = CAPACITY) {
        this.#capacity = capacity;
    }

    /** Entries held at most. */
    get capacity() {
        return this.#capacity;
    }

    get filter() {
        return this.#filter;
    }

    /** Entries held, shown or not. */
    get size() {
        return this.#held.length;
    }

    /** How many events are held, how many of them pass the filter, and how many older ones were found for it. */
    get events() {
        const held = this.#held.length - this.#notices;
        return { held, passing: this.#passing.length - this.#notices, found: this.#found.length };
    }

    /** Rows to show. */
    get length() {
        return this.#passing.length + this.#found.length;
    }

    /** Whether it can take older events without forgetting newer ones. */
    get hasRoom() {
        return this.#held.length + this.#found.length < this.#capacity;
    }

    /** The seq before which older ones are to be asked for; null where there is no event. */
    get oldestSeq() {
        const last = this.#found.at(-1) ?? this.#held.find((entry) => entry.event !== undefined);
        return last?.event?.seq ?? null;
    }

    /** The row of that number, the newest is 0. @param {number} index */
    at(index) {
        const passing = this.#passing.length;
        return index < passing ? this.#passing[passing - 1 - index] : this.#found[index - passing];
    }

    /** The number of the row with that key, or of the first one below it. @param {number} key */
    indexOf(key) {
        let low = 0;
        let high = this.length;
        while (low < high) {
            const middle = (low + high) >> 1;
            if ((this.at(middle)?.key ?? -Infinity) > key) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    /**
     * Adds what is newer than all there is, and forgets the oldest where it gets too much.
     *
     * @param {{event?: FeedEvent, notice?: string}} what
     * @param {number} [arrived]
     */
    append(what, arrived = 0) {
        this.#newestKey++;
        const entry = { ...what, key: this.#newestKey, arrived };
        this.#held.push(entry);
        this.#notices += entry.event === undefined ? 1 : 0;
        if (this.#passing !== this.#held && this.#passes(entry)) {
            this.#passing.push(entry);
        }
        if (this.#held.length > this.#capacity) {
            this.#forget();
        }
    }

    /** Adds older ones, of what is held or, under a filter, found for it. @param {FeedEvent[]} events newest first */
    appendOlder(events) {
        const entries = events.map((event) => ({ event, key: --this.#oldestKey, arrived: 0 }));
        if (this.#filter.isEmpty) {
            this.#held.unshift(...entries.reverse());
        } else {
            this.#found.push(...entries);
        }
    }

    /** @param {Filter} filter */
    setFilter(filter) {
        this.#filter = filter;
        this.#found = [];
        this.#passing = filter.isEmpty ? this.#held : this.#held.filter((entry) => this.#passes(entry));
    }

    clear() {
        this.#held = [];
        this.#notices = 0;
        this.#newestKey = 0;
        this.#oldestKey = 0;
        this.setFilter(this.#filter);
    }

    /** @param {Entry} entry */
    #passes(entry) {
        return entry.event === undefined || this.#filter.matches(entry.event);
    }

    /** A sixteenth at once, so that each event pays next to nothing for it. */
    #forget() {
        const gone = Math.max(1, this.#capacity >> 4);
        const last = this.#held[gone - 1]?.key ?? -Infinity;
        this.#notices -= this.#held.splice(0, gone).filter(({ event }) => event === undefined).length;
        if (this.#passing !== this.#held) {
            const kept = this.#passing.findIndex((entry) => entry.key > last);
            this.#passing.splice(0, kept < 0 ? this.#passing.length : kept);
            this.#found = []; // there would be a hole before them
        }
    }
}
