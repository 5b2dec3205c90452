/** Counts by second, over the last few minutes. */
export class Rate {
    #seconds;
    #counts;
    /** The second that the newest count is of. */
    #now = 0;

    /** @param {number} seconds how far back it goes */
    constructor(seconds) {
        this.#seconds = seconds;
        this.#counts = new Array(seconds).fill(0);
    }

    /**
     * @param {number} count
     * @param {number} at milliseconds
     */
    add(count, at) {
        this.#turn(at);
        this.#counts[this.#now % this.#seconds] += count;
    }

    /** The counts up to that time, oldest first; the last second is not over yet. @param {number} at milliseconds */
    read(at) {
        this.#turn(at);
        const first = this.#now + 1;
        return this.#counts.map((_, i) => this.#counts[(first + i) % this.#seconds]);
    }

    /** @param {number} at */
    #turn(at) {
        const second = Math.floor(at / 1000);
        for (let i = Math.max(this.#now + 1, second - this.#seconds + 1); i <= second; i++) {
            this.#counts[i % this.#seconds] = 0;
        }
        this.#now = Math.max(this.#now, second);
    }
}
