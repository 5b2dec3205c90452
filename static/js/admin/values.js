/** Values as they are shown, and as they are typed. No elements. */

/** @typedef {import('./client.js').Standing} Standing */
/** @typedef {import('./client.js').Tenant} Tenant */
/** @typedef {{published: number, delivered: number, bytes: number}} Pace a second */
/** @typedef {Pick<Standing, 'published' | 'delivered' | 'published_bytes' | 'delivered_bytes'>} Counts */

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

/** @param {number} n */
export function count(n) {
    return whole.format(n);
}

/** “0”, “0.3”, “12”. @param {number} perSecond */
export function pace(perSecond) {
    return (perSecond < 10 ? tenths : whole).format(perSecond);
}

/** “0 B”, “1.2 KB”, “340 MB”: by thousands. @param {number} n */
export function bytes(n) {
    let unit = 0;
    let value = n;
    while (value >= 999.5 && unit < UNITS.length - 1) {
        value /= 1000;
        unit++;
    }
    return `${(unit > 0 && value < 9.95 ? tenths : whole).format(value)} ${UNITS[unit]}`;
}

/** How fast counts grow, from one look to the next. */
export class Paces {
    /** @type {Map<string, {at: number, counts: Counts}>} */
    #before = new Map();
    /** @type {Map<string, Pace>} */
    #now = new Map();

    /**
     * @param {Iterable<[key: string, counts: Counts]>} all whom this look has found; the others are forgotten
     * @param {number} at seconds that the server is up: where they go back it is another process
     */
    look(all, at) {
        /** @type {Map<string, {at: number, counts: Counts}>} */
        const seen = new Map();
        /** @type {Map<string, Pace>} */
        const paces = new Map();
        for (const [key, counts] of all) {
            const before = this.#before.get(key);
            seen.set(key, { at, counts });
            if (before && at > before.at && counts.published >= before.counts.published) {
                paces.set(key, paceOf(before.counts, counts, at - before.at));
            } else if (before && at === before.at) {
                paces.set(key, this.#now.get(key) ?? { published: 0, delivered: 0, bytes: 0 });
            }
        }
        this.#before = seen;
        this.#now = paces;
    }

    /** Null after the first look. @param {string} key */
    of(key) {
        return this.#now.get(key) ?? null;
    }
}

/**
 * @param {Counts} before
 * @param {Counts} now
 * @param {number} seconds
 */
function paceOf(before, now, seconds) {
    const per = (/** @type {number} */ n) => Math.max(0, n) / seconds;
    return {
        published: per(now.published - before.published),
        delivered: per(now.delivered - before.delivered),
        bytes: per(now.published_bytes - before.published_bytes + now.delivered_bytes - before.delivered_bytes),
    };
}

/** The limits, in the order of the form: the interface's name, and ours. @type {[string, string, string][]} */
export const LIMITS = [
    ['events_per_second', 'Events a second', 'published'],
    ['bytes_per_second', 'Bytes a second', 'published'],
    ['connections', 'Connections', 'open at a time'],
    ['message_bytes', 'Bytes of a message', 'with its metadata'],
    ['history', 'Events in memory', 'what is older is read from the store'],
];

/**
 * What stands in the form at first, by the names that the server's errors have.
 *
 * @param {Pick<Tenant, 'name' | 'limits' | 'retention'>} tenant
 * @returns {Record<string, string>}
 */
export function textsOf({ name, limits, retention }) {
    return {
        name,
        ...Object.fromEntries(LIMITS.map(([limit]) => [`limits.${limit}`, String(limits[limit] ?? '')])),
        retention: retention ?? '',
    };
}

/**
 * What a PATCH has to say: members that have changed, and no others. A text that is no whole number is sent as it is,
 * for the server to refuse.
 *
 * @param {Record<string, string>} before
 * @param {Record<string, string>} now
 * @returns {Record<string, unknown>} empty where nothing has changed
 */
export function changesOf(before, now) {
    /** @type {Record<string, unknown>} */
    const changes = {};
    /** @type {Record<string, unknown>} */
    const limits = {};
    for (const [field, text] of Object.entries(now)) {
        const value = text.trim();
        if (value === before[field]) {
            continue;
        }
        if (field.startsWith('limits.')) {
            limits[field.slice('limits.'.length)] = value === '' ? null : numberOf(value);
        } else {
            changes[field] = field === 'retention' && value === '' ? null : value;
        }
    }
    return Object.keys(limits).length === 0 ? changes : { ...changes, limits };
}

/** @param {string} text */
function numberOf(text) {
    return /^\d{1,15}$/.test(text) ? Number(text) : text;
}
