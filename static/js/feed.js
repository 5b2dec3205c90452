import { backoff } from './backoff.js';
import { openSocketIo } from './sio_link.js';
import { openStream } from './sse_link.js';
import { openWebSocket } from './ws_link.js';

/** @typedef {import('./access.js').Access} Access */
/** @typedef {import('./api.js').FeedEvent} FeedEvent */
/** @typedef {'offline' | 'connecting' | 'catching-up' | 'live' | 'retrying'} StateName */
/** @typedef {'websocket' | 'sse' | 'socketio'} Transport */

/**
 * @typedef {object} State
 * @property {StateName} name
 * @property {string} [detail] why it is offline, where it was not the user's doing
 * @property {number} [retryAt] of 'retrying': when, on the clock of Date.now()
 */

/**
 * @typedef {object} Handlers
 * @property {(state: State) => void} state
 * @property {(events: FeedEvent[], fresh: boolean, live: boolean) => void} events in order of seq, each once; fresh:
 *     not of a snapshot; live: nor one that was there before we came
 * @property {(text: string) => void} notice what a reader must know of what is, or is not, in the list
 * @property {() => void} renewed the log is a new one, which knows nothing of the events before
 * @property {(ms: number) => void} skew what the server's clock is behind ours, as well as can be told
 * @property {() => Promise<string | null>} refusal why the server refuses this tenant, null where it doesn't
 * @property {(frame: any) => void} [frame] each of the server's messages as it came, before it is looked at: by who
 *     judges them, and goes on where one is another tenant's
 */

const SNAPSHOT = 50;
const STEADY_AFTER_MS = 5_000; // a connection that stood so long was a good one: the next wait starts short again

/** @type {Record<Transport, import('./link.js').LinkOpener>} */
const OPENERS = { websocket: openWebSocket, sse: openStream, socketio: openSocketIo };

/**
 * A tenant's events over a line that is opened again when it breaks, from where it broke. The position is the last seq
 * that was handed on and the epoch of the log that numbered it, and is the same for every transport. Knows nothing of
 * the page.
 */
export class Feed {
    /** @type {Handlers} */
    #handlers;
    #transport;
    /** @type {import('./link.js').Link | null} */
    #link = null;
    #asked = 0;
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
    /** @type {State} */
    #state = { name: 'offline' };

    /**
     * @param {Access} access
     * @param {Transport} transport
     * @param {Handlers} handlers
     */
    constructor(access, transport, handlers) {
        this.access = access;
        this.#transport = transport;
        this.#handlers = handlers;
    }

    get tenant() {
        return this.access.tenant;
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

    /** Goes on over another transport, from where it is. @param {Transport} transport */
    use(transport) {
        this.#transport = transport;
        if (this.#state.name !== 'offline') {
            this.#failures = 0;
            this.#connect();
        }
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

    #connect() {
        this.#drop();
        this.#enter({ name: 'connecting' });
        this.#asked = Date.now();
        const cursor = this.#position === null ? { snapshot: SNAPSHOT }
            : { since: this.#position.seq, epoch: this.#position.epoch };
        this.#link = OPENERS[this.#transport](this.access, cursor, {
            frame: (frame) => this.#receive(frame),
            ended: (why) => this.#broke(why),
        });
    }

    /** Lets go of the line, deaf to whatever it still has to say. */
    #drop() {
        clearTimeout(this.#retryTimer);
        this.#link?.close();
        this.#link = null;
        this.#greeting = null;
        this.#liveSince = 0;
    }

    /**
     * The connection is gone, or as good as gone.
     *
     * @param {{final?: string}} why
     */
    async #broke({ final }) {
        const greeted = this.#greeting !== null;
        const steady = this.#liveSince > 0 && Date.now() - this.#liveSince >= STEADY_AFTER_MS;
        this.#drop();
        if (final !== undefined) {
            this.#enter({ name: 'offline', detail: final });
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

    /** @param {any} frame */
    #receive(frame) {
        this.#handlers.frame?.(frame);
        const owner = ownersOf(frame).find((tenant) => tenant !== this.tenant);
        if (owner !== undefined) {
            this.#refuse(owner);
            return;
        }
        switch (frame.type) {
        case 'connection_established':
            this.#greeted(frame);
            break;
        case 'snapshot':
            this.#position = { seq: frame.seq, epoch: this.#greeting?.epoch ?? '' };
            this.#handlers.events(frame.events, false, false);
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

    /**
     * What is another tenant's is not for this page, whoever sent it here: none of it is shown, and nothing more is
     * taken from there.
     *
     * @param {unknown} owner
     */
    #refuse(owner) {
        if (this.#handlers.frame === undefined) {
            this.#broke({ final: `The server sent what is not ${this.tenant}’s, but ${owner}’s. It is not shown,`
                + ' and the connection has been closed. Tell whoever runs this server.' });
        }
    }

    /** @param {{seq: number, epoch: string, server_time?: string}} frame */
    #greeted({ seq, epoch, server_time: time }) {
        this.#greeting = { seq, epoch };
        this.#tellSkew(Date.parse(time ?? ''));
        if (this.#position === null) {
            return; // the snapshot comes next and gives it
        }
        if (this.#position.epoch !== epoch) {
            this.#handlers.notice(`The server’s log was made anew and counts from 1 again. What the old one held after`
                + ` #${this.#position.seq} can’t be shown.`);
            this.#position = { seq: 0, epoch };
            this.#renewed = true;
            this.#handlers.renewed();
        }
        this.#settle();
    }

    /**
     * The greeting is on its way for a quarter of the time since we asked: the connection was made there and back, and
     * so was the request.
     *
     * @param {number} theirs when the server greeted, by its clock
     */
    #tellSkew(theirs) {
        if (!Number.isNaN(theirs)) {
            const now = Date.now();
            this.#handlers.skew(now - (now - this.#asked) / 4 - theirs);
        }
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
        this.#handlers.events([event], true, this.#state.name === 'live');
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
}

/**
 * The tenants that a message of the server names.
 *
 * @param {any} frame
 * @returns {unknown[]}
 */
function ownersOf(frame) {
    switch (frame.type) {
    case 'connection_established':
        return [frame.tenant_id];
    case 'snapshot':
        return frame.events.map((/** @type {FeedEvent} */ event) => event.tenant_id);
    case 'event_created':
        return [frame.event.tenant_id];
    default:
        return [];
    }
}
