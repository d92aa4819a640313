import { describe, expect, test } from 'vitest';
import { createArchive, openArchive } from '../../src/backup/archive.ts';
import { ArchiveError } from '../../src/backup/errors.ts';
import { findLogEnd } from '../../src/backup/log-end.ts';
import { sealedStore } from '../../src/backup/sealed-store.ts';
import { archiveKeyOf, SEAL_FRAME_BYTES } from '../../src/backup/sealing.ts';
import type { ArchiveStore, ReadOptions } from '../../src/backup/store-port.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { createChance, type RandomStream } from '../sim/prng.ts';
import { keyOf, sampleKey } from './sample-key.ts';
import { contentOf, never, sampleArchive, sampleRevisions, sampleWriter, shown } from './sample-log.ts';

const MIB = SEAL_FRAME_BYTES;
const HEADER_BYTES = 64;
const TAG_BYTES = 16;
const put = { ifAbsent: true, signal: never };

function setUp() {
  const inner = createMemoryArchiveStore();
  return { inner, store: sealedStore(inner, sampleKey) };
}
function bytesOf(random: RandomStream, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 1 + Math.floor(sizeBytes / 5_000))
    bytes[at] = random.integer(0, 255);
  return bytes;
}

/** What a reader gets: all that was given, and what it ended with, `null` when it ended well. */
async function readBack(
  store: ArchiveStore,
  name: string,
  range?: ReadOptions['range'],
): Promise<{ bytes: Buffer; error: ArchiveError | null }> {
  const parts: Uint8Array[] = [];
  try {
    const options = range === undefined ? { signal: never } : { range, signal: never };
    for await (const part of store.read(name, options)) parts.push(part);
    return { bytes: Buffer.concat(parts), error: null };
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    return { bytes: Buffer.concat(parts), error };
  }
}
const isBeginning = (part: Buffer, whole: Buffer): boolean => part.equals(whole.subarray(0, part.byteLength));

test('sizes and ranges are those of the content, whatever its length', async () => {
  const random = createChance(1).stream('sizes');
  const { inner, store } = setUp();
  const sizes = [
    0,
    1,
    15,
    16,
    17,
    MIB - 17,
    MIB - 16,
    MIB - 1,
    MIB,
    MIB + 1,
    2 * MIB - 1,
    2 * MIB,
    3 * MIB + 5,
  ];
  for (const sizeBytes of [...sizes, ...Array.from({ length: 10 }, () => random.integer(0, 3 * MIB))]) {
    const name = `object-${sizeBytes}`;
    const bytes = bytesOf(random, sizeBytes);
    const parts = async function* () {
      await Promise.resolve();
      for (let at = 0; at < sizeBytes; at += 300_007) yield bytes.subarray(at, at + 300_007);
    };
    expect(await store.put(name, parts(), put)).toEqual({ key: name, sizeBytes });
    expect(await store.head(name, never)).toEqual({ key: name, sizeBytes });
    const frames = Math.max(1, Math.ceil(sizeBytes / MIB));
    expect(inner.objects.get(name)?.byteLength).toBe(HEADER_BYTES + sizeBytes + frames * TAG_BYTES);
    expect((await readBack(store, name)).bytes.equals(bytes)).toBe(true);
    for (let round = 0; round < 20; round += 1) {
      const offset = random.integer(0, sizeBytes);
      const length = random.integer(0, sizeBytes - offset);
      const got = await readBack(store, name, { offset, length });
      expect(got.bytes.equals(bytes.subarray(offset, offset + length))).toBe(true);
    }
  }
});

test('a range reads the frames that it touches, each once as long as they are near', async () => {
  const { inner, store } = setUp();
  const bytes = bytesOf(createChance(2).stream('bytes'), 8 * MIB + 100);
  await store.put('full', bytes, put);
  let readBytes = 0;
  const counted: ArchiveStore = {
    ...inner,
    async *read(key, options) {
      for await (const part of inner.read(key, options)) {
        readBytes += part.byteLength;
        yield part;
      }
    },
  };
  const reader = sealedStore(counted, sampleKey);
  for (let offset = 0; offset + 65_536 <= bytes.byteLength; offset += 65_536) {
    const got = await readBack(reader, 'full', { offset, length: 65_536 });
    expect(got.bytes.equals(bytes.subarray(offset, offset + 65_536))).toBe(true);
  }
  expect(readBytes).toBe(HEADER_BYTES + 8 * (MIB + TAG_BYTES));
});

