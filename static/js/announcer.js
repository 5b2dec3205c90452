import { byId } from './dom.js';

const EVERY_MS = 4000;

/** Tells those who listen to the page what comes: one sentence for many, so that a screen reader keeps up. */
export class Announcer {
    #region = byId('announce', HTMLElement);
    #count = 0;

    /** @param {number} count of new events */
    arrived(count) {
        const first = this.#count === 0;
        this.#count += count;
        if (first) {
            setTimeout(() => {
                this.say(this.#count === 1 ? '1 new event' : `${this.#count} new events`);
                this.#count = 0;
            }, EVERY_MS);
        }
    }

    /** @param {string} text */
    say(text) {
        this.#region.textContent = text;
    }
}
