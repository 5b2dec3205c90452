// The administration's modules that know nothing of a page, under node.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pageModules } from './support/modules.mjs';

let modules;

before(async () => {
    modules = await pageModules();
});

after(() => modules?.remove());

function counts(published, delivered = 0, bytes = 0) {
    return { published, delivered, published_bytes: bytes, delivered_bytes: 0 };
}

test('paces are what has come since the last look, a second', async () => {
    const { Paces } = await modules.load('admin/values.js');
    const paces = new Paces();
    paces.look([['a', counts(10)]], 100);
    assert.equal(paces.of('a'), null);
    paces.look([['a', counts(30, 4, 1000)], ['b', counts(5)]], 102);
    assert.deepEqual(paces.of('a'), { published: 10, delivered: 2, bytes: 500 });
    assert.equal(paces.of('b'), null);
    paces.look([['a', counts(30, 4, 1000)]], 102);
    assert.deepEqual(paces.of('a'), { published: 10, delivered: 2, bytes: 500 }, 'the same look twice');
    paces.look([['a', counts(30, 3, 1000)]], 104);
    assert.deepEqual(paces.of('a'), { published: 0, delivered: 0, bytes: 0 }, 'nothing is ever negative');
    paces.look([['a', counts(2)]], 1);
    assert.equal(paces.of('a'), null, 'another process');
    paces.look([['a', counts(4)]], 2);
    assert.equal(paces.of('a').published, 2);
    paces.look([], 3);
    paces.look([['a', counts(90)]], 4);
    assert.equal(paces.of('a'), null, 'it was gone');
});

test('numbers are short', async () => {
    const { bytes, pace } = await modules.load('admin/values.js');
    const say = (text) => text.replace(',', '.');
    for (const [n, text] of [[0, '0 B'], [999, '999 B'], [1000, '1 KB'], [1234, '1.2 KB'], [12_345, '12 KB'],
        [999_499, '999 KB'], [999_500, '1 MB'], [5e9, '5 GB'], [2e18, '2000 PB']]) {
        assert.equal(say(bytes(n)).replace('.000', '000'), text);
    }
    for (const [n, text] of [[0, '0'], [0.04, '0'], [0.25, '0.3'], [9.94, '9.9'], [12.4, '12']]) {
        assert.equal(say(pace(n)), text);
    }
});

test('only what has changed is sent', async () => {
    const { changesOf, textsOf } = await modules.load('admin/values.js');
    const limits = { events_per_second: 5, bytes_per_second: null, connections: null, message_bytes: null, history: 9 };
    const was = textsOf({ name: 'Acme', limits, retention: '24h/' });
    assert.deepEqual(was, { 'name': 'Acme', 'limits.events_per_second': '5', 'limits.bytes_per_second': '',
        'limits.connections': '', 'limits.message_bytes': '', 'limits.history': '9', 'retention': '24h/' });
    assert.deepEqual(changesOf(was, was), {});
    assert.deepEqual(changesOf(was, { ...was, 'name': ' Acme 2 ', 'limits.history': ' ', 'retention': '' }),
        { name: 'Acme 2', retention: null, limits: { history: null } });
    assert.deepEqual(changesOf(was, { ...was, 'limits.connections': '7' }), { limits: { connections: 7 } });
    for (const wrong of ['-1', '1.5', 'many', '1e3', '9999999999999999']) {
        assert.deepEqual(changesOf(was, { ...was, 'limits.connections': wrong }),
            { limits: { connections: wrong } }, 'the server says what is wrong with it');
    }
});
