import { isKeptNumber } from './json.js';

/** @typedef {import('./api.js').FeedEvent} FeedEvent */

const WORDS = /[\p{L}\p{N}]+\*?/gu;

/**
 * Which events are shown. Goes by words as the server's `q` does, so that what is held and what the server finds are
 * one kind: all words, in any case, in the message or the metadata with its names; a star asks for a beginning. The
 * last word counts as a beginning while it is being typed, which a space behind it ends.
 */
export class Filter {
    /** The types that are let through; none: all. @type {ReadonlySet<string>} */
    types;
    /** For the server's parameter `q`; empty: no words are asked for. */
    q;
    #patterns;

    /**
     * @param {string} [text] as it was typed
     * @param {Iterable<string>} [types]
     */
    constructor(text = '', types = []) {
        this.types = new Set(types);
        const words = text.match(WORDS) ?? [];
        const last = words.at(-1);
        if (last !== undefined && !last.endsWith('*') && text.endsWith(last)) {
            words[words.length - 1] = `${last}*`;
        }
        this.q = words.join(' ');
        this.#patterns = words.map(patternOf);
    }

    /** Whether it lets everything through. */
    get isEmpty() {
        return this.types.size === 0 && this.#patterns.length === 0;
    }

    /** @param {FeedEvent} event */
    matches(event) {
        if (this.types.size > 0 && !this.types.has(event.type)) {
            return false;
        }
        if (this.#patterns.length === 0) {
            return true;
        }
        const text = textOf(event);
        return this.#patterns.every((pattern) => pattern.test(text));
    }
}

/** @param {string} word letters and digits, and maybe a star: nothing that a regular expression takes for its own */
function patternOf(word) {
    const open = word.endsWith('*');
    const letters = open ? word.slice(0, -1) : word;
    return new RegExp(`(?<![\\p{L}\\p{N}])${letters}${open ? '' : '(?![\\p{L}\\p{N}])'}`, 'iu');
}

/** @param {FeedEvent} event */
function textOf(event) {
    const texts = [event.message ?? ''];
    collect(event.metadata, texts);
    return texts.join(' ');
}

/**
 * @param {unknown} value
 * @param {string[]} texts
 */
function collect(value, texts) {
    if (isKeptNumber(value)) {
        texts.push(JSON.stringify(value));
    } else if (typeof value === 'object' && value !== null) {
        for (const [key, member] of Object.entries(value)) {
            if (!Array.isArray(value)) {
                texts.push(key);
            }
            collect(member, texts);
        }
    } else if (value !== undefined) {
        texts.push(String(value));
    }
}
