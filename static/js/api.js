import { headersOf, kindsOf } from './access.js';
import { parseJson } from './json.js';

/** The HTTP interface, as far as the page uses it. */

/** @typedef {import('./access.js').Access} Access */

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
 * @property {string} [metadata] the text of a JSON object, sent as it is: parsed, large numbers would be rounded
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
        super(sentence(detail));
        this.name = 'Problem';
        this.status = status;
        this.errors = errors;
    }
}

/**
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
export async function problemOf(response) {
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

/** As it stands at the beginning of a line; the server's texts begin small. @param {string} text */
export function sentence(text) {
    return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * @param {string} path relative to the page, so that a proxy may serve it under a prefix
 * @param {Access | null} access
 * @param {RequestInit} [init]
 * @returns {Promise<any>} the JSON of the answer
 * @throws {Problem}
 */
async function call(path, access, init = {}) {
    const headers = { ...init.headers, ...(access === null ? {} : headersOf(access)) };
    let response;
    try {
        response = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS), ...init, headers });
    } catch {
        throw new Problem(0, 'The server can’t be reached.');
    }
    if (!response.ok) {
        throw await problemOf(response);
    }
    try {
        return parseJson(await response.text());
    } catch {
        throw new Problem(0, 'The server’s answer broke off.');
    }
}

/**
 * @typedef {object} Settings
 * @property {import('./access.js').Auth} auth
 * @property {number} max_message_chars
 */

/**
 * How the server was started.
 *
 * @returns {Promise<Settings>}
 * @throws {Problem}
 */
export function settings() {
    return call('api/v1/settings', null);
}

/**
 * The ids of all tenants, sorted; null where a credential is wanted.
 *
 * @returns {Promise<string[] | null>}
 * @throws {Problem}
 */
export async function listTenants() {
    try {
        const body = await call('api/v1/tenants', null);
        return body.tenants.map((/** @type {{id: string}} */ tenant) => tenant.id).sort();
    } catch (error) {
        if (error instanceof Problem && (error.status === 401 || error.status === 403)) {
            return null;
        }
        throw error;
    }
}

/**
 * What a credential stands for: asks the server with one kind after the other, likeliest first.
 *
 * @param {string} secret
 * @returns {Promise<Access>}
 * @throws {Problem} of the likeliest kind
 */
export async function identify(secret) {
    const problems = [];
    const how = await settings().catch(() => null);
    for (const kind of kindsOf(secret, how?.auth)) {
        const access = { tenant: '', kind, secret };
        try {
            const { tenant_id: tenant } = await call('api/v1/events/stats', access);
            return { ...access, tenant };
        } catch (error) {
            if (!(error instanceof Problem) || error.status !== 401) {
                throw error;
            }
            problems.push(error);
        }
    }
    throw problems[0];
}

/**
 * What one tenant is answered is another's in no part.
 *
 * @param {Access} access
 * @param {{tenant_id: string}[]} parts
 * @throws {Problem}
 */
function requireOwn({ tenant }, parts) {
    const stranger = parts.find((part) => part.tenant_id !== tenant);
    if (stranger !== undefined) {
        throw new Problem(0, `The server sent what is not ${tenant}’s, but ${stranger.tenant_id}’s.`);
    }
}

/** @param {Draft} draft */
function bodyOf({ metadata, ...rest }) {
    const text = JSON.stringify(rest);
    return metadata === undefined ? text : `${text.slice(0, -1)}${text === '{}' ? '' : ','}"metadata":${metadata}}`;
}

/**
 * Publishes an event.
 *
 * @param {Access} access
 * @param {Draft} draft
 * @param {string} key names this attempt: repeating it with the same key and draft publishes once
 * @returns {Promise<FeedEvent>}
 * @throws {Problem} also where it has become another tenant's
 */
export async function publish(access, draft, key) {
    const event = await call('api/v1/events', access, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'Idempotency-Key': key },
        body: bodyOf(draft),
    });
    requireOwn(access, [event]);
    return event;
}

/**
 * A page of history, newest first.
 *
 * @param {Access} access
 * @param {{before: number | null, limit: number, q?: string, types?: Iterable<string>}} which before: a seq
 * @param {AbortSignal} signal
 * @returns {Promise<{events: FeedEvent[], has_more: boolean}>}
 * @throws {Problem} also where an event is another tenant's
 */
export async function history(access, { before, limit, q = '', types = [] }, signal) {
    const parameters = new URLSearchParams({ limit: String(limit) });
    if (before !== null) {
        parameters.set('before', String(before));
    }
    if (q !== '') {
        parameters.set('q', q);
    }
    for (const type of types) {
        parameters.append('type', type);
    }
    const page = await call(`api/v1/events?${parameters}`, access, {
        signal: AbortSignal.any?.([signal, AbortSignal.timeout(TIMEOUT_MS)]) ?? signal,
    });
    requireOwn(access, page.events);
    return page;
}

/**
 * @typedef {object} Stats
 * @property {number} total events kept
 * @property {Record<string, number>} by_type
 * @property {number} last_seq
 * @property {number} connections
 */

/**
 * @param {Access} access
 * @returns {Promise<Stats>}
 * @throws {Problem} also where they are another tenant's
 */
export async function stats(access) {
    const counts = await call('api/v1/events/stats', access);
    requireOwn(access, [counts]);
    return counts;
}

/**
 * Why the server won't let us have this tenant's events, or null where it would, or where nobody knows. A browser
 * does not tell a script why a WebSocket handshake was refused, so this asks for the same thing over HTTP.
 *
 * @param {Access} access
 * @returns {Promise<string | null>}
 */
export async function refusal(access) {
    try {
        await call('api/v1/events?limit=1', access);
    } catch (error) {
        if (error instanceof Problem && (error.status === 401 || error.status === 403)) {
            return error.message;
        }
    }
    return null;
}
