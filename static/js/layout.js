/**
 * Where rows lie that are all of one height, but for a few. Numbers only, no elements.
 */
export class RowLayout {
    /**
     * @param {number} rowHeight pixels
     * @param {number} count rows
     * @param {[index: number, height: number][]} [tall] those of another height, in order of their index
     */
    constructor(rowHeight, count, tall = []) {
        this.rowHeight = rowHeight;
        this.count = count;
        this.tall = tall;
    }

    get height() {
        return this.topOf(this.count);
    }

    /** @param {number} index */
    topOf(index) {
        let top = index * this.rowHeight;
        for (const [at, height] of this.tall) {
            if (at < index) {
                top += height - this.rowHeight;
            }
        }
        return top;
    }

    /**
     * The row at that height, within the bounds.
     *
     * @param {number} y pixels from the top of the first
     */
    indexAt(y) {
        let top = 0;
        let index = 0;
        for (const [at, height] of this.tall) {
            const start = top + (at - index) * this.rowHeight;
            if (y < start) {
                break;
            }
            if (y < start + height) {
                return at;
            }
            top = start + height;
            index = at + 1;
        }
        return Math.max(0, Math.min(this.count - 1, index + Math.floor((y - top) / this.rowHeight)));
    }
}
