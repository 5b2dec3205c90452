import { Problem, publish, sentence } from './api.js';
import { lengthOf, messageError, metadataError, typeError } from './checks.js';
import { byId } from './dom.js';

/** @typedef {import('./access.js').Access} Access */
/** @typedef {import('./api.js').Draft} Draft */
/** @typedef {'message' | 'type' | 'metadata'} FieldName */

/** @type {FieldName[]} */
const NAMES = ['message', 'type', 'metadata'];
const NOTHING = 'Write a message, or give metadata.';

/** The form that posts an event. */
export class Compose {
    #form = byId('compose', HTMLFormElement);
    #fields = {
        message: byId('message', HTMLTextAreaElement),
        type: byId('type', HTMLInputElement),
        metadata: byId('metadata', HTMLTextAreaElement),
    };
    #fieldErrors = {
        message: byId('message-error', HTMLElement),
        type: byId('type-error', HTMLElement),
        metadata: byId('metadata-error', HTMLElement),
    };
    #count = byId('message-count', HTMLElement);
    #more = byId('more', HTMLDetailsElement);
    #formError = byId('compose-error', HTMLElement);
    #status = byId('compose-status', HTMLElement);
    #button = byId('post', HTMLButtonElement);
    #access;
    #toasts;
    #maxChars = 2048; // the server's default, until it has said
    #busy = false;
    /** The tenant that the form names; null where it names none. @type {string | null} */
    #tenant = null;
    /** What was written for other tenants and not sent. @type {Map<string | null, Record<FieldName, string>>} */
    #drafts = new Map();
    /** What was sent last without a clear answer, and the key it went under. */
    #pending = { what: '', key: '' };

    /**
     * @param {() => Access | null} access for whom to publish; null where the page has no tenant
     * @param {import('./toast.js').Toasts} toasts
     */
    constructor(access, toasts) {
        this.#access = access;
        this.#toasts = toasts;
        this.#form.addEventListener('submit', (event) => {
            event.preventDefault();
            this.#submit();
        });
        for (const name of NAMES) {
            this.#fields[name].addEventListener('input', () => this.#edited(name));
        }
        this.#form.addEventListener('keydown', (event) => {
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
                event.preventDefault();
                this.#form.requestSubmit();
            }
        });
        this.#showCount();
    }

    /** The most characters that the server takes. @param {number} chars */
    set maxChars(chars) {
        this.#maxChars = chars;
        this.#check('message');
        this.#showCount();
    }

    /**
     * What was written for one tenant stays with it, and is not sent to another. What was written before there was any
     * goes to the first.
     *
     * @param {string | null} tenant
     */
    turnTo(tenant) {
        const before = this.#tenant;
        if (tenant === before) {
            return;
        }
        this.#tenant = tenant;
        if (before !== null || this.#drafts.has(tenant)) {
            this.#drafts.set(before, this.#texts());
            this.#fill(this.#drafts.get(tenant) ?? { message: '', type: '', metadata: '' });
        }
        this.#drafts.delete(tenant);
        this.#clearErrors();
        NAMES.forEach((name) => this.#check(name));
    }

    #showCount() {
        const chars = lengthOf(this.#fields.message.value);
        this.#count.textContent = `${chars} / ${this.#maxChars}`;
        this.#count.toggleAttribute('data-over', chars > this.#maxChars);
    }

    /** @returns {Record<FieldName, string>} */
    #texts() {
        const { message, type, metadata } = this.#fields;
        return { message: message.value, type: type.value, metadata: metadata.value };
    }

    /** @param {Record<FieldName, string>} texts */
    #fill(texts) {
        NAMES.forEach((name) => (this.#fields[name].value = texts[name]));
        this.#showCount();
    }

    async #submit() {
        if (this.#busy) {
            return;
        }
        this.#clearErrors();
        const access = this.#access();
        if (access === null) {
            this.#formError.textContent = 'Choose a tenant first, and connect.';
            return;
        }
        const texts = this.#texts();
        const draft = this.#read(texts);
        if (draft === null) {
            return;
        }
        this.#setBusy(true);
        const from = performance.now();
        try {
            const event = await publish(access, draft, this.#keyFor(access.tenant, draft));
            const took = `#${event.seq} in ${format(performance.now() - from)}`;
            this.#pending = { what: '', key: '' };
            this.#toasts.success(`Published to ${access.tenant} as ${took}.`);
            this.#published(access.tenant, texts, took);
        } catch (error) {
            if (!(error instanceof Problem)) {
                throw error;
            }
            this.#failed(access.tenant, error);
        } finally {
            this.#setBusy(false);
        }
    }

    /**
     * Empties what has been published, unless it was written on meanwhile.
     *
     * @param {string} tenant
     * @param {Record<FieldName, string>} texts
     * @param {string} took
     */
    #published(tenant, texts, took) {
        const { message, type, metadata } = texts;
        const isHere = tenant === this.#tenant;
        const now = isHere ? this.#texts() : this.#drafts.get(tenant);
        const rest = { message: '', type, metadata: '' };
        const same = now?.message === message && now.metadata === metadata;
        if (!isHere) {
            this.#drafts.set(tenant, same || now === undefined ? rest : now);
            return;
        }
        this.#status.textContent = `Published as ${took}`;
        this.#formError.textContent = '';
        if (same) {
            this.#fill({ ...rest, type: now.type });
            if (this.#form.contains(document.activeElement)) {
                this.#fields.message.focus();
            }
        }
    }

    /**
     * @param {string} tenant
     * @param {Problem} problem
     */
    #failed(tenant, problem) {
        if (tenant !== this.#tenant) {
            this.#toasts.failure(`Not published to ${tenant}. ${problem.message}`);
        } else if (!this.#showProblem(problem)) {
            this.#toasts.failure(`Not published to ${tenant}.`);
        }
    }

    /**
     * The draft, or null where a field holds what can't be sent.
     *
     * @param {Record<FieldName, string>} texts
     * @returns {Draft | null}
     */
    #read({ message, type, metadata }) {
        /** @type {Draft} */
        const draft = {};
        if (message !== '') {
            draft.message = message;
        }
        if (type.trim() !== '') {
            draft.type = type.trim();
        }
        if (metadata.trim() !== '') {
            draft.metadata = metadata;
        }
        if (draft.message === undefined && draft.metadata === undefined) {
            this.#showFieldError('message', NOTHING);
        }
        for (const name of NAMES) {
            const text = this.#errorOf(name);
            if (text !== '') {
                this.#showFieldError(name, text);
            }
        }
        return this.#form.querySelector('[aria-invalid]') === null ? draft : null;
    }

    /** What was said of a field, and of the form, was of what stood there before. @param {FieldName} name */
    #edited(name) {
        this.#formError.textContent = '';
        this.#status.textContent = '';
        this.#check(name);
        if (this.#fieldErrors.message.textContent === NOTHING) {
            this.#check('message');
        }
        this.#showCount();
    }

    /** @param {FieldName} name */
    #check(name) {
        this.#mark(name, this.#errorOf(name));
    }

    /** @param {FieldName} name */
    #errorOf(name) {
        const text = this.#fields[name].value;
        switch (name) {
        case 'message':
            return messageError(text, this.#maxChars);
        case 'type':
            return typeError(text.trim());
        case 'metadata':
            return metadataError(text);
        }
    }

    /**
     * The same draft goes again under the same key, so that pressing Post once more after a lost answer posts once.
     *
     * @param {string} tenant
     * @param {Draft} draft
     */
    #keyFor(tenant, draft) {
        const what = JSON.stringify([tenant, draft]);
        if (this.#pending.what !== what) {
            const random = crypto.getRandomValues(new Uint32Array(4));
            this.#pending = { what, key: Array.from(random, (word) => word.toString(36)).join('-') };
        }
        return this.#pending.key;
    }

    /**
     * Says each mistake once: at its field, or for all of the form. Whether a field was at fault.
     *
     * @param {Problem} problem
     */
    #showProblem(problem) {
        const rest = [];
        let atField = false;
        for (const { field, message } of problem.errors) {
            const name = field === 'event_type' ? 'type' : String(field).split(/[.[]/)[0];
            if (name === 'message' || name === 'type' || name === 'metadata') {
                this.#showFieldError(name, sentence(message));
                atField = true;
            } else {
                rest.push(`${field}: ${message}`);
            }
        }
        this.#formError.textContent = (atField ? rest : [problem.message, ...rest]).join(' ');
        return atField;
    }

    /**
     * Says it at the field, and takes the user to the first such.
     *
     * @param {FieldName} name
     * @param {string} text
     */
    #showFieldError(name, text) {
        const first = this.#form.querySelector('[aria-invalid]') === null;
        this.#mark(name, text);
        if (name !== 'message') {
            this.#more.open = true;
        }
        if (first) {
            this.#fields[name].focus();
        }
    }

    /**
     * @param {FieldName} name
     * @param {string} text none: the field is fine
     */
    #mark(name, text) {
        if (this.#fieldErrors[name].textContent !== text) {
            this.#fieldErrors[name].textContent = text;
        }
        if (text === '') {
            this.#fields[name].removeAttribute('aria-invalid');
        } else {
            this.#fields[name].setAttribute('aria-invalid', 'true');
        }
    }

    #clearErrors() {
        NAMES.forEach((name) => this.#mark(name, ''));
        this.#formError.textContent = '';
        this.#status.textContent = '';
    }

    /** @param {boolean} busy */
    #setBusy(busy) {
        this.#busy = busy;
        this.#form.toggleAttribute('data-busy', busy);
        this.#form.setAttribute('aria-busy', String(busy));
        this.#button.setAttribute('aria-disabled', String(busy)); // and not disabled: it may have the focus
        this.#button.textContent = busy ? 'Publishing…' : 'Publish';
    }
}

/** @param {number} ms */
function format(ms) {
    return ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
