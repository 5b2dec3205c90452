import { byId } from './dom.js';

/** @typedef {import('./feed.js').State} State */
/** @typedef {import('./feed.js').Transport} Transport */

const ITEM = 'carillon.transport';

export const TEXT = {
    'offline': 'Offline',
    'connecting': 'Connecting',
    'catching-up': 'Catching up',
    'live': 'Live',
    'retrying': 'Connection lost',
};

/** The state of the connection, always in sight, and what it goes over. */
export class StatusView {
    #root = byId('state', HTMLElement);
    #text = byId('state-text', HTMLElement);
    #countdown = byId('state-countdown', HTMLElement);
    #detail = byId('state-detail', HTMLElement);
    #retry = byId('retry-now', HTMLButtonElement);
    #transport = byId('transport', HTMLSelectElement);
    /** @type {ReturnType<typeof setInterval> | undefined} */
    #ticker;

    /**
     * @param {object} actions
     * @param {() => void} actions.retry
     * @param {(transport: Transport) => void} actions.use
     */
    constructor({ retry, use }) {
        this.#retry.addEventListener('click', retry);
        const chosen = localStorage.getItem(ITEM) ?? '';
        if ([...this.#transport.options].some(({ value }) => value === chosen)) {
            this.#transport.value = chosen;
        }
        this.#transport.addEventListener('change', () => {
            localStorage.setItem(ITEM, this.transport);
            use(this.transport);
        });
    }

    /** What the connection is to go over. @returns {Transport} */
    get transport() {
        return /** @type {Transport} */ (this.#transport.value);
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
