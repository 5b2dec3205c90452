import { make } from '../dom.js';
import { button, Field, submit } from './parts.js';

const ITEM = 'carillon.admin';

/** The administrator's key: asked for once, kept in this tab only, until it is forgotten or found to be wrong. */
export class Lock {
    root = make('form', 'lock');
    forget = button('Forget key', () => this.#forgotten());
    #field = new Field('Administrator’s key', { type: 'password',
        hint: '--admin-key, or CARILLON_ADMIN_KEY. Kept in this tab only.' });
    #key = sessionStorage.getItem(ITEM) ?? '';
    #actions;

    /**
     * @param {object} actions
     * @param {() => void} actions.open there is a key to be tried
     * @param {() => void} actions.close it has been forgotten
     */
    constructor(actions) {
        this.#actions = actions;
        this.root.noValidate = true;
        this.root.append(make('p', 'quiet', 'Tenants, their keys and their limits are the administrator’s.'),
            this.#field.root, submit('Unlock'));
        this.root.addEventListener('submit', (event) => {
            event.preventDefault();
            this.#entered();
        });
    }

    get key() {
        return this.#key;
    }

    /** It is good. */
    accept() {
        if (this.#key !== '') {
            sessionStorage.setItem(ITEM, this.#key);
        }
        this.#field.input.value = '';
        this.#field.fail('');
        this.forget.hidden = this.#key === '';
    }

    /** It is not, or one is wanted. @param {string} why */
    refuse(why) {
        const tried = this.#key !== '';
        sessionStorage.removeItem(ITEM);
        this.#key = '';
        if (tried) {
            this.#field.fail(why);
            this.#field.input.select();
            this.#field.input.focus();
        }
    }

    /** Something else is wrong. @param {string} why */
    fail(why) {
        this.#field.fail(why);
    }

    focus() {
        this.#field.input.focus();
    }

    #entered() {
        const key = this.#field.value;
        /* What a header cannot hold is no key. */
        if (!/^[\x21-\x7e]+$/.test(key)) {
            this.#field.fail(key === '' ? 'Enter the key.' : 'A key has no blanks, and nothing beyond ASCII.');
            this.#field.input.focus();
            return;
        }
        this.#key = key;
        this.#actions.open();
    }

    #forgotten() {
        sessionStorage.removeItem(ITEM);
        this.#key = '';
        this.#actions.close();
        this.focus();
    }
}
