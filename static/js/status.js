import { byId } from './dom.js';

/** @typedef {import('./feed.js').State} State */

const TEXT = {
    'offline': 'Offline',
    'connecting': 'Connecting',
    'catching-up': 'Catching up',
    'live': 'Live',
    'retrying': 'Connection lost',
};

/** The state of the connection, always in sight. */
export class StatusView {
    #root = byId('state', HTMLElement);
    #text = byId('state-text', HTMLElement);
    #countdown = byId('state-countdown', HTMLElement);
    #detail = byId('state-detail', HTMLElement);
    #retry = byId('retry-now', HTMLButtonElement);
    /** @type {ReturnType<typeof setInterval> | undefined} */
    #ticker;

    /** @param {() => void} onRetry */
    constructor(onRetry) {
        this.#retry.addEventListener('click', onRetry);
    }

    /** @param {State} state */
    show({ name, detail = '', retryAt }) {
        clearInterval(this.#ticker);
        this.#root.dataset.state = name;
        this.#text.textContent = TEXT[name];
        this.#detail.textContent = detail;
        this.#countdown.textContent = '';
        this.#retry.hidden = retryAt === undefined;
        if (retryAt !== undefined) {
            this.#tick(retryAt);
            this.#ticker = setInterval(() => this.#tick(retryAt), 250);
        }
    }

    /** Beside the announced text, not in it: nobody wants each second read out. @param {number} at */
    #tick(at) {
        const seconds = Math.max(1, Math.ceil((at - Date.now()) / 1000));
        this.#countdown.textContent = `retrying in ${seconds} s`;
    }
}
