import { listTenants, Problem, refusal, sentence, settings } from './api.js';
import { Compose } from './compose.js';
import { byId } from './dom.js';
import { Feed } from './feed.js';
import { Keys } from './keys.js';
import { Panes } from './panes.js';
import { FeedPanel } from './panel.js';
import { Statistics } from './statistics.js';
import { StatusView } from './status.js';
import { dressAs, TENANT, TenantPicker } from './tenant.js';
import { Toasts } from './toast.js';
import { Views } from './views.js';

/** @typedef {import('./access.js').Access} Access */

const USUAL_TENANTS = ['tenant_a', 'tenant_b'];

/** The feed of the tenant that is shown; null until the first is. @type {Feed | null} */
let feed = null;

const toasts = new Toasts();
const status = new StatusView({ retry: () => feed?.retryNow(), use: (transport) => feed?.use(transport) });
export const panel = new FeedPanel(toasts);
const statistics = new Statistics((counts) => panel.offerTypes(counts));
const picker = new TenantPicker({ connect, disconnect: () => feed?.close(), forget });
const panes = new Panes();
const views = new Views();
const compose = new Compose(() => feed?.access ?? null, toasts);
new Keys({
    '/': () => focusOn('feed', 'search'),
    'n': () => focusOn('publish', 'message'),
    'p': () => {
        if (views.current === 'feed') {
            panel.togglePause();
        }
    },
});

/** @param {Access} access */
function connect(access) {
    const { tenant } = access;
    if (feed?.tenant !== tenant || feed.access.secret !== access.secret) {
        turnTo(tenant, access);
        feed = new Feed(access, status.transport, {
            state: (state) => showState(tenant, state),
            events: (events, fresh, live) => {
                panel.add(events, fresh);
                if (live) {
                    statistics.seen(events);
                }
            },
            notice: (text) => panel.notice(text),
            renewed: () => panel.sever(),
            skew: (ms) => statistics.setSkew(ms),
            refusal: () => refusal(access),
        });
    }
    rememberInUrl(tenant);
    feed.open();
}

/** The page is no longer to use the tenant's credential. @param {string} tenant */
function forget(tenant) {
    if (feed?.tenant === tenant) {
        turnTo(null, null);
        rememberInUrl(null);
    }
}

/**
 * Leaves the tenant that is shown for another, or for none.
 *
 * @param {string | null} tenant
 * @param {Access | null} access
 */
function turnTo(tenant, access) {
    feed?.close();
    feed = null;
    dressAs(tenant);
    panel.reset(access);
    statistics.reset(access);
    compose.turnTo(tenant);
}

/**
 * @param {string} tenant
 * @param {import('./feed.js').State} state
 */
function showState(tenant, state) {
    picker.showConnected(state.name === 'offline' ? null : tenant);
    const detail = sentence(state.detail ?? '');
    status.show({ ...state, detail });
    panel.absence = state.name === 'offline' ? detail || 'Not connected.' : '';
    if (state.name === 'live') {
        statistics.resume();
    }
}

/**
 * So that the window can be bookmarked, and reloading it comes back to the same tenant.
 *
 * @param {string | null} tenant
 */
function rememberInUrl(tenant) {
    const url = new URL(location.href);
    if (tenant === null) {
        url.searchParams.delete('tenant');
    } else {
        url.searchParams.set('tenant', tenant);
    }
    history.replaceState(null, '', url);
}

/**
 * @param {import('./panes.js').PaneName} pane
 * @param {string} id
 */
function focusOn(pane, id) {
    views.show('feed');
    panes.show(pane);
    byId(id, HTMLElement).focus();
}

/**
 * What to go by where the server doesn't say.
 *
 * @template T
 * @param {T} otherwise
 * @returns {(error: unknown) => T}
 */
function unlessProblem(otherwise) {
    return (error) => {
        if (!(error instanceof Problem)) {
            throw error;
        }
        return otherwise;
    };
}

/**
 * Offers the tenants, and connects to the one that is wanted where that can be.
 *
 * @param {string[] | null} tenants null where a credential is wanted
 * @param {string | null} wanted
 */
function take(tenants, wanted) {
    picker.offer(tenants, wanted);
    const access = wanted === null ? null : picker.read();
    if (access !== null) {
        connect(access);
    }
}

async function start() {
    const wanted = new URLSearchParams(location.search).get('tenant');
    const how = await settings().catch(unlessProblem(null));
    if (how !== null) {
        compose.maxChars = how.max_message_chars;
        picker.auth = how.auth;
    }
    if (how?.auth === 'open' && wanted !== null && TENANT.test(wanted)) {
        take([wanted], wanted); // the feed need not wait for the list
    }
    if (how === null || how.auth === 'open') {
        const tenants = await listTenants().catch(unlessProblem(USUAL_TENANTS));
        if (feed === null) {
            take(tenants, wanted);
        } else {
            picker.offer(tenants, feed.tenant);
        }
    } else {
        take(null, wanted);
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