test('nothing of the content is seen, and no object is like another of the same content', async () => {
  const { inner, store } = setUp();
  const text = Buffer.from('the quick brown fox jumps over the lazy dog');
  await store.put('a', text, put);
  await store.put('b', text, put);
  const grown = await store.growing?.create('c', text, never);
  await grown?.append(text);
  const stored = [...inner.objects.values()];
  for (const bytes of stored) expect(bytes.includes(Buffer.from('quick'))).toBe(false);
  const bodies = stored.map((bytes) => bytes.subarray(HEADER_BYTES).toString('hex'));
  expect(new Set(bodies).size).toBe(3);
});

describe('an object that was put', () => {
  test('is refused with any byte altered, cut anywhere, or longer', async () => {
    const { inner, store } = setUp();
    const bytes = Buffer.from('{ "format": "etcd-mesos archive" }');
    await store.put('a', bytes, put);
    const sealed = Buffer.from(inner.objects.get('a') ?? '');
    const refused = async (altered: Buffer): Promise<void> => {
      inner.objects.set('a', altered);
      const got = await readBack(store, 'a');
      expect(got.error).toBeInstanceOf(ArchiveError);
      expect(got.bytes.byteLength).toBe(0);
    };
    for (let at = 0; at < sealed.byteLength; at += 1) {
      for (const mask of [1, 0x80, 0xff]) {
        const altered = Buffer.from(sealed);
        altered[at] = (altered[at] ?? 0) ^ mask;
        await refused(altered);
      }
    }
    for (let length = 0; length < sealed.byteLength; length += 1) await refused(sealed.subarray(0, length));
    await refused(Buffer.concat([sealed, Buffer.alloc(1)]));
    await refused(Buffer.concat([sealed, sealed]));
    inner.objects.set('a', sealed);
    expect((await readBack(store, 'a')).bytes.equals(bytes)).toBe(true);
  });

  test('is given up to the first frame that is not in its place, and no byte of that', async () => {
    const random = createChance(3).stream('frames');
    const { inner, store } = setUp();
    const bytes = bytesOf(random, 4 * MIB + 77);
    await store.put('a', bytes, put);
    await store.put('twin', bytes, put);
    const sealed = Buffer.from(inner.objects.get('a') ?? '');
    const header = sealed.subarray(0, HEADER_BYTES);
    const frame = (number: number, of = sealed): Buffer => {
      const at = HEADER_BYTES + number * (MIB + TAG_BYTES);
      return of.subarray(at, at + MIB + TAG_BYTES);
    };
    const twin = Buffer.from(inner.objects.get('twin') ?? '');
    const cases: Readonly<Record<string, readonly Buffer[]>> = {
      'two swapped': [frame(0), frame(2), frame(1), frame(3), frame(4)],
      'one left out': [frame(0), frame(2), frame(3), frame(4)],
      'one twice': [frame(0), frame(1), frame(1), frame(2), frame(3), frame(4)],
      'the last left out': [frame(0), frame(1), frame(2), frame(3)],
      'the last one alone': [frame(4)],
      'none at all': [],
      'one of its twin': [frame(0), frame(1, twin), frame(2), frame(3), frame(4)],
    };
    for (const [name, frames] of Object.entries(cases)) {
      inner.objects.set('a', Buffer.concat([header, ...frames]));
      const { error, bytes: got } = await readBack(store, 'a');
      expect(error, name).toMatchObject({ code: 'corrupt', message: expect.stringContaining('a in memory') });
      expect(isBeginning(got, bytes), name).toBe(true);
    }
    for (let round = 0; round < 60; round += 1) {
      const altered = Buffer.from(sealed);
      const at = random.integer(0, sealed.byteLength - 1);
      if (round % 2 === 0) altered[at] = (altered[at] ?? 0) ^ (1 << random.integer(0, 7));
      inner.objects.set('a', round % 2 === 0 ? altered : altered.subarray(0, at));
      const whole = await readBack(store, 'a');
      expect(whole.error).toBeInstanceOf(ArchiveError);
      expect(isBeginning(whole.bytes, bytes)).toBe(true);
      // Opened anew, as nothing of it is remembered then.
      const offset = random.integer(0, bytes.byteLength - 1);
      const length = random.integer(1, bytes.byteLength - offset);
      const reader = sealedStore(inner, sampleKey);
      const part = await readBack(reader, 'a', { offset, length }).catch(() => null);
      if (part !== null) expect(isBeginning(part.bytes, bytes.subarray(offset, offset + length))).toBe(true);
    }
  });

  test('is refused under another name', async () => {
    const { inner, store } = setUp();
    await store.put('epochs/1/a', Buffer.from('x'), put);
    inner.objects.set('epochs/2/a', inner.objects.get('epochs/1/a') ?? Buffer.alloc(0));
    expect((await readBack(store, 'epochs/2/a')).error).toMatchObject({ code: 'corrupt' });
    expect((await readBack(store, 'epochs/2/a', { offset: 0, length: 1 })).error).toMatchObject({
      code: 'corrupt',
    });
  });
});

