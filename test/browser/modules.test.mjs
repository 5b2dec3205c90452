// The page's modules that know nothing of a page, under node.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pageModules } from './support/modules.mjs';

let modules;

before(async () => {
    modules = await pageModules();
});

after(() => modules?.remove());

function event(seq, rest = {}) {
    return { id: `id-${seq}`, tenant_id: 'a', seq, type: 'message', message: `message ${seq}`, timestamp: '', ...rest };
}

function seqs(store) {
    return Array.from({ length: store.length }, (_, i) => store.at(i).event?.seq ?? store.at(i).notice);
}

test('the filter goes by words as the server does', async () => {
    const { Filter } = await modules.load('filter.js');
    const metadata = { 'order-id': 4711, to: ['Ann', null] };
    const paid = event(1, { message: 'Zahlung über 12.50 für Ölmühle', metadata });
    for (const [text, matches] of [
        ['', true], ['zahlung ', true], ['zahl ', false], ['zahl', true], ['ZAHL*  ', true], ['ahlung', false],
        ['ölmühle über ', true], ['ölmühle unter', false], ['12 50 ', true], ['order id 4711 ', true], ['ann ', true],
        ['(.*[', true], ['4711 nobody', false], ['message ', false],
    ]) {
        assert.equal(new Filter(text).matches(paid), matches, `“${text}”`);
    }
    assert.equal(new Filter('Need tea').q, 'Need tea*');
    assert.equal(new Filter('need* tea ').q, 'need* tea');
    assert.equal(new Filter('', ['x', 'message']).matches(paid), true);
    assert.equal(new Filter('', ['x']).matches(paid), false);
    assert.ok(new Filter(' . ').isEmpty);
});

test('the store is bounded, in order, and finds its rows by key', async () => {
    const { EventStore } = await modules.load('store.js');
    const { Filter } = await modules.load('filter.js');
    const store = new EventStore(160);
    for (let seq = 11; seq <= 400; seq++) {
        store.append({ event: event(seq, { type: seq % 2 === 0 ? 'even' : 'odd' }) });
        assert.ok(store.size <= 160);
    }
    assert.equal(store.at(0).event.seq, 400);
    assert.deepEqual(seqs(store), Array.from({ length: store.length }, (_, i) => 400 - i));
    for (const index of [0, 1, 70, store.length - 1]) {
        assert.equal(store.indexOf(store.at(index).key), index);
    }

    store.setFilter(new Filter('', ['even']));
    store.append({ event: event(401, { type: 'odd' }) });
    store.append({ notice: 'a gap' });
    store.append({ event: event(402, { type: 'even' }) });
    assert.deepEqual(seqs(store).slice(0, 4), [402, 'a gap', 400, 398]);
    const key = store.at(3).key;
    for (let seq = 403; seq <= 480; seq++) {
        store.append({ event: event(seq, { type: seq % 2 === 0 ? 'even' : 'odd' }) });
    }
    assert.equal(store.at(store.indexOf(key)).event.seq, 398);
    assert.ok(seqs(store).every((row) => row === 'a gap' || row % 2 === 0));
    assert.equal(store.events.held, store.size - 1); // a notice is no event
    assert.equal(store.events.passing, store.length - 1);
    store.setFilter(new Filter());
    assert.equal(store.length, store.size);
});

test('older events go below, for a filter apart from what is held', async () => {
    const { EventStore } = await modules.load('store.js');
    const { Filter } = await modules.load('filter.js');
    const store = new EventStore(100);
    assert.equal(store.oldestSeq, null);
    [50, 51, 52].forEach((seq) => store.append({ event: event(seq) }));
    assert.equal(store.oldestSeq, 50);
    store.appendOlder([49, 48].map((seq) => event(seq)));
    assert.deepEqual(seqs(store), [52, 51, 50, 49, 48]);

    store.setFilter(new Filter('message 51 '));
    store.appendOlder([event(7), event(3)]);
    assert.deepEqual(seqs(store), [51, 7, 3]);
    assert.equal(store.oldestSeq, 3);
    assert.deepEqual(store.events, { held: 5, passing: 1, found: 2 });
    assert.equal(store.size, 5);
    assert.equal(store.indexOf(store.at(2).key), 2);
    store.setFilter(new Filter());
    assert.deepEqual(seqs(store), [52, 51, 50, 49, 48]);
    assert.equal(store.oldestSeq, 48);
    store.clear();
    assert.equal(store.length, 0);
});

