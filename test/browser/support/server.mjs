import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const START_MS = 20_000;
const STOP_MS = 20_000;

export const binary = process.env.CARILLON_BIN ?? join(root, 'build', 'carillon');
export const artifacts = join(dirname(binary), 'test-artifacts');

/** A server of its own on loopback; in open mode with its log in memory, where nothing else is said. */
export class Server {
    /**
     * @param {string[]} flags beside those that every test wants
     * @param {string} [store]
     */
    constructor(flags = [], store = 'memory:') {
        this.flags = flags.includes('--auth') ? flags : ['--auth', 'open', ...flags];
        this.store = store;
        this.binary = binary;
        this.port = 0;
        this.child = null;
        this.said = [];
    }

    get url() {
        return `http://127.0.0.1:${this.port}`;
    }

    /** Starts it, on the port it had before where it had one. */
    async start() {
        const flags = ['--port', String(this.port), '--store', this.store, ...this.flags];
        const child = spawn(this.binary, flags, { stdio: ['ignore', 'ignore', 'pipe'] });
        this.child = child;
        this.said = [];
        this.exited = new Promise((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal)));
        this.port = await new Promise((resolve, reject) => {
            const fail = (why) => reject(
                new Error(`${this.binary} ${flags.join(' ')}: ${why}\n${this.said.join('\n')}`));
            const timer = setTimeout(() => fail('not listening in time'), START_MS);
            child.on('error', (error) => fail(error.message));
            this.exited.then((how) => fail(`ended with ${how}`));
            createInterface({ input: child.stderr }).on('line', (line) => {
                const match = /listening on \S*:(\d+)/.exec(line);
                this.said = [...this.said.slice(-200), line];
                if (match) {
                    clearTimeout(timer);
                    resolve(Number(match[1]));
                }
            });
        });
        return this;
    }

    /** Ends it at once, as a crash would. */
    async kill() {
        this.child?.kill('SIGKILL');
        await this.exited;
        this.child = null;
    }

    /** Ends it in good order, if it runs; throws where it takes too long or a sanitizer has something to say. */
    async stop() {
        if (this.child === null) {
            return;
        }
        const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
        this.child.kill('SIGTERM');
        const how = await this.exited;
        clearTimeout(timer);
        this.child = null;
        if (how !== 0 || this.said.some((line) => /Sanitizer|runtime error/.test(line))) {
            throw new Error(`the server ended with ${how}\n${this.said.join('\n')}`);
        }
    }

    /** Publishes past the browser; the event that the server answers. */
    async publish(tenant, draft) {
        const response = await fetch(`${this.url}/api/v1/events`, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json', 'X-Tenant-ID': tenant },
            body: JSON.stringify(draft),
        });
        if (response.status !== 201) {
            throw new Error(`publishing was answered ${response.status}: ${await response.text()}`);
        }
        return response.json();
    }

    /** Publishes `count` messages "<word> 1", "<word> 2" …, one after the other. */
    async publishMany(tenant, word, count) {
        const events = [];
        for (let i = 1; i <= count; i++) {
            events.push(await this.publish(tenant, { message: `${word} ${i}` }));
        }
        return events;
    }
}

/** A running server that ends with the test, and must end well. */
export async function serve(t, flags = [], store = 'memory:') {
    const server = new Server(flags, store);
    t.after(() => server.stop());
    return server.start();
}
