/** What the page can say of a draft before the server does. Each check answers what is wrong, if anything is. */

const TYPE = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/;
const METADATA_LEVELS = 16; // the object itself is the first

/** In characters, as the server counts. @param {string} text */
export function lengthOf(text) {
    return [...text].length;
}

/**
 * @param {string} message
 * @param {number} maxChars
 */
export function messageError(message, maxChars) {
    return lengthOf(message) > maxChars ? `A message is up to ${maxChars} characters.` : '';
}

/** @param {string} type */
export function typeError(type) {
    return type === '' || TYPE.test(type) ? '' : 'A type is up to 64 letters, digits, “.”, “_”, “:” or “-”.';
}

/** @param {string} text none, or the text of a JSON object */
export function metadataError(text) {
    if (text.trim() === '') {
        return '';
    }
    try {
        const value = JSON.parse(text);
        if (typeof value !== 'object' || value === null || Array.isArray(value)) {
            return 'Metadata must be a JSON object: {…}';
        }
        return isDeeper(value, METADATA_LEVELS) ? `Metadata is up to ${METADATA_LEVELS} levels deep.` : '';
    } catch (error) {
        return `This is not JSON. ${error instanceof Error ? error.message : ''}`;
    }
}

/**
 * Whether there are more levels of objects and arrays than that.
 *
 * @param {object} value
 * @param {number} levels
 */
function isDeeper(value, levels) {
    let level = [value];
    for (let depth = 0; level.length > 0; depth++) {
        if (depth === levels) {
            return true;
        }
        level = level.flatMap((parent) => Object.values(parent))
            .filter((child) => typeof child === 'object' && child !== null);
    }
    return false;
}
