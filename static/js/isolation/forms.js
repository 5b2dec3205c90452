import { askingFor } from '../access.js';
import { identify, Problem } from '../api.js';
import { make } from '../dom.js';
import { Keyring } from '../keyring.js';
import { TENANT } from '../tenant.js';

/** @typedef {import('../access.js').Access} Access */

const COUNT = { least: 1, most: 1000, usual: 100 };
const RATE = { least: 1, most: 50, usual: 10 };

/** How many canaries, how fast; begins, stops, and counts anew. */
export class Controls {
    element = make('form', 'run');
    #count = numberField(COUNT);
    #rate = numberField(RATE);
    #start = make('button', 'primary', 'Post canaries');
    #stop = make('button', 'plain', 'Stop');
    #status = make('span', 'quiet');
    #problem = make('p', 'field-error');

    /**
     * @param {object} actions
     * @param {(count: number, rate: number) => void} actions.start
     * @param {() => void} actions.stop
     * @param {() => void} actions.clear
     */
    constructor({ start, stop, clear }) {
        const zero = make('button', 'plain', 'Count from 0');
        this.#stop.type = 'button';
        zero.type = 'button';
        this.#problem.role = 'alert';
        this.#status.role = 'status';
        this.element.setAttribute('aria-label', 'Canaries');
        this.element.append(labelled('Canaries', this.#count), labelled('A second', this.#rate), this.#start,
            this.#stop, zero, this.#status, this.#problem);
        this.element.addEventListener('submit', (event) => {
            event.preventDefault();
            start(this.#count.valueAsNumber, this.#rate.valueAsNumber);
        });
        this.#stop.addEventListener('click', stop);
        zero.addEventListener('click', clear);
    }

    /** @param {string} problem empty where there is none */
    say(problem) {
        this.#problem.textContent = problem;
    }

    /**
     * @param {boolean} running
     * @param {number} left canaries that are to come
     */
    show(running, left) {
        this.#start.ariaDisabled = running ? 'true' : null;
        this.#stop.ariaDisabled = running ? null : 'true';
        this.#status.textContent = left > 0 ? `${left.toLocaleString()} to come` : '';
    }
}

/** Adds a tenant: by its name where that is enough, else by a credential, which the server says the tenant of. */
export class Adder {
    element = make('form', 'add');
    #actions;
    #keyring = new Keyring();
    #field = make('input');
    #known = make('datalist');
    #problem = make('p', 'field-error');
    #locked = false;
    /** What is said where no credential was pasted. */
    #empty = '';

    /**
     * @param {object} actions
     * @param {(access: Access) => void} actions.add
     * @param {(tenant: string) => string} actions.taken why a tenant can't be added; empty where it can
     */
    constructor(actions) {
        this.#actions = actions;
        const add = make('button', 'plain', 'Add');
        this.#known.id = 'isolation-tenants';
        this.#problem.id = 'isolation-problem';
        this.#problem.role = 'alert';
        this.#field.autocomplete = 'off';
        this.#field.spellcheck = false;
        this.#field.setAttribute('aria-describedby', this.#problem.id);
        this.element.setAttribute('aria-label', 'Another tenant');
        this.offer([]);
        this.element.addEventListener('submit', (event) => {
            event.preventDefault();
            this.#submit();
        });
        this.element.append(labelled('Another tenant', this.#field), this.#known, add, this.#problem);
    }

    /**
     * @param {string[] | null} tenants to choose from; null where a credential is wanted
     * @param {import('../access.js').Auth} [auth] where that is known
     */
    offer(tenants, auth) {
        const { placeholder, empty } = askingFor(auth);
        this.#locked = tenants === null;
        this.#empty = empty;
        this.#field.type = this.#locked ? 'password' : 'text';
        this.#field.placeholder = this.#locked ? placeholder : 'tenant’s id';
        this.#field.title = this.#locked ? 'Kept in this tab only' : '';
        this.#known.replaceChildren(...(tenants ?? []).map((id) => new Option(id, id)));
        if (this.#locked) {
            this.#field.removeAttribute('list');
        } else {
            this.#field.setAttribute('list', this.#known.id);
        }
    }

    focus() {
        this.#field.focus();
    }

    /** @param {string} problem */
    say(problem) {
        this.#problem.textContent = problem;
        if (problem === '') {
            this.#field.removeAttribute('aria-invalid');
        } else {
            this.#field.setAttribute('aria-invalid', 'true');
        }
    }

    async #submit() {
        const text = this.#field.value.trim();
        try {
            const access = await this.#accessOf(text);
            const problem = this.#actions.taken(access.tenant);
            this.say(problem);
            if (problem === '') {
                this.#field.value = '';
                this.#actions.add(access);
            }
        } catch (error) {
            this.say(error instanceof Problem ? error.message : String(error));
        }
        this.#field.focus();
    }

    /**
     * @param {string} text
     * @returns {Promise<Access>}
     * @throws {Problem}
     */
    async #accessOf(text) {
        if (this.#locked) {
            if (text === '') {
                throw new Problem(0, this.#empty);
            }
            const access = await identify(text);
            this.#keyring.add(access);
            return access;
        }
        if (!TENANT.test(text)) {
            throw new Problem(0, 'An id is up to 64 letters, digits, “.”, “_” or “-”.');
        }
        return { tenant: text, kind: 'name', secret: '' };
    }
}

/** @param {{least: number, most: number, usual: number}} bounds */
function numberField({ least, most, usual }) {
    const field = make('input');
    field.type = 'number';
    field.min = String(least);
    field.max = String(most);
    field.value = String(usual);
    field.required = true;
    return field;
}

/**
 * @param {string} text
 * @param {HTMLElement} field
 */
function labelled(text, field) {
    const label = make('label', '', text);
    label.append(field);
    return label;
}
