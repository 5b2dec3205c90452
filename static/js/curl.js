import { headersOf } from './access.js';

/** @typedef {import('./api.js').FeedEvent} FeedEvent */
/** @typedef {import('./access.js').Access} Access */

/** Stands where a secret would: what is copied ends up in chats and tickets. */
const SECRET = '$CARILLON_CREDENTIAL';

/** A word for a POSIX shell that is taken as it is. @param {string} text */
export function quote(text) {
    return `'${text.replaceAll('\'', '\'\\\'\'')}'`;
}

/**
 * The command that publishes the same again.
 *
 * @param {FeedEvent} event
 * @param {Access} access
 * @param {string} base the server's address, ending in a slash
 */
export function curlOf(event, access, base) {
    const { message, type, metadata } = event;
    const headers = Object.entries(headersOf({ ...access, secret: SECRET })).map(([name, value]) =>
        value.includes(SECRET) ? `-H "${name}: ${value}"` : `-H ${quote(`${name}: ${value}`)}`);
    return [
        `curl ${quote(new URL('api/v1/events', base).href)}`,
        ...headers,
        `-H ${quote('Content-Type: application/json')}`,
        `--data-raw ${quote(JSON.stringify({ message, type, metadata }))}`,
    ].join(' \\\n  ');
}
