import { Problem, problemOf } from '../api.js';

/** What the administrator asks of the server, and how often. */

/**
 * @typedef {object} Standing a tenant, and how it does; counts are since the server began
 * @property {string} id
 * @property {string} name
 * @property {string} created_at
 * @property {number} connections
 * @property {number} rate_1m events published a second, over the last minute
 * @property {number} published
 * @property {number} published_bytes
 * @property {number} delivered
 * @property {number} delivered_bytes
 * @property {number} events that are kept
 * @property {number} memory bytes
 * @property {number} refused
 */

/**
 * @typedef {object} Totals
 * @property {number} tenants
 * @property {number} connections
 * @property {number} published
 * @property {number} published_bytes
 * @property {number} delivered
 * @property {number} delivered_bytes
 * @property {number} refused
 * @property {number} memory
 * @property {number} memory_budget
 */

/**
 * @typedef {object} SlowReader
 * @property {string} tenant_id
 * @property {string} transport
 * @property {number} events_behind
 * @property {number} bytes_waiting
 * @property {string} since
 * @property {string | null} address
 * @property {string} request_id
 */

/**
 * @typedef {object} Refusal
 * @property {string} at
 * @property {number} status
 * @property {string} code
 * @property {string} reason
 * @property {string} act
 * @property {string | null} method
 * @property {string | null} path
 * @property {string | null} tenant_id
 * @property {string | null} address
 * @property {string} request_id
 */

/**
 * @typedef {object} Overview
 * @property {string} at
 * @property {number} uptime seconds
 * @property {string} version
 * @property {Totals} totals
 * @property {number} matched tenants that the filter lets pass
 * @property {Standing[]} tenants
 * @property {Standing[]} talkers
 * @property {number} slow
 * @property {SlowReader[]} slow_readers
 * @property {Refusal[]} refusals
 */

/** @typedef {Record<string, number | null>} Limits */

/**
 * @typedef {object} Tenant
 * @property {string} id
 * @property {string} name
 * @property {string} created_at
 * @property {Limits} limits
 * @property {string | null} retention
 * @property {{events: number, last_seq: number, connections: number, keys: number}} counts
 */

/** @typedef {{id: string, prefix: string, created_at: string}} Key */
/** @typedef {{id: string, api_key: string, created_at: string}} NewKey */
/** @typedef {{sort: string, order: 'asc' | 'desc', q: string}} View */

const TIMEOUT_MS = 15_000;
const TENANTS = 'api/v1/tenants';
const ROWS = 200;

export class Client {
    #key;

    /** @param {() => string} key the administrator's; empty where none is wanted */
    constructor(key) {
        this.#key = key;
    }

    /**
     * @param {View} view
     * @param {AbortSignal} signal
     * @returns {Promise<Overview>}
     */
    overview({ sort, order, q }, signal) {
        const parameters = new URLSearchParams({ limit: String(ROWS), sort, order });
        if (q !== '') {
            parameters.set('q', q);
        }
        return this.#ask(`api/v1/overview?${parameters}`, { signal });
    }

    /**
     * @param {{name: string, id?: string}} tenant
     * @returns {Promise<{id: string, name: string, api_key: string}>}
     */
    create(tenant) {
        return this.#send('POST', TENANTS, tenant);
    }

    /** @param {string} id @returns {Promise<Tenant>} */
    tenant(id) {
        return this.#ask(pathOf(id));
    }

    /**
     * @param {string} id
     * @param {object} changes
     * @returns {Promise<Tenant>}
     */
    change(id, changes) {
        return this.#send('PATCH', pathOf(id), changes);
    }

    /** @param {string} id */
    remove(id) {
        return this.#send('DELETE', pathOf(id));
    }

    /** @param {string} id @returns {Promise<Key[]>} */
    async keys(id) {
        return (await this.#ask(`${pathOf(id)}/keys`)).keys;
    }

    /** @param {string} id @returns {Promise<NewKey>} */
    makeKey(id) {
        return this.#send('POST', `${pathOf(id)}/keys`);
    }

    /**
     * @param {string} id
     * @param {string} key its id
     */
    revokeKey(id, key) {
        return this.#send('DELETE', `${pathOf(id)}/keys/${encodeURIComponent(key)}`);
    }

    /**
     * @param {string} method
     * @param {string} path
     * @param {object} [body]
     */
    #send(method, path, body) {
        return this.#ask(path, body === undefined ? { method } : {
            method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
        });
    }

    /**
     * @param {string} path
     * @param {RequestInit} [init]
     * @returns {Promise<any>} the JSON of the answer, where it has any
     * @throws {Problem}
     */
    async #ask(path, init = {}) {
        const key = this.#key();
        const headers = { ...init.headers, ...(key === '' ? {} : { Authorization: `Bearer ${key}` }) };
        const timeout = AbortSignal.timeout(TIMEOUT_MS);
        const signal = init.signal ? AbortSignal.any?.([init.signal, timeout]) ?? init.signal : timeout;
        let response;
        try {
            response = await fetch(path, { cache: 'no-store', ...init, headers, signal });
        } catch {
            throw new Problem(0, 'The server can’t be reached.');
        }
        if (!response.ok) {
            throw await problemOf(response);
        }
        try {
            return response.status === 204 ? null : await response.json();
        } catch {
            throw new Problem(0, 'The server’s answer broke off.');
        }
    }
}

/** @param {string} id of a tenant */
function pathOf(id) {
    return `${TENANTS}/${encodeURIComponent(id)}`;
}

/**
 * Asks again and again while it is started and the page is looked at: the next time so long after the last answer.
 */
export class Poller {
    #ask;
    #every;
    #started = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #timer;
    /** @type {AbortController | null} */
    #asking = null;

    /**
     * @param {(signal: AbortSignal) => Promise<void>} ask does not throw
     * @param {number} every milliseconds
     */
    constructor(ask, every) {
        this.#ask = ask;
        this.#every = every;
        document.addEventListener('visibilitychange', () => this.now());
    }

    start() {
        this.#started = true;
        this.now();
    }

    stop() {
        this.#started = false;
        this.#cancel();
    }

    /** Does not wait for the next time. What was asked for before, and is not there yet, is not waited for, either. */
    now() {
        this.#cancel();
        if (this.#started && !document.hidden) {
            this.#once();
        }
    }

    async #once() {
        const asking = new AbortController();
        this.#asking = asking;
        await this.#ask(asking.signal);
        if (this.#asking === asking) {
            this.#asking = null;
            this.#timer = setTimeout(() => this.now(), this.#every);
        }
    }

    #cancel() {
        clearTimeout(this.#timer);
        this.#asking?.abort();
        this.#asking = null;
    }
}
