/**
 * Puts a text where it can be pasted from. Browsers offer their interface for that on secure pages alone; a server in
 * the local network is reached over plain HTTP.
 *
 * @param {string} text
 * @throws {Error} where the browser does not let us
 */
export async function copy(text) {
    if (navigator.clipboard) {
        await navigator.clipboard.writeText(text);
        return;
    }
    const focused = document.activeElement;
    const field = document.createElement('textarea');
    field.className = 'unseen';
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand('copy');
    field.remove();
    if (focused instanceof HTMLElement) {
        focused.focus();
    }
    if (!done) {
        throw new Error('The browser does not let the page copy.');
    }
}
