import { byId, make } from './dom.js';
import { hueOf } from './hue.js';

const MOST = 40; // chips until more are asked for; the most frequent types
const ALL = 1000;

/** The types of the tenant's events, to be filtered by. */
export class TypeChips {
    #root = byId('types', HTMLElement);
    #more = make('button', 'link');
    #unfolded = false;
    #onChange;
    /** @type {Map<string, HTMLButtonElement>} */
    #chips = new Map();
    /** @type {Set<string>} */
    #chosen = new Set();

    /** @param {() => void} onChange */
    constructor(onChange) {
        this.#onChange = onChange;
        this.#more.type = 'button';
        this.#more.addEventListener('click', () => this.#unfold(!this.#unfolded));
        this.#root.addEventListener('click', (event) => {
            const chip = /** @type {Element} */ (event.target).closest('button');
            if (chip?.dataset.type !== undefined) {
                this.#choose(chip, chip.dataset.type);
            }
        });
    }

    /** @returns {ReadonlySet<string>} none: all */
    get chosen() {
        return this.#chosen;
    }

    /** @param {[type: string, count: number][]} counts most frequent first */
    show(counts) {
        for (const [type] of counts) {
            if (!this.#chips.has(type) && this.#chips.size < ALL) {
                this.#add(type);
            }
        }
        this.#showMore();
    }

    clear() {
        this.#chosen.clear();
        for (const chip of this.#chips.values()) {
            chip.setAttribute('aria-pressed', 'false');
        }
    }

    reset() {
        this.#chosen.clear();
        this.#chips.clear();
        this.#root.replaceChildren();
        this.#unfold(false);
    }

    /** @param {string} type */
    #add(type) {
        const chip = make('button', 'chip', type);
        chip.type = 'button';
        chip.dataset.type = type;
        chip.title = type;
        chip.setAttribute('aria-pressed', String(this.#chosen.has(type)));
        chip.style.setProperty('--hue', String(hueOf(type)));
        chip.hidden = !this.#unfolded && this.#chips.size >= MOST;
        this.#chips.set(type, chip);
        this.#root.append(chip);
    }

    /** @param {boolean} unfolded */
    #unfold(unfolded) {
        this.#unfolded = unfolded;
        this.#root.toggleAttribute('data-unfolded', unfolded);
        [...this.#chips.values()].forEach((chip, i) => {
            chip.hidden = !unfolded && i >= MOST && chip.ariaPressed !== 'true';
        });
        this.#showMore();
    }

    /** Says how many are not shown, behind the last one. */
    #showMore() {
        const more = this.#chips.size - MOST;
        if (more <= 0) {
            this.#more.remove();
            return;
        }
        this.#more.textContent = this.#unfolded ? 'Fewer types' : `${more} more`;
        this.#more.ariaExpanded = String(this.#unfolded);
        if (this.#root.lastElementChild !== this.#more) {
            this.#root.append(this.#more);
        }
    }

    /**
     * @param {HTMLButtonElement} chip
     * @param {string} type
     */
    #choose(chip, type) {
        if (!this.#chosen.delete(type)) {
            this.#chosen.add(type);
        }
        chip.setAttribute('aria-pressed', String(this.#chosen.has(type)));
        this.#onChange();
    }
}
