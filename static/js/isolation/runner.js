const AT_ONCE = 8;
const FAILURES_MAX = 10; // in a row: it would go on like that

/**
 * Does something at a bounded rate, a bounded number of times, until it is stopped: posting, which it knows nothing of.
 */
export class Runner {
    #post;
    #changed;
    #left = 0;
    #underway = 0;
    #failures = 0;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    #timer;

    /**
     * @param {object} actions
     * @param {() => Promise<boolean>} actions.post whether it went well
     * @param {() => void} actions.changed it has begun, or ended
     */
    constructor({ post, changed }) {
        this.#post = post;
        this.#changed = changed;
    }

    /** Whether something is to come, or is not over yet. */
    get running() {
        return this.#timer !== undefined || this.#underway > 0;
    }

    /** How many are to come. */
    get left() {
        return this.#left;
    }

    /**
     * @param {number} count
     * @param {number} rate a second
     */
    start(count, rate) {
        this.stop();
        this.#left = count;
        this.#failures = 0;
        this.#timer = setInterval(() => this.#next(), 1000 / rate);
        this.#changed();
    }

    stop() {
        clearInterval(this.#timer);
        this.#timer = undefined;
        this.#left = 0;
        this.#changed();
    }

    async #next() {
        if (this.#underway >= AT_ONCE) {
            return; // the server is slower than the rate
        }
        this.#left--;
        this.#underway++;
        if (this.#left <= 0) {
            this.stop();
        }
        const good = await this.#post();
        this.#underway--;
        this.#failures = good ? 0 : this.#failures + 1;
        if (this.#failures >= FAILURES_MAX && this.#timer !== undefined) {
            this.stop();
        }
        this.#changed();
    }
}
