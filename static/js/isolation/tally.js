/**
 * The canaries: events that can't be guessed and name their tenant, and what has been seen of them in each tenant's
 * column. Knows nothing of the page.
 *
 * @typedef {object} Counts
 * @property {number} posted sent to the server
 * @property {number} failed of those the ones that it refused, or gave no answer to, and that have not arrived either
 * @property {number} expected of those the ones that the server took, so that they must arrive
 * @property {number} seen of those the ones that have arrived in their own column
 * @property {number} missing of those the ones that should have arrived by now, and have not
 * @property {number} leaked what arrived in this column and is another tenant's, each time it did
 */

/** @typedef {'idle' | 'waiting' | 'blind' | 'holds' | 'missing' | 'leaked'} Verdict */

/**
 * @typedef {object} Canary
 * @property {string} tenant
 * @property {number | null} tookAt when the server had taken it; null where it has not said so
 * @property {boolean} failed
 * @property {boolean} seen
 */

/** @typedef {{column: string, owner: string, seq: number | null}} Leak */

export const OVERDUE_MS = 10_000;

const CAPACITY = 20_000;
const TOKEN = /[0-9a-f]{32}/g;

export class Tally {
    /** By token, oldest first. @type {Map<string, Canary>} */
    #canaries = new Map();
    /** Those that the server took and nobody has seen, by token. @type {Map<string, Canary>} */
    #awaited = new Map();
    /** @type {Map<string, Omit<Counts, 'missing'>>} */
    #counts = new Map();
    /** The newest, which does for telling where it happened. @type {Leak | null} */
    #leak = null;

    /** What leaked last, null where nothing has. */
    get leak() {
        return this.#leak;
    }

    /** A canary for that tenant, about to be posted. @param {string} tenant */
    issue(tenant) {
        const bytes = crypto.getRandomValues(new Uint8Array(16));
        const token = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
        const [oldest] = this.#canaries.keys();
        if (this.#canaries.size >= CAPACITY && oldest !== undefined) {
            this.#canaries.delete(oldest);
            this.#awaited.delete(oldest);
        }
        this.#canaries.set(token, { tenant, tookAt: null, failed: false, seen: false });
        this.#of(tenant).posted++;
        return { token, message: `canary for ${tenant}: ${token}` };
    }

    /**
     * The server took it. One that was refused, or that nobody knows of, is expected only once it is seen.
     *
     * @param {string} token
     * @param {number} now
     */
    took(token, now) {
        const canary = this.#canaries.get(token);
        if (canary && canary.tookAt === null) {
            canary.tookAt = now;
            if (!canary.seen) {
                this.#of(canary.tenant).expected++;
                this.#awaited.set(token, canary);
            }
        }
    }

    /** The server refused it, or nobody knows whether it took it. @param {string} token */
    failed(token) {
        const canary = this.#canaries.get(token);
        if (canary && !canary.seen && canary.tookAt === null && !canary.failed) {
            canary.failed = true;
            this.#of(canary.tenant).failed++;
        }
    }

    /**
     * One of the server's messages in a tenant's column; whether something of another tenant is in it. Whose a canary
     * of ours is counts as well as what the event says of itself.
     *
     * @param {string} column its tenant
     * @param {any} frame
     */
    take(column, frame) {
        const events = frame.type === 'event_created' ? [frame.event] : frame.type === 'snapshot' ? frame.events : [];
        let clean = true;
        if (frame.type === 'connection_established' && frame.tenant_id !== column) {
            this.#tell({ column, owner: String(frame.tenant_id), seq: null });
            clean = false;
        }
        for (const event of events) {
            clean = this.#judge(column, event) && clean;
        }
        return !clean;
    }

    /**
     * @param {string} column
     * @param {any} event
     */
    #judge(column, event) {
        const tokens = JSON.stringify(event).match(TOKEN) ?? [];
        const ours = tokens.flatMap((token) => {
            const canary = this.#canaries.get(token);
            return canary ? [{ token, canary }] : [];
        });
        const foreign = ours.find(({ canary }) => canary.tenant !== column);
        if (event.tenant_id !== column || foreign) {
            this.#tell({ column, owner: foreign?.canary.tenant ?? String(event.tenant_id), seq: event.seq });
            return false;
        }
        for (const { token, canary } of ours) {
            this.#see(token, canary);
        }
        return true;
    }

    /**
     * @param {string} token
     * @param {Canary} canary
     */
    #see(token, canary) {
        if (!canary.seen) {
            canary.seen = true;
            const counts = this.#of(canary.tenant);
            counts.seen++;
            counts.failed -= canary.failed ? 1 : 0;
            canary.failed = false;
            counts.expected += canary.tookAt === null ? 1 : 0;
            this.#awaited.delete(token);
        }
    }

    /** @param {Leak} leak */
    #tell(leak) {
        this.#leak = leak;
        this.#of(leak.column).leaked++;
    }

    /**
     * @param {string} tenant
     * @param {number} now
     * @returns {Counts}
     */
    read(tenant, now) {
        let missing = 0;
        for (const canary of this.#awaited.values()) {
            missing += canary.tenant === tenant && now - (canary.tookAt ?? now) >= OVERDUE_MS ? 1 : 0;
        }
        return { ...this.#of(tenant), missing };
    }

    /**
     * Of all tenants together.
     *
     * @param {number} now
     * @returns {Counts}
     */
    total(now) {
        const sum = { posted: 0, failed: 0, expected: 0, seen: 0, missing: 0, leaked: 0 };
        for (const tenant of this.#counts.keys()) {
            const counts = this.read(tenant, now);
            for (const name of /** @type {(keyof Counts)[]} */ (Object.keys(sum))) {
                sum[name] += counts[name];
            }
        }
        return sum;
    }

    /**
     * What can be said of all columns together. A leak stays one, whatever comes after it.
     *
     * @param {number} now
     * @param {boolean} running more canaries are to come
     * @param {boolean} blind a column is not connected, so that nobody would see what comes there
     * @returns {Verdict}
     */
    verdict(now, running, blind) {
        const { posted, seen, missing, leaked } = this.total(now);
        if (leaked > 0) {
            return 'leaked';
        }
        if (blind && posted > 0) {
            return 'blind';
        }
        if (missing > 0) {
            return 'missing';
        }
        if (running || this.#awaited.size > 0) {
            return 'waiting';
        }
        return seen > 0 ? 'holds' : 'idle';
    }

    /** Nobody looks at this tenant any more, so nothing of it is expected. @param {string} tenant */
    drop(tenant) {
        for (const [token, canary] of this.#awaited) {
            if (canary.tenant === tenant) {
                this.#awaited.delete(token);
            }
        }
    }

    /** Counts from 0. What is on its way is known for what it is when it comes. */
    clear() {
        for (const canary of this.#canaries.values()) {
            canary.tookAt = null;
            canary.failed = false;
        }
        this.#awaited.clear();
        this.#counts.clear();
        this.#leak = null;
    }

    /** @param {string} tenant */
    #of(tenant) {
        let counts = this.#counts.get(tenant);
        if (!counts) {
            counts = { posted: 0, failed: 0, expected: 0, seen: 0, leaked: 0 };
            this.#counts.set(tenant, counts);
        }
        return counts;
    }
}
