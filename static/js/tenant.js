import { byId, make } from './dom.js';

const TENANT = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const OTHER = ''; // no tenant's id

/** Which tenant: one of the server's, or one that the user names. */
export class TenantPicker {
    #form = byId('tenant-form', HTMLFormElement);
    #select = byId('tenant', HTMLSelectElement);
    #otherField = byId('tenant-other-field', HTMLElement);
    #other = byId('tenant-other', HTMLInputElement);
    #error = byId('tenant-error', HTMLElement);
    #button = byId('connect', HTMLButtonElement);
    /** The tenant that the page is connected to. @type {string | null} */
    #current = null;

    /**
     * @param {object} actions
     * @param {(tenant: string) => void} actions.connect
     * @param {() => void} actions.disconnect
     */
    constructor({ connect, disconnect }) {
        this.#form.addEventListener('submit', (event) => {
            event.preventDefault();
            const chosen = this.read();
            if (chosen !== null && chosen === this.#current) {
                disconnect();
            } else if (chosen !== null) {
                connect(chosen);
            }
        });
        this.#select.addEventListener('change', () => {
            this.#showChoice();
            if (this.#select.value === OTHER) {
                this.#other.focus();
            } else if (this.#current !== null) {
                connect(this.#select.value);
            }
        });
        this.#other.addEventListener('input', () => this.#showChoice());
    }

    /**
     * Fills the choice and takes up `wanted` where there is one, listed or not.
     *
     * @param {string[]} tenants
     * @param {string | null} wanted
     */
    offer(tenants, wanted) {
        const options = tenants.map((id) => new Option(id, id));
        const other = make('option', '', 'Another…');
        other.value = OTHER;
        this.#select.replaceChildren(...options, other);
        if (wanted !== null && !tenants.includes(wanted)) {
            this.#select.value = OTHER;
            this.#other.value = wanted;
        } else {
            this.#select.value = wanted ?? tenants[0] ?? OTHER;
        }
        this.#showChoice();
    }

    /** The chosen tenant; null, and the reason shown, where what stands there can't be one. @returns {string | null} */
    read() {
        const id = this.#chosen();
        const valid = TENANT.test(id);
        this.#error.textContent = valid ? '' : 'An id is up to 64 letters, digits, “.”, “_” or “-”.';
        if (valid) {
            this.#other.removeAttribute('aria-invalid');
        } else {
            this.#other.setAttribute('aria-invalid', 'true');
            this.#other.focus();
        }
        return valid ? id : null;
    }

    /** @param {string | null} tenant that the page is connected to, if any */
    showConnected(tenant) {
        this.#current = tenant;
        this.#showChoice();
    }

    #chosen() {
        return this.#select.value === OTHER ? this.#other.value.trim() : this.#select.value;
    }

    #showChoice() {
        this.#otherField.hidden = this.#select.value !== OTHER;
        const isCurrent = this.#chosen() === this.#current;
        this.#button.textContent = isCurrent ? 'Disconnect' : 'Connect';
        this.#button.toggleAttribute('data-current', isCurrent);
        this.#error.textContent = '';
        this.#other.removeAttribute('aria-invalid');
    }
}