describe('an object that grows', () => {
  const grow = async () => {
    const { inner, store } = setUp();
    const random = createChance(4).stream('growing');
    const parts = [20, 1, 300, 0, 7].map((sizeBytes) => bytesOf(random, sizeBytes));
    const object = await store.growing?.create('log', parts[0] ?? Buffer.alloc(0), never);
    for (const part of parts.slice(1)) await object?.append(part);
    const frames = parts.filter(({ byteLength }) => byteLength > 0);
    return { inner, store, object, frames, bytes: Buffer.concat(parts) };
  };

  test('is shorter where it was cut, and its size is that of what is read', async () => {
    const { inner, store, frames, bytes } = await grow();
    const sealed = Buffer.from(inner.objects.get('log') ?? '');
    let [sealedBytes, plainBytes] = [HEADER_BYTES, 0];
    const ends = frames.map(({ byteLength }) => {
      sealedBytes += byteLength + 32;
      plainBytes += byteLength;
      return { sealedBytes, plainBytes };
    });
    expect(sealed.byteLength).toBe(sealedBytes);
    for (let length = 0; length <= sealed.byteLength; length += 1) {
      inner.objects.set('log', sealed.subarray(0, length));
      const whole = ends.findLast((end) => end.sealedBytes <= length);
      const got = await readBack(store, 'log');
      if (whole === undefined) {
        expect(got.error).toBeInstanceOf(ArchiveError);
        expect(got.bytes.byteLength).toBe(0);
        continue;
      }
      expect(got.error).toBeNull();
      expect(got.bytes.equals(bytes.subarray(0, whole.plainBytes))).toBe(true);
      expect((await store.head('log', never))?.sizeBytes).toBe(whole.plainBytes);
      const range = { offset: whole.plainBytes - 3, length: 3 };
      expect((await readBack(store, 'log', range)).bytes.equals(got.bytes.subarray(-3))).toBe(true);
    }
  });

  test('gives no altered byte: it is refused there, or ends before', async () => {
    const { inner, store, bytes } = await grow();
    const sealed = Buffer.from(inner.objects.get('log') ?? '');
    for (let at = 0; at < sealed.byteLength; at += 1) {
      for (const mask of [1, 0x10, 0xff]) {
        const altered = Buffer.from(sealed);
        altered[at] = (altered[at] ?? 0) ^ mask;
        inner.objects.set('log', altered);
        const got = await readBack(store, 'log');
        expect(isBeginning(got.bytes, bytes)).toBe(true);
        expect(got.bytes.byteLength).toBeLessThan(bytes.byteLength);
        if (at < HEADER_BYTES) expect(got.error).toBeInstanceOf(ArchiveError);
      }
    }
  });

  test('takes more than a frame at once', async () => {
    const { store, object, bytes } = await grow();
    const more = bytesOf(createChance(5).stream('more'), 2 * MIB + 9);
    await object?.append(more);
    expect((await readBack(store, 'log')).bytes.equals(Buffer.concat([bytes, more]))).toBe(true);
    expect((await store.head('log', never))?.sizeBytes).toBe(bytes.byteLength + more.byteLength);
  });

  test('is a log that is read as it grows, and taken over after a crash has cut it', async () => {
    const { inner, store } = setUp();
    const place = await sampleArchive(store);
    const old = await sampleWriter(place, 1, { segmentBytesMax: 1e9 });
    const ends: number[] = [];
    const [name = ''] = [...inner.objects.keys()].filter((key) => key.includes('/log/'));
    for (let revision = 1n; revision <= 30n; revision += 1n) {
      await old.write({ atMs: 1, leases: [], revisions: sampleRevisions(revision, revision) });
      expect(shown((await contentOf(place)).revisions)).toEqual(shown(sampleRevisions(1n, revision)));
      ends.push(inner.objects.get(name)?.byteLength ?? 0);
    }
    const sealed = inner.objects.get(name) ?? Buffer.alloc(0);
    const cut = (ends[19] ?? 0) + 11;
    for (const tail of [sealed.subarray(cut - 5, cut), Buffer.alloc(400), Buffer.alloc(400, 0xab)]) {
      inner.objects.set(name, Buffer.concat([sealed.subarray(0, ends[19]), tail]));
      expect(shown((await contentOf(place)).revisions)).toEqual(shown(sampleRevisions(1n, 20n)));
    }
    const young = await sampleWriter(place, 2);
    expect(young.position.lastRevision).toBe(20n);
    await young.write({ atMs: 1, leases: [], revisions: sampleRevisions(21n, 40n) });
    expect(shown((await contentOf(place)).revisions)).toEqual(shown(sampleRevisions(1n, 40n)));
  });
});

