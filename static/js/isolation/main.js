import { Bench } from './bench.js';

/** @type {Bench | undefined} */
let bench;

/** Tenants side by side. See ViewModule in ../views.js. @param {HTMLElement} host */
export function show(host) {
    bench ??= new Bench(host);
}

/** Its connections, and what it is posting, go on: both are bounded, and it would be no test that stops unseen. */
export function hide() {}
