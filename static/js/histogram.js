/** The buckets' upper bounds in milliseconds; one for all above comes after them. */
export const BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** How often what took how long. */
export class Histogram {
    counts = new Array(BOUNDS.length + 1).fill(0);
    total = 0;

    /** @param {number} ms */
    add(ms) {
        const bucket = BOUNDS.findIndex((bound) => ms <= bound);
        this.counts[bucket < 0 ? BOUNDS.length : bucket]++;
        this.total++;
    }

    /**
     * The upper bound of the bucket that holds it; null where there is nothing, Infinity where it is above all bounds.
     *
     * @param {number} share 0.5 for the median
     */
    quantile(share) {
        let left = Math.ceil(this.total * share);
        for (let i = 0; i < this.counts.length && this.total > 0; i++) {
            left -= this.counts[i];
            if (left <= 0) {
                return BOUNDS[i] ?? Infinity;
            }
        }
        return null;
    }
}
