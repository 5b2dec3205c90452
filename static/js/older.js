import { history, Problem } from './api.js';

/** @typedef {import('./store.js').EventStore} EventStore */
/** @typedef {'idle' | 'loading' | 'failed' | 'end' | 'full'} OlderState */

const PAGE = 100;

/** Loads what is older than the store's oldest, page by page, under the store's filter. */
export class OlderPages {
    #store;
    #access;
    #onChange;
    /** @type {OlderState} */
    #state = 'idle';
    #problem = '';
    #abort = new AbortController();
    /** Where there was nothing older, a seq: what the store begins with now may be another. @type {number | null} */
    #endsAt = null;
    /** Whether what the store begins with is of a former log, of which the server has nothing. */
    #severed = false;

    /**
     * @param {EventStore} store
     * @param {import('./access.js').Access} access
     * @param {(state: OlderState, problem: string) => void} onChange also where older ones have come
     */
    constructor(store, access, onChange) {
        this.#store = store;
        this.#access = access;
        this.#onChange = onChange;
    }

    /** Loads the next page, where there may be one and none is on its way. */
    async load() {
        const { oldestSeq, filter, hasRoom } = this.#store;
        if ((this.#state === 'end' && oldestSeq !== this.#endsAt) || (this.#state === 'full' && hasRoom)) {
            this.#state = 'idle'; // the oldest rows were forgotten
        }
        if (this.#state !== 'idle' || oldestSeq === null) {
            return;
        }
        if (oldestSeq === 1 || this.#severed || !hasRoom) {
            this.#enter(hasRoom ? 'end' : 'full');
            return;
        }
        const { signal } = this.#abort;
        this.#enter('loading');
        try {
            const { q, types } = filter;
            const page = await history(this.#access, { before: oldestSeq, limit: PAGE, q, types }, signal);
            if (!signal.aborted) {
                this.#take(page, oldestSeq);
            }
        } catch (error) {
            if (!signal.aborted) {
                this.#enter('failed', error instanceof Problem ? error.message : String(error));
            }
        }
    }

    /** After a failure. */
    retry() {
        if (this.#state === 'failed') {
            this.#state = 'idle';
            this.load();
        }
    }

    /** Begins anew: the filter is another one, or the store was emptied. */
    reset() {
        this.stop();
        this.#abort = new AbortController();
        this.#enter('idle');
    }

    /** The log is a new one: what is held of the old one is all there will ever be. */
    sever() {
        this.#severed = true;
        this.reset();
    }

    stop() {
        this.#abort.abort();
    }

    /**
     * @param {{events: import('./api.js').FeedEvent[], has_more: boolean}} page
     * @param {number} before
     */
    #take({ events, has_more: more }, before) {
        if (this.#store.oldestSeq !== before) {
            this.#enter('idle'); // something was forgotten meanwhile: this page would leave a hole
            return;
        }
        this.#store.appendOlder(events);
        this.#enter(more ? 'idle' : 'end');
    }

    /**
     * @param {OlderState} state
     * @param {string} [problem]
     */
    #enter(state, problem = '') {
        this.#state = state;
        this.#problem = problem;
        this.#endsAt = state === 'end' ? this.#store.oldestSeq : null;
        this.#onChange(state, this.#problem);
    }
}
