import { byId, make } from './dom.js';

const SHOWN_MS = 5000;
const MOST = 4;

/** Short words on what has just succeeded or failed. A failure stays until it is dismissed. */
export class Toasts {
    #polite = byId('toasts', HTMLElement);
    #urgent = byId('toasts-urgent', HTMLElement);

    /** @param {string} text */
    success(text) {
        const toast = this.#add(this.#polite, text);
        setTimeout(() => toast.remove(), SHOWN_MS);
    }

    /** @param {string} text */
    failure(text) {
        this.#add(this.#urgent, text);
    }

    /**
     * @param {HTMLElement} region
     * @param {string} text
     */
    #add(region, text) {
        const toast = make('div', 'toast');
        const close = make('button', 'close', '×');
        close.type = 'button';
        close.setAttribute('aria-label', 'Dismiss');
        close.addEventListener('click', () => toast.remove());
        toast.append(make('p', '', text), close);
        region.append(toast);
        while (region.children.length > MOST) {
            region.firstElementChild?.remove();
        }
        return toast;
    }
}
