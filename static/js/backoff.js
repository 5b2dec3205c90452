const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/**
 * How long to wait before another attempt: doubling, and spread over the upper half of the span, so that the clients of
 * a restarted server do not come back all at once.
 *
 * @param {number} failures attempts that have failed in a row, from 1
 * @param {() => number} [random] from 0 up to 1
 * @returns {number} milliseconds
 */
export function backoff(failures, random = Math.random) {
    const span = Math.min(LONGEST_MS, FIRST_MS * 2 ** (failures - 1));
    return span / 2 + random() * span / 2;
}
