/**
 * JSON whose numbers stay what they were: one that JavaScript would write otherwise (12345678901234567890, 1.0) is kept
 * as its text, where the browser knows how (JSON.rawJSON; Chromium 114, Firefox 135, Safari 18.4). Elsewhere numbers
 * are what JavaScript makes of them.
 */

/** @type {{rawJSON?: (text: string) => object, isRawJSON?: (value: unknown) => boolean}} */
const Raw = /** @type {any} */ (JSON);

/**
 * @param {string} text
 * @returns {any}
 * @throws {SyntaxError}
 */
export function parseJson(text) {
    const { rawJSON } = Raw;
    // Looking at each value costs; only metadata has numbers that somebody else wrote.
    if (rawJSON === undefined || !text.includes('"metadata"')) {
        return JSON.parse(text);
    }
    /** @type {(key: string, value: unknown, context: {source?: string}) => unknown} */
    const keep = (_, value, { source }) => (typeof value === 'number' && source !== undefined
        && String(value) !== source ? rawJSON(source) : value);
    return JSON.parse(text, /** @type {any} */ (keep));
}

/** Whether it is a number that is kept as its text. @param {unknown} value */
export function isKeptNumber(value) {
    return Raw.isRawJSON?.(value) ?? false;
}
