/**
 * A stream of Server-Sent Events, taken apart (HTML standard, section 9.2.6), however it is cut into pieces. Ids and
 * `retry` are not looked at: the page goes by the seq in what comes.
 */
export class SseParser {
    #emit;
    #rest = '';
    #event = '';
    /** @type {string[]} */
    #data = [];

    /** @param {(event: string, data: string) => void} emit */
    constructor(emit) {
        this.#emit = emit;
    }

    /** @param {string} text */
    push(text) {
        const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
        this.#rest = lines.pop() ?? '';
        for (const line of lines) {
            this.#take(line);
        }
    }

    /** @param {string} line */
    #take(line) {
        if (line === '') {
            if (this.#data.length > 0) {
                this.#emit(this.#event === '' ? 'message' : this.#event, this.#data.join('\n'));
            }
            this.#event = '';
            this.#data = [];
            return;
        }
        const colon = line.indexOf(':');
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
        if (field === 'event') {
            this.#event = value;
        } else if (field === 'data') {
            this.#data.push(value);
        }
    }
}
