import { Problem, publish } from './api.js';
import { byId } from './dom.js';

/** @typedef {import('./api.js').Draft} Draft */
/** @typedef {'message' | 'type' | 'metadata'} FieldName */

const MAX_CHARS = 2048; // the server's default; what it is told otherwise, it says itself
const TYPE = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/;

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
    #tenant;
    #busy = false;
    /** What was sent last without a clear answer, and the key it went under. */
    #pending = { what: '', key: '' };

    /** @param {() => string | null} tenant whom to post to; null where that is not known, and the user was told */
    constructor(tenant) {
        this.#tenant = tenant;
        this.#form.addEventListener('submit', (event) => {
            event.preventDefault();
            this.#submit();
        });
        this.#fields.message.addEventListener('input', () => this.#showCount());
        this.#form.addEventListener('keydown', (event) => {
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
                event.preventDefault();
                this.#form.requestSubmit();
            }
        });
        this.#showCount();
    }

    #showCount() {
        const chars = [...this.#fields.message.value].length;
        this.#count.textContent = `${chars} / ${MAX_CHARS}`;
        this.#count.toggleAttribute('data-over', chars > MAX_CHARS);
    }

    async #submit() {
        this.#clearErrors();
        const draft = this.#read();
        const tenant = draft && this.#tenant();
        if (this.#busy || !draft || !tenant) {
            return;
        }
        this.#setBusy(true);
        try {
            const event = await publish(tenant, draft, this.#keyFor(tenant, draft));
            this.#pending = { what: '', key: '' };
            this.#status.textContent = `Posted as #${event.seq}`;
            this.#fields.message.value = '';
            this.#fields.metadata.value = '';
            this.#showCount();
            this.#fields.message.focus();
        } catch (error) {
            if (!(error instanceof Problem)) {
                throw error;
            }
            this.#showProblem(error);
        } finally {
            this.#setBusy(false);
        }
    }

    /** The draft, or null where a field holds what can't be sent. @returns {Draft | null} */
    #read() {
        /** @type {Draft} */
        const draft = {};
        const type = this.#fields.type.value.trim();
        if (this.#fields.message.value !== '') {
            draft.message = this.#fields.message.value;
        }
        if (type !== '') {
            draft.type = type;
            if (!TYPE.test(type)) {
                this.#showFieldError('type', 'A type is up to 64 letters, digits, “.”, “_”, “:” or “-”.');
            }
        }
        this.#readMetadata(draft);
        if (draft.message === undefined && this.#fields.metadata.value.trim() === '') {
            this.#showFieldError('message', 'Write a message, or give metadata.');
        }
        return this.#form.querySelector('[aria-invalid]') === null ? draft : null;
    }

    /** @param {Draft} draft */
    #readMetadata(draft) {
        const text = this.#fields.metadata.value.trim();
        if (text === '') {
            return;
        }
        try {
            const value = JSON.parse(text);
            if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
                draft.metadata = value;
                return;
            }
            this.#showFieldError('metadata', 'Metadata must be a JSON object: {…}');
        } catch (error) {
            this.#showFieldError('metadata', `This is not JSON. ${error instanceof Error ? error.message : ''}`);
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

    /** @param {Problem} problem */
    #showProblem(problem) {
        const rest = [];
        for (const { field, message } of problem.errors) {
            const name = field === 'event_type' ? 'type' : String(field).split(/[.[]/)[0];
            if (name === 'message' || name === 'type' || name === 'metadata') {
                this.#showFieldError(name, message);
            } else {
                rest.push(`${field}: ${message}`);
            }
        }
        this.#formError.textContent = [problem.message, ...rest].join(' ');
    }

    /**
     * @param {FieldName} name
     * @param {string} text
     */
    #showFieldError(name, text) {
        const first = this.#form.querySelector('[aria-invalid]') === null;
        this.#fieldErrors[name].textContent = text;
        this.#fields[name].setAttribute('aria-invalid', 'true');
        if (name !== 'message') {
            this.#more.open = true;
        }
        if (first) {
            this.#fields[name].focus();
        }
    }

    #clearErrors() {
        for (const name of /** @type {FieldName[]} */ (['message', 'type', 'metadata'])) {
            this.#fieldErrors[name].textContent = '';
            this.#fields[name].removeAttribute('aria-invalid');
        }
        this.#formError.textContent = '';
        this.#status.textContent = '';
    }

    /** @param {boolean} busy */
    #setBusy(busy) {
        this.#busy = busy;
        this.#form.toggleAttribute('data-busy', busy);
    }
}
