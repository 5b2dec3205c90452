import { byId } from './dom.js';

/** @typedef {'feed' | 'publish' | 'statistics'} PaneName */

/** Which part of the page is seen where there is room for one only. */
export class Panes {
    #main = byId('main', HTMLElement);
    #bar = byId('panes', HTMLElement);

    constructor() {
        this.#bar.addEventListener('click', (event) => {
            const name = /** @type {Element} */ (event.target).closest('button')?.dataset.pane;
            if (name) {
                this.show(/** @type {PaneName} */ (name));
            }
        });
    }

    /** @param {PaneName} name */
    show(name) {
        this.#main.dataset.pane = name;
        for (const button of this.#bar.querySelectorAll('button')) {
            button.setAttribute('aria-pressed', String(button.dataset.pane === name));
        }
    }
}
