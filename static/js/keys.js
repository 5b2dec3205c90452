import { byId } from './dom.js';

const ITEM = 'carillon.keys';

/**
 * What single keys do, where they are not typed into something; they can be turned off (WCAG 2.2, 2.1.4).
 */
export class Keys {
    #help = byId('help', HTMLDialogElement);
    #enabled = byId('keys-enabled', HTMLInputElement);
    /** @type {Record<string, () => void>} */
    #actions;

    /** @param {Record<string, () => void>} actions by key; `?` is the help's */
    constructor(actions) {
        this.#actions = { ...actions, '?': () => this.#help.showModal() };
        this.#enabled.checked = localStorage.getItem(ITEM) !== 'off';
        this.#enabled.addEventListener('change', () => {
            localStorage.setItem(ITEM, this.#enabled.checked ? 'on' : 'off');
        });
        byId('help-open', HTMLButtonElement).addEventListener('click', () => this.#help.showModal());
        document.addEventListener('keydown', (event) => this.#pressed(event));
    }

    /** @param {KeyboardEvent} event */
    #pressed(event) {
        const action = this.#actions[event.key];
        const target = /** @type {Element} */ (event.target);
        const typing = target.matches('input:not([type=checkbox]), textarea, select');
        if (action && this.#enabled.checked && !typing && !event.ctrlKey && !event.metaKey && !event.altKey
            && !this.#help.open) {
            event.preventDefault();
            action();
        }
    }
}
