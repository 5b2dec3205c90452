const SPANS = /** @type {const} */ ([[86_400, 'day'], [3600, 'hour'], [60, 'minute'], [1, 'second']]);

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'narrow' });
const clock = new Intl.DateTimeFormat(undefined, {
    hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});
const exact = new Intl.DateTimeFormat(undefined, {
    year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit',
    fractionalSecondDigits: 3, hourCycle: 'h23',
});

/**
 * How long ago: “now”, “5 min. ago”.
 *
 * @param {number} at milliseconds of the epoch
 * @param {number} [now]
 */
export function ago(at, now = Date.now()) {
    const seconds = Math.max(0, Math.floor((now - at) / 1000));
    for (const [span, unit] of SPANS) {
        if (seconds >= span) {
            return relative.format(-Math.floor(seconds / span), unit);
        }
    }
    return relative.format(0, 'second');
}

/** The time of day, here. @param {number} at milliseconds of the epoch */
export function timeOfDay(at) {
    return clock.format(at);
}

/** Date and time, here, to the millisecond. @param {number} at milliseconds of the epoch */
export function exactTime(at) {
    return exact.format(at);
}