test('what was forgotten is no beginning', async (t) => {
    const { EventStore } = await modules.load('store.js');
    const { OlderPages } = await modules.load('older.js');
    const store = new EventStore(160);
    const states = [];
    const asked = [];
    t.mock.method(globalThis, 'fetch', async (path) => {
        const end = Number(new URL(path, 'http://x').searchParams.get('before'));
        asked.push(end);
        const events = Array.from({ length: Math.min(100, end - 1) }, (_, i) => event(end - 1 - i));
        return new Response(JSON.stringify({ events, has_more: end > 101 }));
    });
    const older = new OlderPages(store, { tenant: 'a', kind: 'name', secret: '' }, (state) => states.push(state));
    store.append({ event: event(1) });
    await older.load();
    assert.equal(states.at(-1), 'end');
    for (let seq = 2; seq <= 165; seq++) {
        store.append({ event: event(seq) });
    }
    assert.ok(store.oldestSeq > 1);
    const oldest = store.oldestSeq;
    await older.load();
    assert.deepEqual(asked, [oldest]);
    assert.equal(store.oldestSeq, 1);
    assert.equal(states.at(-1), 'end');
});

test('rows lie where the layout says, tall ones too', async () => {
    const { RowLayout } = await modules.load('layout.js');
    const layout = new RowLayout(10, 100, [[2, 50], [3, 20], [90, 11]]);
    assert.equal(layout.height, 1000 + 40 + 10 + 1);
    let at = 0;
    for (let index = 0; index < 100; index++) {
        assert.equal(layout.topOf(index), at);
        const height = layout.topOf(index + 1) - at;
        assert.equal(layout.indexAt(at), index);
        assert.equal(layout.indexAt(at + height - 1), index);
        at += height;
    }
    assert.equal(layout.indexAt(99_999), 99);
    assert.equal(layout.indexAt(-5), 0);
    assert.equal(new RowLayout(10, 0).indexAt(0), 0);
});

test('a stream is the same however it is cut', async () => {
    const { SseParser } = await modules.load('sse_parser.js');
    const stream = ': hello\n\nretry: 5\nevent: event_created\nid: 1\ndata: {"a":\ndata:1}\n\ndata: plain\r\n\r\n'
        + 'event: nothing\n\nevent:x\rdata:  two spaces\r\rdata: cut off';
    const wanted = [['event_created', '{"a":\n1}'], ['message', 'plain'], ['x', ' two spaces']];
    for (let size = 1; size <= stream.length; size++) {
        const heard = [];
        const parser = new SseParser((type, data) => heard.push([type, data]));
        for (let at = 0; at < stream.length; at += size) {
            parser.push(stream.slice(at, at + size));
        }
        assert.deepEqual(heard, wanted, `in pieces of ${size}`);
    }
});

test('a command for the shell says what was published, and no secret', async () => {
    const { curlOf, quote } = await modules.load('curl.js');
    assert.equal(quote('it\'s $HOME'), '\'it\'\\\'\'s $HOME\'');
    const access = { tenant: 'a', kind: 'bearer', secret: 'very' };
    const command = curlOf(event(1, { message: 'it\'s' }), access, 'http://h:1/x/');
    assert.ok(command.startsWith('curl \'http://h:1/x/api/v1/events\' '));
    assert.ok(command.includes('-H "Authorization: Bearer $CARILLON_CREDENTIAL"'));
    assert.ok(command.includes('--data-raw \'{"message":"it\'\\\'\'s","type":"message"}\''));
    assert.ok(!command.includes('very'));
    const open = curlOf(event(1), { tenant: 'a', kind: 'name', secret: '' }, 'http://h/');
    assert.ok(open.includes('-H \'X-Tenant-ID: a\'') && !open.includes('CREDENTIAL'));
});

