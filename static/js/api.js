/** The HTTP interface, as far as the page uses it. */

/**
 * @typedef {object} FeedEvent
 * @property {string} id
 * @property {string} tenant_id
 * @property {number} seq per tenant 1, 2, 3 …
 * @property {string} type
 * @property {string} [message]
 * @property {Record<string, unknown>} [metadata]
 * @property {string} [author]
 * @property {string} timestamp RFC 3339, UTC
 */

/**
 * @typedef {object} Draft an event as the user gave it
 * @property {string} [message]
 * @property {string} [type]
 * @property {Record<string, unknown>} [metadata]
 */

/** @typedef {{field: string, message: string}} FieldError */

const TIMEOUT_MS = 15_000;

/** An answer that is an error (RFC 9457), or, with status 0, no answer. */
export class Problem extends Error {
    /**
     * @param {number} status
     * @param {string} detail
     * @param {FieldError[]} [errors]
     */
    constructor(status, detail, errors = []) {
        super(detail);
        this.name = 'Problem';
        this.status = status;
        this.errors = errors;
    }
}

/**
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
async function problemOf(response) {
    /** @type {{title?: unknown, detail?: unknown, errors?: unknown}} */
    const body = await response.json().catch(() => ({})) ?? {};
    const said = [body.detail, body.title].find((text) => typeof text === 'string' && text !== '');
    const wait = response.headers.get('Retry-After');
    let detail = typeof said === 'string' ? said : `The server answered ${response.status} ${response.statusText}`;
    if (wait !== null && /^\d+$/.test(wait)) {
        detail += ` (try again in ${wait} s)`;
    }
    return new Problem(response.status, detail, Array.isArray(body.errors) ? body.errors : []);
}

/**
 * @param {string} path relative to the page, so that a proxy may serve it under a prefix
 * @param {RequestInit} [init]
 * @returns {Promise<any>} the JSON of the answer
 * @throws {Problem}
 */
async function call(path, init = {}) {
    let response;
    try {
        response = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS), ...init });
    } catch {
        throw new Problem(0, 'The server can’t be reached.');
    }
    if (!response.ok) {
        throw await problemOf(response);
    }
    try {
        return await response.json();
    } catch {
        throw new Problem(0, 'The server’s answer broke off.');
    }
}

/**
 * The ids of all tenants, sorted. Only an administrator may ask where authentication is on.
 *
 * @returns {Promise<string[]>}
 * @throws {Problem}
 */
export async function listTenants() {
    const body = await call('api/v1/tenants');
    return body.tenants.map((/** @type {{id: string}} */ tenant) => tenant.id).sort();
}

/**
 * Publishes an event.
 *
 * @param {string} tenant
 * @param {Draft} draft
 * @param {string} key names this attempt: repeating it with the same key and draft publishes once
 * @returns {Promise<FeedEvent>}
 * @throws {Problem}
 */
export function publish(tenant, draft, key) {
    return call('api/v1/events', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'X-Tenant-ID': tenant, 'Idempotency-Key': key },
        body: JSON.stringify(draft),
    });
}

/**
 * Why the server won't let us have this tenant's events, or null where it would, or where nobody knows. A browser
 * does not tell a script why a WebSocket handshake was refused, so this asks for the same thing over HTTP.
 *
 * @param {string} tenant
 * @returns {Promise<string | null>}
 */
export async function refusal(tenant) {
    try {
        await call('api/v1/events?limit=1', { headers: { 'X-Tenant-ID': tenant } });
    } catch (error) {
        if (error instanceof Problem && (error.status === 401 || error.status === 403)) {
            return error.message;
        }
    }
    return null;
}
