import { make } from '../dom.js';
import { exactTime } from '../time.js';

/** What the parts of the view are made of. */

let ids = 0;

/** An id that nothing else has. @param {string} stem */
export function newId(stem) {
    ids++;
    return `admin-${stem}-${ids}`;
}

/**
 * @param {string} text
 * @param {() => void} [act]
 * @param {string} [className]
 */
export function button(text, act, className = 'plain') {
    const element = make('button', className, text);
    element.type = 'button';
    if (act) {
        element.addEventListener('click', act);
    }
    return element;
}

/**
 * @param {string} text
 * @param {string} [className]
 */
export function submit(text, className = 'primary') {
    const element = make('button', className, text);
    element.type = 'submit';
    return element;
}

/** A field with its label, a hint, and a place for what is wrong with it. */
export class Field {
    root = make('div', 'field');
    input = make('input');
    #error = make('p', 'field-error');

    /**
     * @param {string} label
     * @param {{hint?: string, type?: string, placeholder?: string, maxLength?: number}} [how]
     */
    constructor(label, { hint = '', type = 'text', placeholder = '', maxLength = 0 } = {}) {
        const { input } = this;
        const named = make('label', '', label);
        input.id = newId('field');
        input.type = type;
        input.autocomplete = 'off';
        input.spellcheck = false;
        input.autocapitalize = 'none';
        input.placeholder = placeholder;
        if (maxLength > 0) {
            input.maxLength = maxLength;
        }
        named.htmlFor = input.id;
        this.#error.id = newId('error');
        this.#error.setAttribute('role', 'alert');
        this.root.append(named, input);
        const described = [this.#error.id];
        if (hint !== '') {
            const text = make('p', 'hint', hint);
            text.id = newId('hint');
            described.push(text.id);
            this.root.append(text);
        }
        this.root.append(this.#error);
        input.setAttribute('aria-describedby', described.join(' '));
        input.addEventListener('input', () => this.fail(''));
    }

    get value() {
        return this.input.value.trim();
    }

    /** Says what is wrong; an empty text: nothing is. @param {string} text */
    fail(text) {
        this.#error.textContent = text;
        if (text === '') {
            this.input.removeAttribute('aria-invalid');
        } else {
            this.input.setAttribute('aria-invalid', 'true');
        }
    }
}

/**
 * Runs what a form asks for, once at a time.
 *
 * @param {HTMLElement} root told as busy meanwhile
 * @param {() => Promise<void>} act
 */
export async function busily(root, act) {
    if (root.dataset.busy !== undefined) {
        return;
    }
    root.dataset.busy = '';
    root.ariaBusy = 'true';
    try {
        await act();
    } finally {
        delete root.dataset.busy;
        root.ariaBusy = null;
    }
}

/** @param {unknown} error */
export function wordsOf(error) {
    return error instanceof Error ? error.message : String(error);
}

/**
 * A time as `text`, with all of it in its title.
 *
 * @param {string} at RFC 3339
 * @param {string} text
 */
export function timeOf(at, text) {
    const element = make('time', '', text);
    element.dateTime = at;
    element.title = exactTime(Date.parse(at));
    return element;
}