test('credentials are kept by tenant, in the storage that is given, and forgotten from it', async () => {
    const { Keyring } = await modules.load('keyring.js');
    const { kindsOf, headersOf, parametersOf } = await modules.load('access.js');
    const items = new Map();
    const storage = {
        getItem: (name) => items.get(name) ?? null, setItem: (name, value) => items.set(name, value),
        removeItem: (name) => items.delete(name),
    };
    const ring = new Keyring(storage);
    ring.add({ tenant: 'b', kind: 'key', secret: 'car_1' });
    ring.add({ tenant: 'a', kind: 'token', secret: 't' });
    ring.add({ tenant: 'b', kind: 'key', secret: 'car_2' });
    assert.deepEqual(new Keyring(storage).tenants, ['a', 'b']);
    new Keyring(storage).add({ tenant: 'c', kind: 'token', secret: 'of another keyring' });
    ring.forget('c');
    assert.deepEqual(ring.tenants, ['a', 'b']);
    assert.equal(new Keyring(storage).find('b').secret, 'car_2');
    ring.forget('a');
    ring.forget('b');
    assert.equal(items.size, 0);
    items.set('carillon.credentials', '{oops');
    assert.deepEqual(new Keyring(storage).tenants, []);

    assert.equal(kindsOf('car_x')[0], 'key');
    assert.equal(kindsOf('eyJ.e-J.x_')[0], 'bearer');
    assert.equal(kindsOf('secret')[0], 'token');
    assert.deepEqual(kindsOf('car_x', 'token'), ['token']);
    assert.deepEqual(kindsOf('car_x', 'key'), ['key']);
    assert.equal(kindsOf('eyJ.e-J.x_', 'key')[0], 'bearer');
    assert.deepEqual(headersOf({ tenant: '', kind: 'key', secret: 'k' }), { 'X-API-Key': 'k' });
    assert.deepEqual(parametersOf({ tenant: 'a', kind: 'bearer', secret: 's' }), [['tenant', 'a'], ['token', 's']]);
    assert.deepEqual(parametersOf({ tenant: 'a', kind: 'key', secret: 's' }), [['tenant', 'a'], ['api_key', 's']]);
});

