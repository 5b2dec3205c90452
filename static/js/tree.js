import { make } from './dom.js';
import { isKeptNumber } from './json.js';

const PIECE = 100; // members shown at a time

/**
 * A JSON value as a tree whose branches fold. A branch is made when it is first opened, and a long one piece by piece,
 * so that a hostile value costs what is looked at.
 *
 * @param {Record<string, unknown> | unknown[]} value
 * @returns {HTMLUListElement}
 */
export function treeOf(value) {
    const list = make('ul', 'tree');
    const members = Object.entries(value);
    /** @param {number} from */
    const add = (from) => {
        list.append(...members.slice(from, from + PIECE).map(([name, member]) => memberOf(name, member)));
        const left = members.length - from - PIECE;
        if (left > 0) {
            list.append(moreOf(left, () => add(from + PIECE)));
        }
    };
    add(0);
    return list;
}

/**
 * @param {string} name
 * @param {unknown} value
 */
function memberOf(name, value) {
    const item = make('li');
    if (typeof value !== 'object' || value === null || isKeptNumber(value)) {
        item.append(nameOf(name), leafOf(value));
        return item;
    }
    const count = Object.keys(value).length;
    const fold = make('details');
    const summary = make('summary');
    const what = Array.isArray(value) ? `[${count}]` : `{${count}}`;
    summary.append(nameOf(name), make('span', 'size', what));
    fold.append(summary);
    fold.addEventListener('toggle', () => {
        fold.append(treeOf(/** @type {Record<string, unknown>} */ (value)));
    }, { once: true });
    item.append(fold);
    return item;
}

/** @param {string} name */
function nameOf(name) {
    const element = make('span', 'name', name);
    element.dir = 'auto';
    return element;
}

/** @param {unknown} value a string, number, boolean or null */
function leafOf(value) {
    const kind = isKeptNumber(value) ? 'number' : typeof value;
    const leaf = make('span', `leaf ${value === null ? 'null' : kind}`, JSON.stringify(value));
    leaf.dir = 'auto';
    return leaf;
}

/**
 * @param {number} left
 * @param {() => void} onMore
 */
function moreOf(left, onMore) {
    const item = make('li');
    const button = make('button', 'link', `${left} more`);
    button.type = 'button';
    button.addEventListener('click', () => {
        item.remove();
        onMore();
    });
    item.append(button);
    return item;
}
