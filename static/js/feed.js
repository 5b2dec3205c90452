import { backoff } from './backoff.js';

/** @typedef {import('./api.js').FeedEvent} FeedEvent */
/** @typedef {'offline' | 'connecting' | 'catching-up' | 'live' | 'retrying'} StateName */

/**
 * @typedef {object} State
 * @property {StateName} name
 * @property {string} [detail] why it is offline, where it was not the user's doing
 * @property {number} [retryAt] of 'retrying': when, on the clock of Date.now()
 */

/**
 * @typedef {object} Handlers
 * @property {(state: State) => void} state
 * @property {(events: FeedEvent[], fresh: boolean) => void} events in order of seq, each once; fresh: not of a snapshot
 * @property {(text: string) => void} notice what a reader must know of what is, or is not, in the list
 * @property {() => Promise<string | null>} refusal why the server refuses this tenant, null where it doesn't
 */

const SNAPSHOT = 50;
const OPEN_WITHIN_MS = 15_000;
const PING_EVERY_MS = 20_000;
const PONG_WITHIN_MS = 10_000;
const STEADY_AFTER_MS = 5_000; // a connection that stood so long was a good one: the next wait starts short again
const POLICY_VIOLATION = 1008; // close code: credential revoked, tenant removed

/**
 * A tenant's events over a WebSocket that is opened again when it breaks, from where it broke. The position is the
 * last seq that was handed on and the epoch of the log that numbered it. Knows nothing of the page.
 */
export class Feed {
    /** @type {Handlers} */
    #handlers;
    /** @type {WebSocket | null} */
    #socket = null;
    /** The position; null until the first snapshot. @type {{seq: number, epoch: string} | null} */
    #position = null;
    /** What the server greeted us with; null until it did. @type {{seq: number, epoch: string} | null} */
    #greeting = null;
    /** Whether the log was found to be a new one, and none of its events has come yet. */
    #renewed = false;
    #failures = 0;
    #liveSince = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #retryTimer;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #deadline;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    #pinger;
    /** @type {State} */
    #state = { name: 'offline' };

    /**
     * @param {string} tenant
     * @param {Handlers} handlers
     */
    constructor(tenant, handlers) {
        this.tenant = tenant;
        this.#handlers = handlers;
    }

    /** Connects, where it is not connected, and stays so until close(). */
    open() {
        if (this.#state.name === 'offline') {
            this.#failures = 0;
            this.#connect();
        }
    }

    /** Disconnects; open() then goes on from where it was. */
    close() {
        this.#drop();
        this.#enter({ name: 'offline' });
    }

    /** Cuts the wait for the next attempt short. */
    retryNow() {
        if (this.#state.name === 'retrying') {
            this.#connect();
        }
    }

