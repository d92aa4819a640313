import { describe, expect, it } from 'vitest';
import { type EtcdBackend, openBackend } from '../../../src/backup/backend/backend.ts';
import { crc32c } from '../../../src/backup/backend/crc32c.ts';
import { hashKv } from '../../../src/backup/backend/hash-kv.ts';
import { listKeys, lookUp, revisionsOf } from '../../../src/backup/backend/history.ts';
import { checkedDatabase } from '../../../src/backup/backend/snapshot-file.ts';
import { readEvent } from '../../../src/backup/events.ts';
import { RECORDED_VERSIONS, type RecordedVersion, recordedHashes, recordedSnapshot } from '../fixtures.ts';
import { createMemoryFile } from '../memory-file.ts';

const open = async (version: RecordedVersion): Promise<EtcdBackend> =>
  await openBackend(await checkedDatabase(createMemoryFile(recordedSnapshot(version))));
const named = async (backend: EtcdBackend, revision?: bigint): Promise<readonly string[]> =>
  (await listKeys(backend, { from: Buffer.of() }, revision)).map(
    ({ key, createRevision, modRevision, version, valueBytes }) =>
      `${key.toString('latin1')} ${createRevision} ${modRevision} ${version} ${valueBytes}`,
  );

describe.for(RECORDED_VERSIONS)('the backend of etcd %s', (version) => {
  it('says what it is and where its store stands', async () => {
    const backend = await open(version);
    expect(backend).toMatchObject({
      schema: version.slice(0, 3),
      revision: 15n,
      compactRevision: 7n,
      finishedCompactRevision: 7n,
    });
    expect(backend.consistentIndex).toBeGreaterThan(15n);
    expect(backend.authRevision).toBe(3n);
    expect(await backend.alarms()).toEqual([]);
    const [member] = await backend.members();
    expect(JSON.parse(member?.description ?? '')).toMatchObject({ name: 'm0' });
    const ttls: bigint[] = [];
    for await (const { ttlSeconds } of backend.leases()) ttls.push(ttlSeconds);
    expect(ttls.toSorted()).toEqual([3600n, 7200n]);
  });

  it('lists its keys, now and as they were', async () => {
    const backend = await open(version);
    const bin = 'bin\u0001\u00ff 10 10 1 1';
    expect(await named(backend)).toEqual([
      bin,
      'c 11 12 2 2',
      'd 15 15 1 2',
      'leased 5 5 1 1',
      'leased2 13 13 1 1',
      't/2 8 8 1 5',
    ]);
    expect(await named(backend, 7n)).toEqual(['a 2 4 2 1', 'b 3 3 1 0', 'leased 5 5 1 1']);
    expect(await named(backend, 11n)).toEqual([
      'b 3 3 1 0',
      bin,
      'c 11 11 1 2',
      'leased 5 5 1 1',
      't/2 8 8 1 5',
    ]);
    await expect(named(backend, 6n)).rejects.toMatchObject({ code: 'compacted' });
    await expect(named(backend, 16n)).rejects.toMatchObject({ code: 'future-revision' });
    const inRange = await listKeys(backend, { from: Buffer.from('c'), to: Buffer.from('leased2') });
    expect(inRange.map(({ key }) => key.toString())).toEqual(['c', 'd', 'leased']);
  });

  it('finds a key, now and as it was', async () => {
    const backend = await open(version);
    expect(await lookUp(backend, Buffer.from('c'))).toMatchObject({ version: 2n, value: Buffer.from('c2') });
    expect(await lookUp(backend, Buffer.from('c'), 11n)).toMatchObject({
      version: 1n,
      value: Buffer.from('c1'),
    });
    expect(await lookUp(backend, Buffer.from('a'))).toBeNull();
    expect(await lookUp(backend, Buffer.from('a'), 8n)).toMatchObject({ value: Buffer.from('2') });
    expect((await lookUp(backend, Buffer.from('leased2')))?.lease).toBeGreaterThan(0n);
    expect(await lookUp(backend, Buffer.from('nothing'))).toBeNull();
  });

  it('tells what each revision did, as a watch does', async () => {
    const backend = await open(version);
    const told: string[] = [];
    for await (const { revision, events } of revisionsOf(backend, { from: 8n })) {
      const each = events.map(readEvent).map(({ type, key, modRevision }) => `${type} ${key} ${modRevision}`);
      told.push(`${revision}: ${each.join(', ').replaceAll(/[^ -~]+/g, '?')}`);
    }
    expect(told).toEqual([
      '8: put t/2 8',
      '9: delete a 9',
      '10: put bin? 10',
      '11: put c 11',
      '12: put c 12',
      '13: put leased2 13',
      '14: delete b 14',
      '15: put d 15',
    ]);
    await expect(revisionsOf(backend, { from: 7n }).next()).rejects.toMatchObject({ code: 'compacted' });
  });

  it('has the hash that its HashKV answered, at every revision that is left', async () => {
    const backend = await open(version);
    const recorded = Object.entries(recordedHashes(version)).filter(([, at]) => at?.compactRevision === '7');
    expect(recorded.length).toBe(8);
    for (const [text, at] of recorded) {
      const revision = BigInt(text);
      expect(await hashKv(backend, { revision })).toEqual({ hash: at?.hash, revision, compactRevision: 7n });
    }
    await expect(hashKv(backend, { revision: 6n })).rejects.toMatchObject({ code: 'compacted' });
    await expect(hashKv(backend, { compactRevision: 5n })).rejects.toMatchObject({ code: 'compacted' });
    await expect(hashKv(backend, { revision: 16n })).rejects.toMatchObject({ code: 'future-revision' });
  });

  it('is not taken from a snapshot that was altered, or has no hash', async () => {
    const snapshot = recordedSnapshot(version);
    for (const at of [0, 5000, snapshot.length - 40, snapshot.length - 1]) {
      const altered = Buffer.from(snapshot);
      altered[at] = (altered[at] ?? 0) ^ 1;
      await expect(checkedDatabase(createMemoryFile(altered))).rejects.toMatchObject({
        code: 'hash-mismatch',
      });
    }
    const bare = createMemoryFile(snapshot.subarray(0, -32));
    await expect(checkedDatabase(bare)).rejects.toMatchObject({ code: 'hash-missing' });
  });
});

it('CRC-32C of what its definition names', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  const text = Buffer.from('The quick brown fox jumps over the lazy dog');
  for (let cut = 0; cut <= text.length; cut += 1) {
    expect(crc32c(text.subarray(cut), crc32c(text.subarray(0, cut)))).toBe(0x22620404);
  }
});
