import { OPEN_WITHIN_MS } from './link.js';

const CLIENT = new URL('vendor/socket.io.esm.min.js', import.meta.url);
const POLICY_VIOLATION = 1008; // close code: credential revoked, tenant removed

/** @typedef {import('./access.js').Access} Access */

/**
 * Socket.IO by the stock client, which is fetched when it is first wanted, and has long-polling for where WebSockets
 * don't get through. It parses by itself, so that numbers come
 * as JavaScript has them (see json.js). It must not connect again by itself: that is the feed's, from the last seq on.
 *
 * @type {import('./link.js').LinkOpener}
 */
export function openSocketIo(access, cursor, handlers) {
    /** @type {any} */
    let socket = null;
    let closed = false;
    const deadline = setTimeout(() => end({}), OPEN_WITHIN_MS); // the stock client's own bounds but a part of it

    function close() {
        closed = true;
        clearTimeout(deadline);
        socket?.off();
        socket?.disconnect();
    }

    /** @param {{final?: string}} why */
    function end(why) {
        if (!closed) {
            close();
            handlers.ended(why);
        }
    }

    /** @param {any} frame */
    function tell(frame) {
        if (!closed) {
            clearTimeout(deadline);
            handlers.frame(frame);
        }
    }

    async function run() {
        const client = await fetchClient();
        if (client === null) {
            end({ final: 'This server was built without the Socket.IO client.' });
        }
        if (client === null || closed) {
            return;
        }
        const base = new URL('socket.io/', document.baseURI);
        socket = client.io(base.origin, {
            path: base.pathname, auth: { ...credentialOf(access), ...cursor }, forceNew: true, reconnection: false,
        });
        for (const type of ['connection_established', 'gap', 'system_message']) {
            socket.on(type, (/** @type {any} */ body) => tell({ ...body, type }));
        }
        // What comes next after the cursor is no snapshot, though it comes as one, with the seq of its end.
        socket.on('initial_events', (/** @type {any[]} */ events, /** @type {string} */ seq) => {
            if ('snapshot' in cursor) {
                tell({ type: 'snapshot', events, seq: Number(seq) });
            } else {
                events.forEach((event) => tell({ type: 'event_created', event }));
            }
        });
        socket.on('event_created', (/** @type {any} */ event) => tell({ type: 'event_created', event }));
        socket.on('connect_error', () => end({})); // why, the feed asks
        socket.on('disconnect', (/** @type {string} */ _, /** @type {any} */ details) => end(whyOf(details)));
    }

    run().catch(() => end({}));
    return { close };
}

/** How often the client could not be fetched: another address makes the browser try again. */
let failures = 0;

/** The stock client's module; null where the server has none. @returns {Promise<any>} */
async function fetchClient() {
    try {
        return await import(failures === 0 ? CLIENT.href : `${CLIENT.href}?${failures}`);
    } catch (error) {
        failures++;
        const { status } = await fetch(CLIENT, { method: 'HEAD' });
        if (status === 404) {
            return null;
        }
        throw error;
    }
}

/** @param {Access} access @returns {Record<string, string>} */
function credentialOf({ tenant, kind, secret }) {
    return kind === 'name' ? { tenant } : { tenant, [kind === 'key' ? 'apiKey' : 'token']: secret };
}

/** @param {{context?: unknown} | undefined} details of the transport's end */
function whyOf(details) {
    const close = details?.context;
    return close instanceof CloseEvent && close.code === POLICY_VIOLATION
        ? { final: close.reason || 'The server has ended this connection for good.' } : {};
}
