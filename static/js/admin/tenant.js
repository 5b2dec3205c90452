import { Problem } from '../api.js';
import { make } from '../dom.js';
import { ago } from '../time.js';
import { Keys } from './keys.js';
import { busily, button, Field, newId, submit, timeOf, wordsOf } from './parts.js';
import { bytesText, paceText } from './tables.js';
import { bytes, changesOf, count, LIMITS, textsOf } from './values.js';

/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./client.js').Overview} Overview */
/** @typedef {import('./client.js').Tenant} Tenant */
/** @typedef {import('./values.js').Paces} Paces */
/** @typedef {import('../toast.js').Toasts} Toasts */

/**
 * @typedef {object} Actions
 * @property {(gone: boolean) => void} back to the list; the tenant may be there no more
 * @property {(error: unknown) => boolean} refused whether the error is that of the administrator's key, and was told
 */

/** One tenant: its figures, its terms, its keys, its end. */
export class TenantPage {
    root = make('section', 'tenant');
    id;
    #title = make('h3');
    #figures = make('dl', 'figures');
    #content = make('div', 'parts');
    #problem = make('p', 'form-error');
    #client;
    #paces;
    #toasts;
    #actions;

    /**
     * @param {string} id
     * @param {Client} client
     * @param {Paces} paces
     * @param {Toasts} toasts
     * @param {Actions} actions
     */
    constructor(id, client, paces, toasts, actions) {
        this.id = id;
        this.#client = client;
        this.#paces = paces;
        this.#toasts = toasts;
        this.#actions = actions;
        this.#title.id = 'admin-tenant-title';
        this.#title.tabIndex = -1;
        this.#title.textContent = id;
        this.#problem.setAttribute('role', 'alert');
        this.root.setAttribute('aria-labelledby', this.#title.id);
        this.#content.append(make('p', 'quiet', 'Loading…'));
        this.root.append(button('← All tenants', () => actions.back(false), 'link'), this.#title, this.#figures,
            this.#problem, this.#content);
        this.#load();
    }

    focus() {
        this.#title.focus();
    }

    /** @param {Overview} overview */
    show({ tenants }) {
        const row = tenants.find(({ id }) => id === this.id);
        const now = this.#paces.of(this.id);
        this.#figures.replaceChildren(...row ? [
            figure('events/s', paceText(now?.published)), figure('delivered/s', paceText(now?.delivered)),
            figure('bytes/s', bytesText(now?.bytes)), figure('connections', count(row.connections)),
            figure('events kept', count(row.events)), figure('memory', bytes(row.memory)),
            figure('refused', count(row.refused))] : []);
    }

    async #load() {
        try {
            const tenant = await this.#client.tenant(this.id);
            const keys = new Keys(this.#client, this.id, this.#toasts, this.#actions.refused);
            await keys.look();
            this.#problem.textContent = '';
            this.#content.replaceChildren(this.#terms(tenant), keys.root, this.#end(tenant));
        } catch (error) {
            if (!this.#actions.refused(error)) {
                this.#problem.textContent = wordsOf(error);
                this.#content.replaceChildren(button('Try again', () => {
                    this.focus();
                    this.#load();
                }));
            }
        }
    }

    /** @param {Tenant} tenant */
    #terms(tenant) {
        const form = make('form', 'terms');
        const title = make('h4', '', 'Name, limits, retention');
        const error = make('p', 'form-error');
        const said = make('p', 'quiet', 'Made ');
        title.id = newId('title');
        said.append(timeOf(tenant.created_at, ago(Date.parse(tenant.created_at))),
            '. Empty: the server’s default. What is changed counts from then on; nobody has to leave.');
        error.setAttribute('role', 'alert');
        form.setAttribute('aria-labelledby', title.id);
        form.noValidate = true;
        let before = textsOf(tenant);
        /** @type {Record<string, Field>} */
        const fields = {
            name: new Field('Name', { maxLength: 128 }),
            ...Object.fromEntries(LIMITS.map(([name, label, hint]) => [`limits.${name}`,
                new Field(label, { hint, placeholder: 'default' })])),
            retention: new Field('Retention', { hint: 'AGE/COUNT, such as 24h/1000, 24h/ or /1000',
                placeholder: 'default' }),
        };
        fill(fields, before);
        const grid = make('div', 'grid');
        grid.append(...Object.values(fields).map(({ root }) => root));
        form.append(title, said, grid, error, submit('Save'));
        form.addEventListener('submit', (event) => {
            event.preventDefault();
            busily(form, async () => {
                before = await this.#save(fields, before, error) ?? before;
            });
        });
        return form;
    }

    /**
     * @param {Record<string, Field>} fields
     * @param {Record<string, string>} before
     * @param {HTMLElement} error
     * @returns {Promise<Record<string, string> | null>} what is so now
     */
    async #save(fields, before, error) {
        const now = Object.fromEntries(Object.entries(fields).map(([name, { value }]) => [name, value]));
        const changes = changesOf(before, now);
        error.textContent = '';
        if (Object.keys(changes).length === 0) {
            this.#toasts.success('Nothing has changed.');
            return null;
        }
        try {
            const texts = textsOf(await this.#client.change(this.id, changes));
            fill(fields, texts);
            this.#toasts.success(`The terms of ${this.id} are changed.`);
            return texts;
        } catch (problem) {
            if (!this.#actions.refused(problem)) {
                blame(fields, problem, error);
            }
            return null;
        }
    }

    /** @param {Tenant} tenant */
    #end({ name: called }) {
        const form = make('form', 'end');
        const title = make('h4', '', 'Delete');
        const field = new Field(`Type “${called}” to delete it`, {
            hint: 'Its events and keys go with it, and its connections are closed. There is no way back.' });
        title.id = newId('title');
        form.setAttribute('aria-labelledby', title.id);
        form.noValidate = true;
        form.append(title, field.root, submit('Delete tenant', 'plain danger'));
        form.addEventListener('submit', (event) => {
            event.preventDefault();
            if (field.input.value !== called && field.value !== called.trim()) {
                field.fail(field.value === '' ? 'Type the name.' : 'That is not the name.');
                field.input.focus();
                return;
            }
            busily(form, () => this.#remove(field));
        });
        return form;
    }

    /** @param {Field} field */
    async #remove(field) {
        try {
            await this.#client.remove(this.id);
            this.#toasts.success(`Tenant ${this.id} is deleted.`);
            this.#actions.back(true);
        } catch (error) {
            if (!this.#actions.refused(error)) {
                field.fail(wordsOf(error));
            }
        }
    }
}

/**
 * @param {string} term
 * @param {string} text
 */
export function figure(term, text) {
    const root = make('div');
    root.append(make('dt', '', term), make('dd', '', text));
    return root;
}

/**
 * @param {Record<string, Field>} fields
 * @param {Record<string, string>} texts
 */
function fill(fields, texts) {
    for (const [name, field] of Object.entries(fields)) {
        field.input.value = texts[name] ?? '';
        field.fail('');
    }
}

/**
 * Says at the field what the server says of it; elsewhere what is about none.
 *
 * @param {Record<string, Field>} fields
 * @param {unknown} problem
 * @param {HTMLElement} elsewhere
 */
function blame(fields, problem, elsewhere) {
    const errors = problem instanceof Problem ? problem.errors : [];
    let told = false;
    for (const { field, message } of errors) {
        const at = fields[field];
        at?.fail(`It ${message}.`);
        at?.input.focus();
        told ||= at !== undefined;
    }
    elsewhere.textContent = told ? '' : wordsOf(problem);
}
