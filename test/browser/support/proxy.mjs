import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** A TCP relay on loopback whose line can be cut (connections end, new ones too) or frozen (silence, no close). */
export class Proxy {
    /** @param {number} target port */
    constructor(target) {
        this.target = target;
        this.cutOff = false;
        this.pairs = new Set();
        this.server = createServer((near) => this.#relay(near));
    }

    get url() {
        return `http://127.0.0.1:${this.server.address().port}`;
    }

    async start() {
        this.server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 });
        await once(this.server, 'listening');
        return this;
    }

    cut() {
        this.cutOff = true;
        this.#dropAll();
    }

    mend() {
        this.cutOff = false;
    }

    /** What is connected now stays so and hears nothing more; new connections work. */
    freeze() {
        for (const [near, far] of this.pairs) {
            near.unpipe(far);
            far.unpipe(near);
            near.pause();
            far.pause();
        }
    }

    stop() {
        this.#dropAll();
        this.server.close();
    }

    #dropAll() {
        for (const [near, far] of this.pairs) {
            near.destroy();
            far.destroy();
        }
        this.pairs.clear();
    }

    #relay(near) {
        near.on('error', () => {});
        if (this.cutOff) {
            near.destroy();
            return;
        }
        const far = connect(this.target, '127.0.0.1');
        const pair = [near, far];
        this.pairs.add(pair);
        far.on('error', () => near.destroy());
        near.on('close', () => {
            far.destroy();
            this.pairs.delete(pair);
        });
        far.on('close', () => near.destroy());
        near.pipe(far);
        far.pipe(near);
    }
}

/** A proxy before `server` that ends with the test. */
export async function relay(t, server) {
    const proxy = new Proxy(server.port);
    t.after(() => proxy.stop());
    return proxy.start();
}
