import { byId } from './dom.js';
import { RowLayout } from './layout.js';
import { detailsOf, rowOf } from './row.js';
import { ago } from './time.js';

/** @typedef {import('./store.js').Entry} Entry */
/** @typedef {import('./store.js').EventStore} EventStore */

const FRESH_MS = 2500;
const RENDER_EVERY_MS = 90; // however fast events come, nobody reads faster
const TICK_MS = 500;
const SPARE_ROWS = 6; // above and below what is seen
const NEAR_END_ROWS = 20;

/**
 * @typedef {object} ListActions
 * @property {() => void} rendered something has changed, and is shown
 * @property {() => void} nearEnd the reader comes to the oldest row
 * @property {(follow: boolean) => void} followed the reader has left the newest row, or come back to it
 * @property {(entry: Entry, form: import('./row.js').CopyForm) => void} copy
 */

/**
 * The rows of a store, newest first, of which only those in sight are elements. What the reader looks at stays in its
 * place while newer ones come, unless the list follows: then the newest stays in sight.
 */
export class EventList {
    #viewport = byId('viewport', HTMLElement);
    #spacer = byId('spacer', HTMLElement);
    #list = byId('events', HTMLOListElement);
    #store;
    #actions;
    #follow = true;
    #wasAway = false;
    /** @type {Map<number, HTMLLIElement>} */
    #rows = new Map();
    /** Heights of the unfolded ones, by key. @type {Map<number, number>} */
    #unfolded = new Map();
    #layout = new RowLayout(1, 0);
    /** The key of the newest row that is laid out. */
    #newest = 0;
    /** The row at the top of the view, and how far above the view's top it begins. */
    #anchor = { key: 0, above: 0 };
    #due = false;
    /** Whether the reader presses on a row, which must not move away under that. */
    #pressed = false;
    #renderedAt = 0;
    #sizes = new ResizeObserver((changes) => this.#measure(changes));

    /**
     * @param {EventStore} store
     * @param {ListActions} actions
     */
    constructor(store, actions) {
        this.#store = store;
        this.#actions = actions;
        this.#viewport.addEventListener('scroll', () => this.#scrolled(), { passive: true });
        this.#list.addEventListener('click', (event) => this.#clicked(event));
        this.#list.addEventListener('focusin', () => this.#setFollow(false));
        this.#list.addEventListener('pointerdown', ({ button }) => { this.#pressed = button === 0; });
        for (const end of ['pointerup', 'pointercancel', 'blur']) {
            addEventListener(end, () => this.#release());
        }
        new ResizeObserver(() => this.refresh()).observe(this.#viewport);
        setInterval(() => this.#tick(), TICK_MS);
    }

    get follow() {
        return this.#follow;
    }

    /** @param {boolean} follow */
    set follow(follow) {
        this.#follow = follow;
        this.refresh();
    }

    /** Rows that are elements just now. */
    get rendered() {
        return this.#rows.size;
    }

    /** From the top, for other rows than before: another tenant's, or another filter's. */
    reset() {
        this.#unfolded.clear();
        this.#rows.clear();
        this.#list.replaceChildren();
        this.#viewport.scrollTop = 0;
        this.#anchor = { key: 0, above: 0 };
        this.refresh();
    }

    /** Shows what has changed, soon. */
    refresh() {
        if (this.#due) {
            return;
        }
        this.#due = true;
        const wait = this.#renderedAt + RENDER_EVERY_MS - performance.now();
        const soon = () => requestAnimationFrame(() => {
            this.#due = false;
            if (!this.#pressed) {
                this.#render();
            }
        });
        if (wait > 0) {
            setTimeout(soon, wait);
        } else {
            soon();
        }
    }

    #release() {
        if (this.#pressed) {
            this.#pressed = false;
            this.refresh();
        }
    }

    #render() {
        this.#renderedAt = performance.now();
        this.#lay();
        this.#place();
        this.#fill();
        this.#actions.rendered();
    }

    /** Scrolls to the newest row where the list follows, else to the row that was at the top. */
    #place() {
        const top = this.#follow ? 0 : this.#layout.topOf(this.#store.indexOf(this.#anchor.key)) + this.#anchor.above;
        if (this.#viewport.scrollTop !== top) {
            this.#viewport.scrollTop = top;
        }
    }

