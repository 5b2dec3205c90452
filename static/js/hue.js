const GOLDEN_ANGLE = 137.508;

/**
 * A hue for a name: the same one always and everywhere. Names that differ in their last character only, which are the
 * ones that are taken for each other, lie the golden angle apart for each step between the two.
 *
 * @param {string} name
 * @returns {number} degrees, 0 up to 360
 */
export function hueOf(name) {
    let hash = 0;
    for (const char of name) {
        hash = (Math.imul(hash, 31) + (char.codePointAt(0) ?? 0)) >>> 0;
    }
    return Math.round(hash * GOLDEN_ANGLE) % 360;
}
