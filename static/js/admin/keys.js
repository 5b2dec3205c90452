import { copy } from '../clipboard.js';
import { make } from '../dom.js';
import { ago } from '../time.js';
import { busily, button, newId, timeOf, wordsOf } from './parts.js';

/** @typedef {import('./client.js').Client} Client */
/** @typedef {import('./client.js').Key} Key */
/** @typedef {import('../toast.js').Toasts} Toasts */

/** A tenant's API keys: made, replaced by others, revoked. */
export class Keys {
    root = make('section', 'api-keys');
    #list = make('ul');
    #problem = make('p', 'form-error');
    #made = make('div');
    #client;
    #tenant;
    #toasts;
    #refused;

    /**
     * @param {Client} client
     * @param {string} tenant
     * @param {Toasts} toasts
     * @param {(error: unknown) => boolean} refused
     */
    constructor(client, tenant, toasts, refused) {
        this.#client = client;
        this.#tenant = tenant;
        this.#toasts = toasts;
        this.#refused = refused;
        const title = make('h4', '', 'API keys');
        title.id = 'admin-keys-title';
        this.root.setAttribute('aria-labelledby', title.id);
        this.#problem.setAttribute('role', 'alert');
        this.#list.setAttribute('role', 'list');
        this.#list.ariaLabel = 'API keys';
        this.root.append(title, this.#list, this.#problem, this.#made,
            button('New key', () => busily(this.root, () => this.#make(null))));
    }

    /** Asks for them anew. */
    async look() {
        await this.#attempt(async () => {
            const keys = await this.#client.keys(this.#tenant);
            const rows = keys.sort((a, b) => a.created_at.localeCompare(b.created_at)).map((key) => this.#row(key));
            const none = make('li', 'none quiet', 'It has none: no service gets in by a key.');
            this.#list.replaceChildren(...rows.length > 0 ? rows : [none]);
        });
    }

    /** @param {Key} key */
    #row(key) {
        const row = make('li');
        const rotate = button('Rotate', () => busily(this.root, () => this.#make(key)), 'small');
        rotate.setAttribute('aria-label', `Rotate ${key.prefix}…`);
        rotate.title = 'Makes another one; this one is good until it is revoked.';
        const when = timeOf(key.created_at, ago(Date.parse(key.created_at)));
        row.append(make('code', '', `${key.prefix}…`), when, rotate, this.#revoking(key, 'Revoke'));
        row.dataset.key = key.id;
        return row;
    }

    /**
     * @param {Key} key
     * @param {string} text
     */
    #revoking(key, text) {
        return asking(text, `Who uses ${key.prefix}… is shut out at once.`, `Revoke ${key.prefix}…`,
            () => this.#revoke(key));
    }

    /** Makes a key; where `old` is one, to take its place. @param {Key | null} old */
    async #make(old) {
        await this.#attempt(async () => {
            const made = await this.#client.makeKey(this.#tenant);
            const box = secretBox(made.api_key, this.#tenant, this.#toasts, old === null ? [] : [this.#rest(old)]);
            this.#made.prepend(box);
            box.querySelector('button')?.focus();
            await this.look();
        });
    }

    /** What is left to do where a key has got a successor. @param {Key} old */
    #rest(old) {
        const rest = make('p', 'quiet', `${old.prefix}… is still good. When the new key is in its place: `);
        rest.dataset.old = old.id;
        rest.append(this.#revoking(old, `Revoke ${old.prefix}…`));
        return rest;
    }

    /** @param {Key} key */
    async #revoke(key) {
        await this.#attempt(async () => {
            await this.#client.revokeKey(this.#tenant, key.id);
            this.#toasts.success(`${key.prefix}… is good no more.`);
            await this.look();
            for (const rest of this.#made.querySelectorAll('[data-old]')) {
                if (/** @type {HTMLElement} */ (rest).dataset.old === key.id) {
                    rest.remove();
                }
            }
            /* What had the focus has gone with its row. */
            this.root.querySelector('button')?.focus();
        });
    }

    /** @param {() => Promise<void>} act */
    async #attempt(act) {
        try {
            await act();
            this.#problem.textContent = '';
        } catch (error) {
            if (!this.#refused(error)) {
                this.#problem.textContent = wordsOf(error);
            }
        }
    }
}

/**
 * A key that has just been made. The server has forgotten it, and so does the page, with this.
 *
 * @param {string} secret
 * @param {string} whose
 * @param {Toasts} toasts
 * @param {HTMLElement[]} [more] that belongs to it
 */
export function secretBox(secret, whose, toasts, more = []) {
    const root = make('div', 'secret');
    const title = make('p', 'secret-title', `API key of ${whose}`);
    const field = make('input', 'code');
    const done = button('Done', () => root.remove());
    root.setAttribute('role', 'group');
    title.id = newId('secret');
    root.setAttribute('aria-labelledby', title.id);
    field.readOnly = true;
    field.value = secret;
    field.size = secret.length;
    field.setAttribute('aria-label', 'API key');
    field.addEventListener('focus', () => field.select());
    const row = make('div', 'row');
    row.append(field, button('Copy', () => copyOut(secret, toasts), 'primary'), done);
    root.append(title, make('p', 'quiet', 'It is shown this once. The server keeps no more than its digest.'), row,
        ...more);
    return root;
}

/**
 * @param {string} secret
 * @param {Toasts} toasts
 */
async function copyOut(secret, toasts) {
    try {
        await copy(secret);
        toasts.success('The key is on the clipboard.');
    } catch {
        toasts.failure('The browser does not let the page copy. Select the key, and copy it by hand.');
    }
}

/**
 * A button that asks once more: in its place come what it is about, the deed, and the way back.
 *
 * @param {string} text of the button
 * @param {string} question
 * @param {string} yes
 * @param {() => Promise<void>} act
 */
function asking(text, question, yes, act) {
    const root = make('span', 'asking');
    const first = button(text, () => {
        root.replaceChildren(make('span', '', question), sure, back);
        sure.focus();
    }, 'small');
    const sure = button(yes, async () => {
        sure.disabled = true;
        await act();
        sure.disabled = false;
        if (root.isConnected) {
            root.replaceChildren(first);
            first.focus();
        }
    }, 'small danger');
    const back = button('Keep it', () => {
        root.replaceChildren(first);
        first.focus();
    }, 'small');
    root.addEventListener('keydown', (event) => {
        if (event.key === 'Escape' && root.contains(back)) {
            event.preventDefault();
            back.click();
        }
    });
    root.append(first);
    return root;
}
