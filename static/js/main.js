import { listTenants, Problem, refusal } from './api.js';
import { Compose } from './compose.js';
import { Feed } from './feed.js';
import { EventList } from './list.js';
import { StatusView } from './status.js';
import { TenantPicker } from './tenant.js';

const USUAL_TENANTS = ['tenant_a', 'tenant_b'];

/** The feed of the tenant that is shown; null until the first is. @type {Feed | null} */
let feed = null;

const list = new EventList();
const status = new StatusView(() => feed?.retryNow());
const picker = new TenantPicker({ connect, disconnect: () => feed?.close() });
new Compose(() => picker.read());

/** @param {string} tenant */
function connect(tenant) {
    if (feed?.tenant !== tenant) {
        feed?.close();
        list.reset(tenant);
        feed = new Feed(tenant, {
            state: (state) => showState(tenant, state),
            events: (events, fresh) => list.add(events, fresh),
            notice: (text) => list.notice(text),
            refusal: () => refusal(tenant),
        });
    }
    rememberInUrl(tenant);
    feed.open();
}

/**
 * @param {string} tenant
 * @param {import('./feed.js').State} state
 */
function showState(tenant, state) {
    picker.showConnected(state.name === 'offline' ? null : tenant);
    status.show(state);
}

/** So that the window can be bookmarked, and reloading it comes back to the same tenant. @param {string} tenant */
function rememberInUrl(tenant) {
    const url = new URL(location.href);
    url.searchParams.set('tenant', tenant);
    history.replaceState(null, '', url);
    document.title = `${tenant} · Carillon`;
}

async function start() {
    const wanted = new URLSearchParams(location.search).get('tenant');
    let tenants = USUAL_TENANTS;
    try {
        tenants = await listTenants();
    } catch (error) {
        if (!(error instanceof Problem)) {
            throw error;
        }
    }
    picker.offer(tenants, wanted);
    const tenant = wanted && picker.read();
    if (tenant) {
        connect(tenant);
    }
    document.body.dataset.ready = '';
}

window.addEventListener('online', () => feed?.retryNow());
document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') {
        feed?.retryNow();
    }
});

start();