test('canaries are counted by what the server took, what came, and where', async () => {
    const { Tally, OVERDUE_MS } = await modules.load('isolation/tally.js');
    const tally = new Tally();
    const comes = (column, { message }, rest = {}) => tally.take(column,
        { type: 'event_created', event: event(1, { tenant_id: column, message, ...rest }) });
    assert.equal(tally.verdict(0, false), 'idle');
    assert.equal(tally.verdict(0, true), 'waiting');
    const [one, two, three] = ['a', 'a', 'b'].map((tenant) => tally.issue(tenant));
    assert.match(one.message, /^canary for a: [0-9a-f]{32}$/);
    assert.notEqual(one.token, two.token);
    assert.deepEqual(tally.read('a', 0), { posted: 2, failed: 0, expected: 0, seen: 0, missing: 0, leaked: 0 });
    assert.equal(comes('a', one), false); // before the server's answer
    tally.took(one.token, 0);
    tally.took(two.token, 0);
    assert.equal(comes('a', one), false); // once more is no second one
    assert.deepEqual(tally.read('a', 0), { posted: 2, failed: 0, expected: 2, seen: 1, missing: 0, leaked: 0 });
    assert.equal(tally.verdict(OVERDUE_MS - 1, false), 'waiting');
    assert.equal(tally.verdict(OVERDUE_MS, false), 'missing');
    assert.equal(tally.read('a', OVERDUE_MS).missing, 1);
    assert.equal(tally.take('a', { type: 'snapshot', events: [event(1, { message: two.message })] }), false);
    assert.equal(tally.verdict(OVERDUE_MS, false), 'holds');
    assert.equal(comes('b', { message: 'a canary for a: deadbeef, forged' }), false);
    assert.equal(comes('b', { message: 'x', tenant_id: 'b' }), false);

    assert.equal(comes('a', three), true);
    assert.deepEqual(tally.leak, { column: 'a', owner: 'b', seq: 1 });
    assert.equal(comes('a', { message: '' }, { tenant_id: 'c', metadata: { deep: [three.token] } }), true);
    assert.equal(tally.take('b', { type: 'connection_established', tenant_id: 'a' }), true);
    assert.deepEqual([tally.read('a', 0).leaked, tally.read('b', 0).leaked, tally.total(0).leaked], [2, 1, 3]);
    assert.equal(tally.verdict(0, true), 'leaked');

    tally.took(three.token, 0);
    tally.clear();
    assert.equal(tally.verdict(2 * OVERDUE_MS, false), 'idle');
    assert.equal(comes('b', three), false);
    assert.deepEqual(tally.read('b', 0), { posted: 0, failed: 0, expected: 1, seen: 1, missing: 0, leaked: 0 });
    const lost = tally.issue('b');
    tally.failed(lost.token);
    assert.deepEqual(tally.read('b', 0), { posted: 1, failed: 1, expected: 1, seen: 1, missing: 0, leaked: 0 });
    assert.equal(comes('b', lost), false); // it was taken after all: only the answer was lost
    assert.deepEqual(tally.read('b', 0), { posted: 1, failed: 0, expected: 2, seen: 2, missing: 0, leaked: 0 });
    assert.equal(tally.verdict(0, false, true), 'blind');
    const four = tally.issue('b');
    tally.took(four.token, 0);
    tally.drop('b');
    assert.equal(tally.verdict(OVERDUE_MS, false), 'holds');
});

test('rates, latencies and waits', async () => {
    const { Rate } = await modules.load('rate.js');
    const { Histogram } = await modules.load('histogram.js');
    const { backoff } = await modules.load('backoff.js');
    const rate = new Rate(4);
    rate.add(1, 1_700_000_000_100);
    rate.add(2, 1_700_000_000_900);
    rate.add(5, 1_700_000_002_000);
    assert.deepEqual(rate.read(1_700_000_002_500), [0, 3, 0, 5]);
    assert.deepEqual(rate.read(1_700_000_004_500), [0, 5, 0, 0]);
    assert.deepEqual(rate.read(1_700_000_900_000), [0, 0, 0, 0]);

    const histogram = new Histogram();
    assert.equal(histogram.quantile(0.5), null);
    [0, 1, 1.5, 5000].forEach((ms) => histogram.add(ms));
    assert.deepEqual([histogram.quantile(0.5), histogram.quantile(0.75), histogram.quantile(1)], [1, 2, Infinity]);

    assert.deepEqual([1, 2, 3, 20].map((failures) => backoff(failures, () => 0)), [250, 500, 1000, 15_000]);
    assert.deepEqual([1, 2, 3, 20].map((failures) => backoff(failures, () => 1)), [500, 1000, 2000, 30_000]);
});

test('names that are alike have hues that are not', async () => {
    const { hueOf } = await modules.load('hue.js');
    const hues = ['tenant_a', 'tenant_b', 'tenant_c'].map(hueOf);
    for (const [i, hue] of hues.entries()) {
        assert.ok(hue >= 0 && hue < 360);
        const other = hues[(i + 1) % hues.length];
        assert.ok(Math.min(Math.abs(hue - other), 360 - Math.abs(hue - other)) >= 20, String(hues));
    }
});
