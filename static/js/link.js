/**
 * A line on which a tenant's events come: what is the same for all transports. See ws_link.js, sse_link.js and
 * sio_link.js.
 */

/** @typedef {import('./access.js').Access} Access */

/**
 * Where it begins: with the latest few, or just after a position.
 *
 * @typedef {{snapshot: number} | {since: number, epoch: string}} Cursor
 */

/**
 * @typedef {object} LinkHandlers
 * @property {(frame: any) => void} frame one of the server's messages, as the WebSocket has them
 * @property {(why: {final?: string}) => void} ended once, and nothing after it; `final`: why there is no coming back
 */

/**
 * @typedef {object} Link
 * @property {() => void} close deaf from then on: no handler is called any more
 */

/** @typedef {(access: Access, cursor: Cursor, handlers: LinkHandlers) => Link} LinkOpener */

export const OPEN_WITHIN_MS = 10_000; // from asking to the greeting; an attempt that takes longer has failed

/**
 * @param {Cursor} cursor
 * @returns {[string, string][]}
 */
export function cursorParameters(cursor) {
    return Object.entries(cursor).map(([name, value]) => [name, String(value)]);
}
