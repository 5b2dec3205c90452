/** @typedef {import('./access.js').Access} Access */

const ITEM = 'carillon.credentials';

/**
 * The credentials that were pasted in this tab, by tenant. They end with the tab, and are in no other. Any number of
 * keyrings are one: what one adds is in all.
 */
export class Keyring {
    #storage;

    /** @param {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} [storage] */
    constructor(storage = sessionStorage) {
        this.#storage = storage;
    }

    get tenants() {
        return read(this.#storage).map(({ tenant }) => tenant).sort();
    }

    /** @param {string} tenant */
    find(tenant) {
        return read(this.#storage).find((access) => access.tenant === tenant) ?? null;
    }

    /** @param {Access} access takes the place of the tenant's former one */
    add(access) {
        this.#write([...this.#others(access.tenant), access]);
    }

    /** @param {string} tenant */
    forget(tenant) {
        this.#write(this.#others(tenant));
    }

    /** @param {string} tenant */
    #others(tenant) {
        return read(this.#storage).filter((access) => access.tenant !== tenant);
    }

    /** @param {Access[]} list */
    #write(list) {
        if (list.length === 0) {
            this.#storage.removeItem(ITEM);
        } else {
            this.#storage.setItem(ITEM, JSON.stringify(list));
        }
    }
}

/**
 * @param {Pick<Storage, 'getItem'>} storage
 * @returns {Access[]}
 */
function read(storage) {
    try {
        const list = JSON.parse(storage.getItem(ITEM) ?? '[]');
        return Array.isArray(list) ? list.filter((access) => typeof access?.tenant === 'string') : [];
    } catch {
        return [];
    }
}
