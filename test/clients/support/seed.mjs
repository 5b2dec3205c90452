// A predecessor's setting: the server told all by the environment names of that system, and its pages' snippets run as
// they stand. Only the port in a URL differs.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { binary, Server } from '../../browser/support/server.mjs';
import { until } from './client.mjs';

const folder = fileURLToPath(new URL('..', import.meta.url)); // where a snippet's imports are found

async function freePort() {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address();
    probe.close();
    await once(probe, 'close');
    return port;
}

/**
 * Started as that system's server was: a port and all else by environment, no flag but the tenants' names. Like it, it
 * keeps nothing.
 */
class Seed extends Server {
    constructor(environment, flags) {
        super(flags);
        this.environment = environment;
    }

    async start() {
        this.port = await freePort();
        this.child = spawn(binary, this.flags, {
            stdio: ['ignore', 'ignore', 'pipe'],
            env: { ...process.env, CARILLON_STORE: 'memory:', ...this.environment, PORT: String(this.port) },
        });
        this.exited = new Promise((resolve) => this.child.on('exit', (code, signal) => resolve(code ?? signal)));
        createInterface({ input: this.child.stderr }).on('line', (line) => this.said.push(line));
        const ready = () => this.said.some((line) => line.includes(`listening on :${this.port}`));
        await until(() => ready() || this.child.exitCode !== null || this.child.signalCode !== null, 'listening');
        assert.ok(ready(), `not started: ${this.said.join('\n')}`);
        return this;
    }
}

export function serveSeed(t, environment, flags = []) {
    const server = new Seed(environment, flags);
    t.after(() => server.stop());
    return server.start();
}

function ported(server, text) {
    const result = text.replaceAll('localhost:3000', `localhost:${server.port}`);
    assert.notEqual(result, text, 'the snippet names its server');
    return result;
}

/** Runs a snippet for Node as a program of its own, until the test ends; what it prints, line by line. */
export function program(t, server, text) {
    const child = spawn(process.execPath, ['--dns-result-order=ipv4first', '--input-type=module', '--eval',
        ported(server, text)], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    t.after(async () => {
        child.kill();
        await exited;
    });
    const lines = [];
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
    return lines;
}

/** Runs a snippet for the shell; the JSON that it prints. */
export async function shell(server, text) {
    const { stdout } = await promisify(execFile)('bash', ['-c', ported(server, text)]);
    return JSON.parse(stdout);
}

/** Sends a request that a page writes out: the line, its headers, and after an empty line the body. */
export function request(server, text) {
    const [head, body] = text.trim().split('\n\n');
    const [line, ...headers] = head.split('\n');
    const [method, path] = line.split(' ');
    return fetch(server.url + path, { method, headers: headers.map((header) => header.split(': ')), body });
}
