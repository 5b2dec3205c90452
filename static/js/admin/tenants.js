import { Problem } from '../api.js';
import { make } from '../dom.js';
import { secretBox } from './keys.js';
import { busily, button, Field, submit, wordsOf } from './parts.js';
import { bytesText, paceText, Table } from './tables.js';
import { bytes, count } from './values.js';

/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./client.js').Overview} Overview */
/** @typedef {import('./client.js').Standing} Standing */
/** @typedef {import('./client.js').View} View */
/** @typedef {import('./values.js').Paces} Paces */
/** @typedef {import('../toast.js').Toasts} Toasts */

const WAIT_MS = 250; // after the last key that was pressed in the filter

/**
 * @typedef {object} Actions
 * @property {(id: string) => void} open shows a tenant
 * @property {() => void} look the list is to be asked for now
 * @property {(error: unknown) => boolean} refused whether the error is that of the administrator's key, and was told
 */

/** The tenants, live, and the way to make one. */
export class Tenants {
    root = make('section', 'tenants');
    #view = /** @type {View} */ ({ sort: 'traffic', order: 'desc', q: '' });
    #filter = new Field('Filter by id or name', { type: 'search', maxLength: 128 });
    #shown = make('p', 'quiet');
    #new = button('New tenant', () => this.#toggle(true), 'primary');
    #form = make('form', 'new-tenant');
    #name = new Field('Name', { maxLength: 128 });
    #id = new Field('Id', { hint: 'Where none is given, the server makes one of the name.', maxLength: 64 });
    #error = make('p', 'form-error');
    #made = make('div');
    #table;
    #client;
    #toasts;
    #actions;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #timer;

    /**
     * @param {Client} client
     * @param {Paces} paces
     * @param {Toasts} toasts
     * @param {Actions} actions
     */
    constructor(client, paces, toasts, actions) {
        this.#client = client;
        this.#toasts = toasts;
        this.#actions = actions;
        this.#table = tableOf(paces, actions.open);
        this.#table.onSort((sort) => this.#sort(sort));
        this.#table.showSort(this.#view.sort, this.#view.order);
        this.#filter.input.addEventListener('input', () => {
            clearTimeout(this.#timer);
            this.#timer = setTimeout(() => this.#filtered(), WAIT_MS);
        });
        this.#prepareForm();
        const title = make('h3', '', 'Tenants');
        title.id = 'admin-tenants-title';
        this.root.setAttribute('aria-labelledby', title.id);
        const bar = make('div', 'tools');
        bar.append(this.#filter.root, this.#shown, this.#new);
        this.#shown.setAttribute('role', 'status');
        this.root.append(title, bar, this.#form, this.#made, this.#table.root);
    }

    /** What is to be asked for. */
    get view() {
        return this.#view;
    }

    /** @param {Overview} overview */
    show({ tenants, matched }) {
        this.#table.show(tenants);
        const text = matched === tenants.length ? `${count(matched)} ${matched === 1 ? 'tenant' : 'tenants'}`
            : `The first ${count(tenants.length)} of ${count(matched)} tenants`;
        if (this.#shown.textContent !== text) {
            this.#shown.textContent = text;
        }
    }

    /** Puts the focus where the way to a tenant was. @param {string} id */
    focus(id) {
        const link = this.#table.rowOf(id)?.querySelector('button');
        (link ?? this.#filter.input).focus();
    }

    /** Nothing of what was shown or typed stays. */
    clear() {
        this.#table.show([]);
        this.#made.replaceChildren();
        this.#toggle(false);
    }

    #filtered() {
        this.#view = { ...this.#view, q: this.#filter.value };
        this.#actions.look();
    }

    /** By another column; by the same one the other way round. @param {string} sort */
    #sort(sort) {
        const first = sort === 'id' ? 'asc' : 'desc';
        const other = this.#view.order === 'asc' ? 'desc' : 'asc';
        this.#view = { ...this.#view, sort, order: sort === this.#view.sort ? other : first };
        this.#table.showSort(sort, this.#view.order);
        this.#actions.look();
    }

