// A stock Socket.IO client that keeps what it hears, and says whether that is what it should be.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { io as newest } from 'socket.io-client';
import { io as oldest } from 'socket.io-client-oldest';

export const releases = { newest, oldest };
export const transports = {
    polling: ['polling'],
    websocket: ['websocket'],
    upgrading: ['polling', 'websocket'],
};
export const sanitized = !['', '0', 'none', undefined].includes(process.env.CARILLON_SANITIZE);

/** Long enough for anything that is awaited; never a measurement. */
export const WAIT = sanitized ? 60_000 : 20_000;

/** A count of rounds, smaller where every step is slow. */
export function scaled(count) {
    return sanitized ? Math.ceil(count / 10) : count;
}

export function sleep(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until `question` is answered with something true, and returns that. */
export async function until(question, what) {
    const end = Date.now() + WAIT;
    for (;;) {
        const answer = question();
        if (answer) {
            return answer;
        }
        assert.ok(Date.now() < end, `waited in vain: ${what}`);
        await sleep(10);
    }
}

let named = 0;

/** A tenant that nobody has used yet. */
export function tenant(stem = 't') {
    return `${stem}${++named}`;
}

export class Client {
    /**
     * @param {string} url of the server, with the namespace behind it
     * @param {object} options for the stock client; `release` chooses it
     */
    constructor(url, { release = newest, ...options } = {}) {
        this.heard = [];
        this.events = []; // all that it has been told of, from the first array on
        this.starts = 0; // how often it began anew
        this.recoveries = 0;
        this.socket = release(url, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 500, ...options });
        this.socket.onAny((name, ...args) => this.heard.push([name, ...args]));
        for (const name of ['initial_events', 'snapshot']) {
            this.socket.on(name, (events) => {
                this.starts++;
                this.fresh = events;
                this.events.push(...events);
            });
        }
        this.socket.on('event_created', (event) => this.events.push(event));
        this.socket.on('connect', () => {
            this.recoveries += this.socket.recovered ? 1 : 0;
        });
    }

    get seqs() {
        return this.events.map((event) => event.seq);
    }

    get last() {
        return this.events.at(-1)?.seq ?? 0;
    }

    /** Connected, and told where it begins. */
    async ready() {
        if (!this.socket.connected) {
            await once(this.socket, 'connect', { signal: AbortSignal.timeout(WAIT) });
        }
        await until(() => this.starts > 0, 'the first array of events');
        return this;
    }

    named(name) {
        return this.heard.filter(([other]) => other === name).map(([, ...args]) => args);
    }

    /** What the server answers to a command. */
    ask(name, ...args) {
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => reject(new Error(`${name} was not acknowledged`)), WAIT);
            this.socket.emit(name, ...args, (answer) => {
                clearTimeout(timer);
                resolve(answer);
            });
        });
    }

    async reaches(seq) {
        await until(() => this.last >= seq, `event ${seq}, after ${this.last}`);
    }

    /** All there is up to `last`, each once and in order, of that tenant alone. */
    holds(tenantId, first, last) {
        const wanted = Array.from({ length: last - first + 1 }, (_, i) => first + i);
        assert.deepEqual(this.seqs, wanted);
        assert.ok(this.events.every((event) => event.tenant_id === tenantId));
    }

    close() {
        this.socket.disconnect();
    }
}

/** A client that is closed with the test. */
export function open(t, url, options) {
    const client = new Client(url, options);
    t.after(() => client.close());
    return client;
}
