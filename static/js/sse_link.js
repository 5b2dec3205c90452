import { headersOf } from './access.js';
import { parseJson } from './json.js';
import { cursorParameters, OPEN_WITHIN_MS } from './link.js';
import { SseParser } from './sse_parser.js';

const SILENT_MS = 40_000; // the server says something every 15 s, if only a comment

/**
 * Server-Sent Events, read by fetch: an EventSource can't send headers, so a credential would stand in its address, and
 * it does not tell why it was refused.
 *
 * @type {import('./link.js').LinkOpener}
 */
export function openStream(access, cursor, handlers) {
    const abort = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let deadline;

    function close() {
        clearTimeout(deadline);
        abort.abort();
    }

    /** @param {{final?: string}} why */
    function end(why) {
        if (!abort.signal.aborted) {
            close();
            handlers.ended(why);
        }
    }

    /** @param {number} ms */
    function expect(ms) {
        clearTimeout(deadline);
        deadline = setTimeout(() => end({}), ms);
    }

    const parser = new SseParser((type, data) => {
        if (!abort.signal.aborted) {
            const body = parseJson(data);
            handlers.frame(type === 'event_created' ? { type, event: body } : { ...body, type });
        }
    });

    async function run() {
        const url = `api/v1/events/stream?${new URLSearchParams(cursorParameters(cursor))}`;
        const headers = { ...headersOf(access), Accept: 'text/event-stream' };
        const response = await fetch(url, { headers, cache: 'no-store', signal: abort.signal });
        if (!response.ok || response.body === null) {
            return; // why, the feed asks
        }
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
            expect(SILENT_MS);
            parser.push(piece.value);
        }
    }

    expect(OPEN_WITHIN_MS);
    run().catch(() => {}).then(() => end({}));
    return { close };
}
