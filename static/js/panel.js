import { Announcer } from './announcer.js';
import { copy } from './clipboard.js';
import { curlOf } from './curl.js';
import { byId } from './dom.js';
import { Filter } from './filter.js';
import { EventList } from './list.js';
import { OlderPages } from './older.js';
import { EventStore } from './store.js';
import { TypeChips } from './types.js';

/** @typedef {import('./access.js').Access} Access */
/** @typedef {import('./api.js').FeedEvent} FeedEvent */
/** @typedef {import('./store.js').Entry} Entry */

const TYPED_MS = 200; // the filter follows when typing rests
const RINGS_MS = 1500;
const OLDER = {
    idle: '', loading: 'Loading older events…', failed: '', end: 'That is the beginning.',
    full: 'The page holds no more. Filter to look further back.',
};

/** The feed's part of the page: the list, what filters it, and what holds it. */
export class FeedPanel {
    store = new EventStore();
    list = new EventList(this.store, {
        rendered: () => this.#show(),
        nearEnd: () => this.#older?.load(),
        followed: (follow) => this.#showFollow(follow),
        copy: (entry, form) => this.#copy(entry, form),
    });
    #types = new TypeChips(() => this.#applyFilter());
    #announcer = new Announcer();
    #toasts;
    #search = byId('search', HTMLInputElement);
    #clear = byId('search-clear', HTMLButtonElement);
    #pause = byId('pause', HTMLButtonElement);
    #followButton = byId('follow', HTMLButtonElement);
    #newest = byId('newest', HTMLButtonElement);
    #held = byId('held', HTMLElement);
    #empty = byId('events-empty', HTMLElement);
    #olderText = byId('older', HTMLElement);
    #olderRetry = byId('older-retry', HTMLButtonElement);
    #bell = byId('bell', SVGElement);
    /** @type {Access | null} */
    #access = null;
    /** @type {OlderPages | null} */
    #older = null;
    #loaded = false;
    /** Why nothing is on its way; empty where something is. */
    #absence = '';
    /** What has come during a pause; null where there is none. @type {Parameters<EventStore['append']>[0][] | null} */
    #waiting = null;
    #unseen = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #typing;
    #rangAt = 0;

