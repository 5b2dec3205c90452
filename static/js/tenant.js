import { askingFor } from './access.js';
import { identify, Problem } from './api.js';
import { byId, make } from './dom.js';
import { hueOf } from './hue.js';
import { Keyring } from './keyring.js';

/** @typedef {import('./access.js').Access} Access */

export const TENANT = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const OTHER = ''; // no tenant's id

/**
 * Which tenant, and by what we are let in: one of those that the server lists, or one that the user names, where a name
 * is enough; else one whose credential was pasted. The one that the page shows is told by name and color.
 */
export class TenantPicker {
    #form = byId('tenant-form', HTMLFormElement);
    #select = byId('tenant', HTMLSelectElement);
    #otherField = byId('tenant-other-field', HTMLElement);
    #other = byId('tenant-other', HTMLInputElement);
    #error = byId('tenant-error', HTMLElement);
    #secretField = byId('secret-field', HTMLElement);
    #secret = byId('secret', HTMLInputElement);
    #secretError = byId('secret-error', HTMLElement);
    #button = byId('connect', HTMLButtonElement);
    #forget = byId('forget', HTMLButtonElement);
    #keyring = new Keyring();
    #actions;
    /** What is said where no credential was pasted. */
    #empty = askingFor().empty;
    /** Whether a tenant's name is not enough. */
    #locked = false;
    /** The tenant that the page is connected to. @type {string | null} */
    #current = null;

    /**
     * @param {object} actions
     * @param {(access: Access) => void} actions.connect
     * @param {() => void} actions.disconnect
     * @param {(tenant: string) => void} actions.forget its credential is no longer the page's to use
     */
    constructor(actions) {
        this.#actions = actions;
        this.#form.addEventListener('submit', (event) => {
            event.preventDefault();
            this.#submit();
        });
        this.#select.addEventListener('change', () => {
            this.#showChoice();
            if (this.#select.value === OTHER) {
                (this.#locked ? this.#secret : this.#other).focus();
            } else if (this.#current !== null) {
                this.#connect();
            }
        });
        this.#other.addEventListener('input', () => this.#showChoice());
        this.#forget.addEventListener('click', () => this.#forgetCurrent());
    }

    /** What the server wants to be shown. @param {import('./access.js').Auth} auth */
    set auth(auth) {
        const { placeholder, empty } = askingFor(auth);
        this.#secret.placeholder = placeholder;
        this.#empty = empty;
    }

    /**
     * Fills the choice and takes up `wanted` where there is one, listed or not.
     *
     * @param {string[] | null} tenants null where a credential is wanted
     * @param {string | null} wanted
     */
    offer(tenants, wanted) {
        this.#locked = tenants === null;
        const listed = tenants ?? this.#keyring.tenants;
        const options = listed.map((id) => new Option(id, id));
        const other = make('option', '', this.#locked ? 'Another credential…' : 'Another…');
        other.value = OTHER;
        this.#select.replaceChildren(...options, other);
        if (wanted !== null && listed.includes(wanted)) {
            this.#select.value = wanted;
        } else {
            this.#select.value = wanted === null || this.#locked ? listed[0] ?? OTHER : OTHER;
            this.#other.value = wanted ?? '';
        }
        this.#showChoice();
    }

    /** By what the chosen tenant is reached; null, and the reason shown, where what stands there won't do. */
    read() {
        const tenant = this.#chosen();
        if (this.#locked) {
            return this.#keyring.find(tenant);
        }
        const valid = TENANT.test(tenant);
        this.#error.textContent = valid ? '' : 'An id is up to 64 letters, digits, “.”, “_” or “-”.';
        if (valid) {
            this.#other.removeAttribute('aria-invalid');
        } else {
            this.#other.setAttribute('aria-invalid', 'true');
            this.#other.focus();
        }
        return valid ? /** @type {Access} */ ({ tenant, kind: 'name', secret: '' }) : null;
    }

    /** @param {string | null} tenant that the page is connected to, if any */
    showConnected(tenant) {
        this.#current = tenant;
        this.#showChoice();
    }

    async #submit() {
        if (this.#locked && this.#select.value === OTHER) {
            await this.#unlock();
        } else if (this.#current !== null && this.#chosen() === this.#current) {
            this.#actions.disconnect();
        } else {
            this.#connect();
        }
    }

    #connect() {
        const access = this.read();
        if (access !== null) {
            this.#actions.connect(access);
        }
    }

    /** Asks the server whose the pasted credential is, and keeps it for this tab. */
    async #unlock() {
        const secret = this.#secret.value.trim();
        this.#showSecretError(secret === '' ? this.#empty : '');
        if (secret === '' || this.#form.dataset.busy !== undefined) {
            return;
        }
        this.#form.dataset.busy = '';
        try {
            const access = await identify(secret);
            this.#keyring.add(access);
            this.#secret.value = '';
            if (document.activeElement === this.#secret) {
                this.#select.focus(); // the field goes, and would take the focus with it
            }
            this.offer(null, access.tenant);
            this.#actions.connect(access);
        } catch (error) {
            this.#showSecretError(error instanceof Problem ? error.message : String(error));
        } finally {
            delete this.#form.dataset.busy;
        }
    }

    #forgetCurrent() {
        const tenant = this.#chosen();
        this.#keyring.forget(tenant);
        this.#actions.forget(tenant);
        this.offer(null, null);
        this.#select.focus();
    }

    /** @param {string} text */
    #showSecretError(text) {
        this.#secretError.textContent = text;
        if (text === '') {
            this.#secret.removeAttribute('aria-invalid');
        } else {
            this.#secret.setAttribute('aria-invalid', 'true');
            this.#secret.focus();
        }
    }

    #chosen() {
        return this.#select.value === OTHER && !this.#locked ? this.#other.value.trim() : this.#select.value;
    }

    #showChoice() {
        const other = this.#select.value === OTHER;
        const isCurrent = this.#current !== null && this.#chosen() === this.#current;
        this.#otherField.hidden = !other || this.#locked;
        this.#secretField.hidden = !other || !this.#locked;
        this.#forget.hidden = other || !this.#locked;
        this.#button.textContent = isCurrent ? 'Disconnect' : 'Connect';
        this.#button.toggleAttribute('data-current', isCurrent);
        this.#error.textContent = '';
        this.#secretError.textContent = '';
        this.#secret.removeAttribute('aria-invalid');
        this.#other.removeAttribute('aria-invalid');
    }
}

/**
 * Colors the page as the tenant's, and says its name where it can't be missed.
 *
 * @param {string | null} tenant null where the page has none
 */
export function dressAs(tenant) {
    const root = document.documentElement;
    if (tenant === null) {
        root.style.removeProperty('--tenant-hue');
        delete root.dataset.tenant;
    } else {
        root.style.setProperty('--tenant-hue', String(hueOf(tenant)));
        root.dataset.tenant = tenant;
    }
    document.title = tenant === null ? 'Carillon' : `${tenant} · Carillon`;
    const name = byId('tenant-name', HTMLElement);
    name.textContent = tenant ?? 'No tenant';
    name.title = tenant ?? ''; // where it is too long to be shown
    byId('publish-tenant', HTMLElement).textContent = tenant ?? 'no tenant';
}