test('a log of which one segment is not even known as ours any more ends and is taken over as one that is damaged', async () => {
  const inner = createMemoryArchiveStore({ grows: false });
  const place = await sampleArchive(sealedStore(inner, sampleKey));
  const log = await sampleWriter(place, 1);
  for (let revision = 1n; revision <= 6n; revision += 1n) {
    await log.write({ atMs: 1, leases: [], revisions: sampleRevisions(revision, revision) });
  }
  const whole = new Map(inner.objects);
  const names = [...whole.keys()].filter((key) => key.includes('/log/'));
  // The magic, and the id of the key.
  for (const at of [3, 26]) {
    for (const [index, name] of names.entries()) {
      inner.objects.clear();
      for (const [key, bytes] of whole) inner.objects.set(key, Buffer.from(bytes));
      const bytes = inner.objects.get(name) ?? expect.fail('it is there');
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      const isLast = index === names.length - 1;
      const { position, rest } = await findLogEnd(place.archive, place.epoch, never);
      expect(position.lastRevision, `byte ${at} of ${name}`).toBe(isLast ? 5n : 6n);
      expect(rest).toBeNull();
      const young = await sampleWriter(place, 2);
      const next = young.position.lastRevision + 1n;
      await young.write({ atMs: 1, leases: [], revisions: sampleRevisions(next, 9n) });
      if (isLast) expect(shown((await contentOf(place)).revisions)).toEqual(shown(sampleRevisions(1n, 9n)));
      else await expect(contentOf(place)).rejects.toMatchObject({ message: expect.stringContaining(name) });
    }
  }
});

describe('a key that is not the archive’s', () => {
  const archive = { archiveId: 'a1', owner: 'etcd', atMs: 1 };
  const unknown = { archiveId: null, owner: null };

  test('another one is told apart by its id', async () => {
    const { inner, store } = setUp();
    await createArchive(store, archive, never);
    const other = keyOf('f'.repeat(64));
    expect(other.id).toMatch(/^[0-9a-f]{16}$/);
    const opened = openArchive(sealedStore(inner, other), unknown, never);
    await expect(opened).rejects.toMatchObject({
      code: 'wrong-key',
      message: `archive.json in memory is encrypted with key ${sampleKey.id}, given was key ${other.id}`,
    });
    await expect(createArchive(sealedStore(inner, other), archive, never)).rejects.toMatchObject({
      code: 'wrong-key',
    });
  });

  test('none at all', async () => {
    const { inner, store } = setUp();
    await createArchive(store, archive, never);
    await expect(openArchive(inner, unknown, never)).rejects.toMatchObject({
      code: 'encrypted',
      message: expect.stringContaining(sampleKey.id),
      hint: expect.stringContaining('--key-file'),
    });
  });

  test('one where nothing is encrypted', async () => {
    const { inner, store } = setUp();
    await createArchive(inner, archive, never);
    for (const opened of [openArchive(store, unknown, never), createArchive(store, archive, never)]) {
      await expect(opened).rejects.toMatchObject({ code: 'not-encrypted' });
    }
  });

  test('what is no key', () => {
    for (const text of ['', 'a'.repeat(63), 'a'.repeat(65), `${'a'.repeat(63)}g`]) {
      expect(archiveKeyOf(text)).toBeNull();
    }
    expect(JSON.stringify(sampleKey)).not.toContain('0123456789abcdef');
  });
});
