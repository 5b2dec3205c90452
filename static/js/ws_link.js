import { parametersOf } from './access.js';
import { parseJson } from './json.js';
import { cursorParameters, OPEN_WITHIN_MS } from './link.js';

const PING_EVERY_MS = 20_000;
const PONG_WITHIN_MS = 10_000;
const POLICY_VIOLATION = 1008; // close code: credential revoked, tenant removed

/** A WebSocket. @type {import('./link.js').LinkOpener} */
export function openWebSocket(access, cursor, handlers) {
    const url = new URL('ws', document.baseURI);
    url.protocol = url.protocol.replace('http', 'ws');
    url.search = new URLSearchParams([...parametersOf(access), ...cursorParameters(cursor)]).toString();
    const socket = new WebSocket(url);
    let deadline = setTimeout(() => end({}), OPEN_WITHIN_MS);
    /** @type {ReturnType<typeof setInterval> | undefined} */
    let pinger;

    function close() {
        clearTimeout(deadline);
        clearInterval(pinger);
        socket.onmessage = null;
        socket.onclose = null;
        socket.close();
    }

    /** @param {{final?: string}} why */
    function end(why) {
        close();
        handlers.ended(why);
    }

    /** A line that died without a word is found out only by asking: a browser hides the protocol's own pings. */
    function ping() {
        socket.send('{"type":"ping"}');
        clearTimeout(deadline);
        deadline = setTimeout(() => end({}), PONG_WITHIN_MS);
    }

    socket.onmessage = ({ data }) => {
        let frame;
        try {
            frame = parseJson(data);
        } catch {
            end({}); // not the server we know; whatever it is, it may be gone the next time
            return;
        }
        clearTimeout(deadline);
        if (frame.type === 'connection_established') {
            pinger = setInterval(ping, PING_EVERY_MS);
        }
        handlers.frame(frame);
    };
    socket.onclose = ({ code, reason }) => {
        end(code === POLICY_VIOLATION ? { final: reason || 'The server has ended this connection for good.' } : {});
    };
    return { close };
}