    /** Works out where each row lies. */
    #lay() {
        const height = parseFloat(getComputedStyle(this.#list).getPropertyValue('--row')) || 1;
        /** @type {[number, number][]} */
        const tall = [];
        for (const [key, size] of this.#unfolded) {
            const index = this.#store.indexOf(key);
            if (this.#store.at(index)?.key === key) {
                tall.push([index, size]);
            } else {
                this.#unfolded.delete(key);
            }
        }
        this.#layout = new RowLayout(height, this.#store.length, tall.sort(([a], [b]) => a - b));
        this.#newest = this.#store.at(0)?.key ?? 0;
        this.#spacer.style.height = `${this.#layout.height}px`;
    }

    /** Makes elements of the rows in sight, and no others. */
    #fill() {
        const { scrollTop, clientHeight } = this.#viewport;
        const count = this.#store.length;
        const first = Math.max(0, this.#layout.indexAt(scrollTop) - SPARE_ROWS);
        const last = Math.min(count - 1, this.#layout.indexAt(scrollTop + clientHeight) + SPARE_ROWS);
        const wanted = new Map();
        for (let index = first; index <= last; index++) {
            const entry = this.#store.at(index);
            if (entry !== undefined) {
                wanted.set(entry.key, [entry, index]);
            }
        }
        for (const [key, row] of this.#rows) {
            if (!wanted.has(key)) {
                this.#sizes.unobserve(row);
                row.remove();
                this.#rows.delete(key);
            }
        }
        /** @type {Element | null} */
        let next = this.#list.firstElementChild;
        for (const [key, [entry, index]] of wanted) {
            const row = this.#rows.get(key) ?? this.#make(entry);
            row.setAttribute('aria-posinset', String(index + 1));
            row.setAttribute('aria-setsize', String(count));
            if (row === next) {
                next = next.nextElementSibling;
            } else {
                this.#list.insertBefore(row, next);
            }
        }
        this.#list.style.transform = `translateY(${this.#layout.topOf(first)}px)`;
        this.#keepAnchor();
        if (last >= count - NEAR_END_ROWS) {
            this.#actions.nearEnd();
        }
    }

    /** @param {Entry} entry */
    #make(entry) {
        const row = rowOf(entry);
        row.toggleAttribute('data-fresh', Date.now() - entry.arrived < FRESH_MS);
        this.#rows.set(entry.key, row);
        if (this.#unfolded.has(entry.key)) {
            this.#unfold(row, entry);
        }
        return row;
    }

    /** How many rows have come since they were laid out. */
    get #come() {
        return this.#store.indexOf(this.#newest);
    }

    #keepAnchor() {
        const index = this.#layout.indexAt(this.#viewport.scrollTop);
        this.#anchor = {
            key: this.#store.at(index + this.#come)?.key ?? 0,
            above: this.#viewport.scrollTop - this.#layout.topOf(Math.max(0, index)),
        };
    }

    #scrolled() {
        const { scrollTop } = this.#viewport;
        if (scrollTop > this.#layout.rowHeight) {
            this.#wasAway = true;
            this.#setFollow(false);
        } else if (scrollTop === 0 && this.#wasAway) {
            this.#wasAway = false;
            this.#setFollow(true);
        }
        this.#keepAnchor();
        const come = this.#come;
        this.#lay();
        if (come > 0) {
            this.#place();
        }
        this.#fill();
    }

    /** @param {boolean} follow */
    #setFollow(follow) {
        if (follow !== this.#follow) {
            this.#follow = follow;
            this.#actions.followed(follow);
        }
    }

    /** @param {MouseEvent} event */
    #clicked(event) {
        const target = /** @type {Element} */ (event.target);
        const row = /** @type {HTMLLIElement | null} */ (target.closest('li.event'));
        const entry = row && this.#store.at(this.#store.indexOf(Number(row.dataset.key)));
        if (!row || !entry?.event) {
            return;
        }
        const form = target.closest('[data-copy]')?.getAttribute('data-copy');
        if (form === 'json' || form === 'curl') {
            this.#actions.copy(entry, form);
        } else if (target.closest('.head') && getSelection()?.type !== 'Range') {
            this.#toggle(row, entry);
        }
    }

    /**
     * @param {HTMLLIElement} row
     * @param {Entry} entry
     */
    #toggle(row, entry) {
        this.#setFollow(false);
        if (this.#unfolded.delete(entry.key)) {
            this.#sizes.unobserve(row);
            row.querySelector('.details')?.remove();
            row.querySelector('.fold')?.setAttribute('aria-expanded', 'false');
            this.refresh();
        } else {
            this.#unfolded.set(entry.key, this.#layout.rowHeight);
            this.#unfold(row, entry);
        }
    }

    /**
     * @param {HTMLLIElement} row
     * @param {Entry} entry
     */
    #unfold(row, entry) {
        if (entry.event !== undefined) {
            row.append(detailsOf(entry.event));
            row.querySelector('.fold')?.setAttribute('aria-expanded', 'true');
            this.#sizes.observe(row);
        }
    }

    /** @param {ResizeObserverEntry[]} changes */
    #measure(changes) {
        for (const { target } of changes) {
            const key = Number(/** @type {HTMLElement} */ (target).dataset.key);
            if (this.#unfolded.has(key) && target.isConnected) {
                this.#unfolded.set(key, target.getBoundingClientRect().height);
            }
        }
        this.refresh();
    }

    /** What changes by the time alone. */
    #tick() {
        const now = Date.now();
        for (const [key, row] of this.#rows) {
            const entry = this.#store.at(this.#store.indexOf(key));
            if (row.dataset.fresh !== undefined && now - (entry?.arrived ?? 0) >= FRESH_MS) {
                delete row.dataset.fresh;
            }
            const relative = row.querySelector('.ago');
            const text = entry?.event && ago(Date.parse(entry.event.timestamp), now);
            if (relative && text && relative.textContent !== text) {
                relative.textContent = text;
            }
        }
    }
}