    /** @param {State} state */
    #enter(state) {
        this.#state = state;
        this.#handlers.state(state);
    }

    #url() {
        const url = new URL('ws', document.baseURI);
        url.protocol = url.protocol.replace('http', 'ws');
        url.searchParams.set('tenant', this.tenant);
        if (this.#position === null) {
            url.searchParams.set('snapshot', String(SNAPSHOT));
        } else {
            url.searchParams.set('since', String(this.#position.seq));
            url.searchParams.set('epoch', this.#position.epoch);
        }
        return url;
    }

    #connect() {
        this.#drop();
        this.#enter({ name: 'connecting' });
        const socket = new WebSocket(this.#url());
        this.#socket = socket;
        this.#deadline = setTimeout(() => this.#broke(), OPEN_WITHIN_MS);
        socket.onmessage = (message) => this.#receive(message.data);
        socket.onclose = (close) => this.#broke(close);
    }

    /** Lets go of the socket, deaf to whatever it still has to say. */
    #drop() {
        clearTimeout(this.#retryTimer);
        clearTimeout(this.#deadline);
        clearInterval(this.#pinger);
        if (this.#socket !== null) {
            this.#socket.onmessage = null;
            this.#socket.onclose = null;
            this.#socket.close();
            this.#socket = null;
        }
        this.#greeting = null;
        this.#liveSince = 0;
    }

    /**
     * The connection is gone, or as good as gone.
     *
     * @param {CloseEvent} [close]
     */
    async #broke(close) {
        const greeted = this.#greeting !== null;
        const steady = this.#liveSince > 0 && Date.now() - this.#liveSince >= STEADY_AFTER_MS;
        this.#drop();
        if (close?.code === POLICY_VIOLATION) {
            this.#enter({ name: 'offline', detail: close.reason || 'The server has ended this connection for good.' });
            return;
        }
        this.#failures = steady ? 1 : this.#failures + 1;
        const wait = backoff(this.#failures);
        const state = /** @type {State} */ ({ name: 'retrying', retryAt: Date.now() + wait });
        this.#retryTimer = setTimeout(() => this.#connect(), wait);
        this.#enter(state);
        if (!greeted) {
            const reason = await this.#handlers.refusal();
            if (reason !== null && this.#state === state) {
                this.#drop();
                this.#enter({ name: 'offline', detail: reason });
            }
        }
    }

    /** @param {unknown} data */
    #receive(data) {
        let frame;
        try {
            frame = JSON.parse(String(data));
        } catch {
            this.#broke(); // the stream can't be trusted any more; the position can
            return;
        }
        clearTimeout(this.#deadline); // whatever came, the line is alive
        switch (frame?.type) {
        case 'connection_established':
            this.#greeted(frame);
            break;
        case 'snapshot':
            this.#position = { seq: frame.seq, epoch: this.#greeting?.epoch ?? '' };
            this.#handlers.events(frame.events, false);
            this.#settle();
            break;
        case 'event_created':
            this.#take(frame.event);
            break;
        case 'gap':
            this.#gap(frame.from, frame.to);
            break;
        case 'system_message':
            this.#handlers.notice(frame.message);
            break;
        }
    }

    /** @param {{seq: number, epoch: string}} frame */
    #greeted({ seq, epoch }) {
        this.#greeting = { seq, epoch };
        this.#pinger = setInterval(() => this.#ping(), PING_EVERY_MS);
        if (this.#position === null) {
            return; // the snapshot comes next and gives it
        }
        if (this.#position.epoch !== epoch) {
            this.#handlers.notice(`The server’s log was made anew and counts from 1 again. What the old one held after`
                + ` #${this.#position.seq} can’t be shown.`);
            this.#position = { seq: 0, epoch };
            this.#renewed = true;
        }
        this.#settle();
    }

    /** @param {FeedEvent} event */
    #take(event) {
        const last = this.#position?.seq ?? event.seq - 1;
        if (event.seq <= last) {
            return;
        }
        if (event.seq > last + 1) {
            this.#tellGap(last + 1, event.seq - 1);
        }
        this.#renewed = false;
        this.#position = { seq: event.seq, epoch: this.#greeting?.epoch ?? '' };
        this.#handlers.events([event], true);
        this.#settle();
    }

    /**
     * @param {number} from
     * @param {number} to
     */
    #gap(from, to) {
        if (this.#renewed || this.#position === null) {
            return; // said already; and its numbers may be those of the old log, which must not move the position
        }
        this.#tellGap(from, to);
        this.#position.seq = Math.max(this.#position.seq, to);
        this.#settle();
    }

    /**
     * @param {number} from
     * @param {number} to
     */
    #tellGap(from, to) {
        const which = from === to ? `Event #${from} is` : `Events #${from} to #${to} are`;
        this.#handlers.notice(`${which} no longer kept by the server and can’t be shown.`);
    }

    /** Live once everything is here that the server had when it greeted us. */
    #settle() {
        if (this.#greeting === null || this.#position === null) {
            return;
        }
        const name = this.#position.seq >= this.#greeting.seq ? 'live' : 'catching-up';
        if (name === 'live' && this.#liveSince === 0) {
            this.#liveSince = Date.now();
        }
        if (name !== this.#state.name) {
            this.#enter({ name });
        }
    }

    /** A line that died without a word is found out only by asking: a browser hides the protocol's own pings. */
    #ping() {
        this.#socket?.send('{"type":"ping"}');
        clearTimeout(this.#deadline);
        this.#deadline = setTimeout(() => this.#broke(), PONG_WITHIN_MS);
    }
}