    #prepareForm() {
        const row = make('div', 'row');
        row.append(submit('Create'), button('Cancel', () => {
            this.#toggle(false);
            this.#new.focus();
        }));
        this.#error.setAttribute('role', 'alert');
        this.#form.id = 'admin-new-tenant';
        this.#form.noValidate = true;
        this.#form.ariaLabel = 'New tenant';
        this.#new.setAttribute('aria-controls', this.#form.id);
        this.#form.append(this.#name.root, this.#id.root, this.#error, row);
        this.#form.addEventListener('submit', (event) => {
            event.preventDefault();
            busily(this.#form, () => this.#create());
        });
        this.#toggle(false);
    }

    /** @param {boolean} open */
    #toggle(open) {
        this.#form.hidden = !open;
        this.#new.hidden = open;
        this.#error.textContent = '';
        for (const field of [this.#name, this.#id]) {
            field.input.value = '';
            field.fail('');
        }
        if (open) {
            this.#name.input.focus();
        }
    }

    async #create() {
        const id = this.#id.value;
        this.#error.textContent = '';
        if (this.#name.value === '') {
            this.#name.fail('A tenant has a name.');
            this.#name.input.focus();
            return;
        }
        try {
            const made = await this.#client.create({ name: this.#name.value, ...(id === '' ? {} : { id }) });
            this.#toggle(false);
            const box = secretBox(made.api_key, made.id, this.#toasts, [
                button(`Show ${made.id}`, () => this.#actions.open(made.id), 'link')]);
            this.#made.prepend(box);
            box.querySelector('button')?.focus();
            this.#toasts.success(`Tenant ${made.id} is there.`);
            this.#actions.look();
        } catch (error) {
            if (!this.#actions.refused(error)) {
                this.#fail(error);
            }
        }
    }

    /** @param {unknown} error */
    #fail(error) {
        const errors = error instanceof Problem ? error.errors : [];
        for (const { field, message } of errors) {
            const at = field === 'id' ? this.#id : field === 'name' ? this.#name : null;
            at?.fail(`The ${field} ${message}.`);
            at?.input.focus();
        }
        if (error instanceof Problem && error.status === 409) {
            this.#id.fail('There is a tenant of that id.');
            this.#id.input.focus();
        } else if (errors.length === 0) {
            this.#error.textContent = wordsOf(error);
        }
    }
}

/**
 * @param {Paces} paces
 * @param {(id: string) => void} open
 * @returns {Table<Standing>}
 */
function tableOf(paces, open) {
    return new Table('Tenants', [
        { title: 'Tenant', head: true, sort: 'id', show: (row, cell) => showTenant(row, cell, open) },
        { title: 'Events/s', number: true, sort: 'rate', show: ({ id }) => paceText(paces.of(id)?.published) },
        { title: 'Delivered/s', number: true, show: ({ id }) => paceText(paces.of(id)?.delivered) },
        { title: 'Bytes/s', number: true, show: ({ id }) => bytesText(paces.of(id)?.bytes) },
        { title: 'Bytes in all', number: true, sort: 'traffic',
            show: ({ published_bytes: came, delivered_bytes: went }) => bytes(came + went) },
        { title: 'Connections', number: true, sort: 'connections', show: ({ connections }) => count(connections) },
        { title: 'Events kept', number: true, sort: 'events', show: ({ events }) => count(events) },
        { title: 'Memory', number: true, sort: 'memory', show: ({ memory }) => bytes(memory) },
        { title: 'Refused', number: true, sort: 'refused', show: ({ refused }) => count(refused) },
    ], ({ id }) => id, 'There is no such tenant.');
}

/**
 * The id, which opens it, and the name, where it has one.
 *
 * @param {Standing} row
 * @param {HTMLElement} cell
 * @param {(id: string) => void} open
 */
function showTenant({ id, name: called }, cell, open) {
    if (cell.firstElementChild === null) {
        cell.append(button(id, () => open(id), 'link'), make('span', 'quiet called'));
    }
    const said = called === id ? '' : called;
    const place = /** @type {HTMLElement} */ (cell.lastElementChild);
    if (place.textContent !== said) {
        place.textContent = said;
    }
}
