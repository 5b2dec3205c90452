import { refusal } from '../api.js';
import { make } from '../dom.js';
import { Feed } from '../feed.js';
import { hueOf } from '../hue.js';
import { TEXT as STATE_TEXT } from '../status.js';

/** @typedef {import('../access.js').Access} Access */
/** @typedef {import('../feed.js').State} State */
/** @typedef {import('../feed.js').Transport} Transport */
/** @typedef {import('./tally.js').Counts} Counts */

const ARRIVALS = 8; // shown, the newest first

/** @type {[keyof Counts, string][]} */
const FIGURES = [['posted', 'posted'], ['failed', 'failed'], ['expected', 'expected'], ['seen', 'seen'],
    ['missing', 'missing'], ['leaked', 'leaked']];

/** One tenant: a connection of its own, and what is seen on it. */
export class Column {
    element = make('section', 'column');
    #feed;
    #state = make('span', '', STATE_TEXT.offline);
    #stateBox = make('div', 'state');
    #retry = button('link', 'Try now');
    #detail = make('p', 'field-error');
    #arrivals = make('ol', 'arrivals');
    /** @type {Map<keyof Counts, HTMLElement>} */
    #figures = new Map();

    /**
     * @param {Access} access
     * @param {Transport} transport
     * @param {HTMLOptionElement[]} transports to choose from
     * @param {object} actions
     * @param {(frame: any) => boolean} actions.judge looks at one of the server's messages: whether something leaked
     * @param {() => void} actions.changed
     * @param {() => void} actions.remove
     */
    constructor(access, transport, transports, { judge, changed, remove }) {
        this.access = access;
        this.#feed = new Feed(access, transport, {
            state: (state) => this.#showState(state),
            events: () => {},
            notice: (text) => this.#arrived(text, 'told'),
            renewed: () => {},
            skew: () => {},
            refusal: () => refusal(access),
            frame: (frame) => {
                const leaks = judge(frame);
                if (frame.type === 'event_created' || leaks) {
                    this.#arrived(wordsOf(frame), leaks ? 'leak' : '');
                }
                changed();
            },
        });
        this.#build(transport, transports, remove);
        this.#feed.open();
    }

    /** Whether what comes would be seen. */
    get isLive() {
        return this.#stateBox.dataset.state === 'live';
    }

    get tenant() {
        return this.access.tenant;
    }

    close() {
        this.#feed.close();
        this.element.remove();
    }

    /** @param {Counts} counts */
    show(counts) {
        for (const [name, figure] of this.#figures) {
            figure.textContent = counts[name].toLocaleString();
        }
        this.element.toggleAttribute('data-leaked', counts.leaked > 0);
        this.element.toggleAttribute('data-missing', counts.missing > 0);
    }

    /** Forgets what has arrived. */
    clear() {
        this.#arrivals.replaceChildren();
    }

    /**
     * @param {Transport} transport
     * @param {HTMLOptionElement[]} transports
     * @param {() => void} remove
     */
    #build(transport, transports, remove) {
        const title = make('h3', 'badge', this.tenant);
        title.id = `column-${this.tenant}`;
        this.element.setAttribute('aria-labelledby', title.id);
        for (const colored of [this.element, title]) {
            colored.style.setProperty('--hue', String(hueOf(this.tenant)));
        }
        this.element.dataset.tenant = this.tenant;

        const choice = make('select', 'quiet');
        choice.setAttribute('aria-label', `Transport of ${this.tenant}`);
        choice.append(...transports.map(({ text, value }) => new Option(text, value)));
        choice.value = transport;
        choice.addEventListener('change', () => this.#feed.use(/** @type {Transport} */ (choice.value)));
        const close = button('plain small', 'Remove');
        close.setAttribute('aria-label', `Remove ${this.tenant}`);
        close.addEventListener('click', remove);

        const dot = make('span', 'dot');
        dot.ariaHidden = 'true';
        this.#stateBox.append(dot, this.#state, this.#retry);
        this.#retry.addEventListener('click', () => this.#feed.retryNow());
        const controls = make('div', 'controls');
        controls.append(this.#stateBox, choice, close);
        const figures = make('dl', 'figures');
        for (const [name, text] of FIGURES) {
            const pair = make('div');
            const figure = make('dd', '', '0');
            pair.dataset.figure = name;
            pair.append(make('dt', '', text), figure);
            figures.append(pair);
            this.#figures.set(name, figure);
        }
        this.#arrivals.setAttribute('aria-label', `What ${this.tenant} has seen, the newest first`);
        this.element.append(title, controls, this.#detail, figures, this.#arrivals);
    }

    /** @param {State} state */
    #showState({ name, detail = '' }) {
        this.#stateBox.dataset.state = name;
        this.#state.textContent = STATE_TEXT[name];
        this.#detail.textContent = detail;
        this.#retry.hidden = name !== 'retrying';
    }

    /**
     * @param {string} text
     * @param {string} kind
     */
    #arrived(text, kind) {
        this.#arrivals.prepend(make('li', kind, text));
        while (this.#arrivals.childElementCount > ARRIVALS) {
            this.#arrivals.lastElementChild?.remove();
        }
    }
}

/** @param {any} frame */
function wordsOf(frame) {
    if (frame.type !== 'event_created') {
        return `${frame.tenant_id ?? ''} ${frame.type}`;
    }
    const { seq, message, type } = frame.event;
    return `#${seq} ${message ?? type}`;
}

/**
 * @param {string} className
 * @param {string} text
 */
function button(className, text) {
    const element = make('button', className, text);
    element.type = 'button';
    return element;
}