    /** @param {import('./toast.js').Toasts} toasts */
    constructor(toasts) {
        this.#toasts = toasts;
        this.#search.addEventListener('input', () => {
            clearTimeout(this.#typing);
            this.#typing = setTimeout(() => this.#applyFilter(), TYPED_MS);
        });
        this.#clear.addEventListener('click', () => this.clearFilter());
        this.#pause.addEventListener('click', () => this.togglePause());
        this.#followButton.addEventListener('click', () => this.#setFollow(!this.list.follow));
        this.#newest.addEventListener('click', () => this.#setFollow(true));
        this.#olderRetry.addEventListener('click', () => this.#older?.retry());
        this.#show();
    }

    /** Empties it for a tenant, or for none. @param {Access | null} access */
    reset(access) {
        this.#access = access;
        this.#older?.stop();
        this.#older = access === null ? null
            : new OlderPages(this.store, access, (state, problem) => this.#showOlder(state, problem));
        this.#showOlder('idle', '');
        this.#loaded = false;
        this.#absence = '';
        this.#waiting = null;
        this.store.clear();
        this.#types.reset();
        this.#search.value = '';
        this.#applyFilter();
        this.#showFollow(true);
        this.list.follow = true;
        this.#show();
    }

    /**
     * @param {FeedEvent[]} events oldest first
     * @param {boolean} fresh
     */
    add(events, fresh) {
        this.#loaded = true;
        if (this.#waiting !== null) {
            for (const event of events) {
                this.#hold({ event });
            }
            this.list.refresh();
            return;
        }
        const arrived = fresh ? Date.now() : 0;
        for (const event of events) {
            this.store.append({ event }, arrived);
        }
        if (fresh) {
            this.#ring();
            this.#announcer.arrived(events.length);
            this.#unseen += this.list.follow ? 0 : events.length;
        }
        this.list.refresh();
    }

    /** Why nothing is on its way; empty where something is. @param {string} why */
    set absence(why) {
        this.#absence = why;
        this.#show();
    }

    /** @param {string} notice */
    notice(notice) {
        this.#announcer.say(notice);
        if (this.#waiting !== null) {
            this.#hold({ notice });
        } else {
            this.store.append({ notice });
            this.list.refresh();
        }
    }

    /** The log is a new one. */
    sever() {
        this.#older?.sever();
    }

    /** @param {[type: string, count: number][]} counts */
    offerTypes(counts) {
        this.#types.show(counts);
    }

    togglePause() {
        const waiting = this.#waiting;
        this.#waiting = waiting === null ? [] : null;
        for (const what of waiting ?? []) {
            this.store.append(what, Date.now());
        }
        this.#show();
        this.list.refresh();
    }

    clearFilter() {
        this.#search.value = '';
        this.#types.clear();
        this.#applyFilter();
    }

    /** @param {Parameters<EventStore['append']>[0]} what */
    #hold(what) {
        this.#waiting?.push(what);
        if (this.#waiting !== null && this.#waiting.length > 2 * this.store.capacity) {
            this.#waiting.splice(0, this.store.capacity); // the store would have forgotten them by now
        }
    }

    #applyFilter() {
        clearTimeout(this.#typing);
        this.store.setFilter(new Filter(this.#search.value, this.#types.chosen));
        this.#older?.reset();
        this.list.reset();
        this.list.refresh();
    }

    /** @param {boolean} follow */
    #setFollow(follow) {
        this.list.follow = follow;
        this.#showFollow(follow);
    }

    /** @param {boolean} follow */
    #showFollow(follow) {
        this.#unseen = follow ? 0 : this.#unseen;
        this.#followButton.setAttribute('aria-pressed', String(follow));
        this.#show();
    }

    /** Everything that is said about the list, as often as that is drawn. */
    #show() {
        const paused = this.#waiting !== null;
        const { filter, length, events: { held, passing, found } } = this.store;
        this.#pause.textContent = paused ? `Resume · ${this.#waiting?.length} waiting` : 'Pause';
        this.#pause.setAttribute('aria-pressed', String(paused));
        this.#newest.hidden = this.list.follow || this.#unseen === 0;
        this.#newest.textContent = `↑ ${this.#unseen.toLocaleString()} new`;
        this.#clear.hidden = filter.isEmpty;
        this.#held.textContent = filter.isEmpty ? `${held.toLocaleString()} held`
            : `${passing.toLocaleString()} of ${held.toLocaleString()} held`
                + (found > 0 ? `, ${found.toLocaleString()} older` : '');
        this.#empty.hidden = length > 0;
        this.#empty.textContent = this.#whyEmpty();
    }

    #whyEmpty() {
        if (this.#access === null) {
            return 'Choose a tenant and connect to see its events here.';
        }
        if (!this.store.filter.isEmpty) {
            return 'Nothing passes the filter.';
        }
        if (this.#loaded) {
            return 'Nothing yet. Publish an event, here or in a second window.';
        }
        return this.#absence === '' ? 'Waiting for the server…' : this.#absence;
    }

    /**
     * @param {import('./older.js').OlderState} state
     * @param {string} problem
     */
    #showOlder(state, problem) {
        this.#olderText.textContent = state === 'failed' ? `Older events can’t be loaded. ${problem}` : OLDER[state];
        this.#olderRetry.hidden = state !== 'failed';
        this.list.refresh();
    }

    #ring() {
        const now = Date.now();
        if (now - this.#rangAt > 2 * RINGS_MS) {
            this.#rangAt = now;
            this.#bell.dataset.ringing = '';
            setTimeout(() => delete this.#bell.dataset.ringing, RINGS_MS);
        }
    }

    /**
     * @param {Entry} entry
     * @param {import('./row.js').CopyForm} form
     */
    async #copy({ event }, form) {
        if (event === undefined || this.#access === null) {
            return;
        }
        const text = form === 'json' ? JSON.stringify(event, null, 2) : curlOf(event, this.#access, document.baseURI);
        try {
            await copy(text);
            this.#toasts.success(`#${event.seq} is copied as ${form === 'json' ? 'JSON' : 'a curl command'}.`);
        } catch (error) {
            this.#toasts.failure(error instanceof Error ? error.message : String(error));
        }
    }
}
