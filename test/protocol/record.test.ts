import { describe, expect, it } from 'vitest';
import { etcdOptions } from '../../src/protocol/etcd-options.ts';
import {
  parseRecord,
  RECORD_SCHEMA_VERSION,
  type Rollout,
  serializeRecord,
} from '../../src/protocol/record.ts';
import { record, seat } from '../framework/fixtures.ts';

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** A record as schema 2 had it. */
function asSchema2(): Record<string, unknown> {
  const {
    sizeOption: _o,
    scaling: _s,
    disruption: _d,
    rollout: _r,
    plans: _p,
    space: _x,
    archive: _h,
    upgradeFull: _u,
    ...whole
  } = record();
  const { paused: _, ...old } = seat();
  return { ...whole, schemaVersion: 2, seats: [old] };
}

/** A record as schema 1 had it. */
function asSchema1(): Record<string, unknown> {
  const { uninstall: _u, ...whole } = asSchema2();
  const [withAll] = whole['seats'] as Record<string, unknown>[];
  const {
    storage: _s,
    wal: _w,
    nameShare: _n,
    nameTask: _t,
    region: _r,
    attributes: _a,
    ...old
  } = withAll ?? {};
  return {
    ...whole,
    schemaVersion: 1,
    seats: [old],
    leaving: [{ seat: { ...old, id: 'etcd-0-old' }, reason: 'replaced', sinceMs: 1 }],
  };
}

const ROLLOUT: Rollout = {
  id: 'rollout-1',
  target: {
    artifact: 'checkout',
    etcd: etcdOptions.parse({}),
    resources: { cpus: 1, memMb: 512, diskMb: 1024 },
  },
  scope: 'all',
  by: 'alice',
  openedAtMs: 1,
  canary: 'held',
  forced: false,
  step: { slot: 'etcd-0', seat: 'seat-1', waitedMs: 5 },
  noRoom: [],
  steadyMs: 0,
  failed: { slot: 'etcd-0', message: 'it did not serve', atMs: 2 },
};

describe('a stored record', () => {
  it('is read as it was written', () => {
    const written = record({ seats: [seat()] });
    expect(parseRecord(serializeRecord(written))).toEqual(written);
  });

  it('of schema 1 is migrated: its seats are persistent, without name tasks', () => {
    const migrated = parseRecord(bytesOf(asSchema1()));
    expect(migrated).toEqual(
      record({
        seats: [seat()],
        leaving: [{ seat: seat({ id: 'etcd-0-old' }), reason: 'replaced', sinceMs: 1 }],
      }),
    );
  });

  it('of schema 2 is migrated: no operation is under way', () => {
    expect(parseRecord(bytesOf(asSchema2()))).toEqual(record({ seats: [seat()] }));
  });

  it('is written in schema 2 while that can say it all', () => {
    const at = (changes: Parameters<typeof record>[0]): unknown =>
      JSON.parse(new TextDecoder().decode(serializeRecord(record(changes))));
    expect(at({ seats: [seat()] })).toEqual(asSchema2());
    const leaving = seat({ lost: { cause: 'moved', message: 'm' } });
    const paused = { by: 'alice', atMs: 1 };
    for (const changes of [
      { sizeOption: 5 },
      { scaling: { from: 5, by: 'alice', atMs: 1, waitedMs: 0, standInMs: 0 } },
      { seats: [seat({ paused })] },
      { leaving: [{ seat: leaving, reason: 'r', sinceMs: 1 }] },
      { rollout: ROLLOUT },
      {
        space: {
          round: null,
          relief: null,
          hashes: null,
          disarm: { alarm: 'NOSPACE' as const, by: 'alice', waitedMs: 0 },
        },
      },
      { archive: { id: 'archive-1', place: '/mnt/archive', made: false } },
      { upgradeFull: { rollout: 'rollout-1', etcd: '3.5.30', atMs: 1 } },
      { plans: { paused: [{ plan: 'recovery' as const, ...paused }], forced: [] } },
    ]) {
      expect(at(changes)).toMatchObject({ schemaVersion: 3 });
      expect(parseRecord(serializeRecord(record(changes)))).toEqual(record(changes));
    }
  });

  it.each([
    ['no object', []],
    ['seats that are no list', { ...asSchema1(), seats: 7 }],
    ['a leaving seat that is none', { ...asSchema1(), leaving: [3] }],
    ['a field that schema 1 did not have', { ...asSchema1(), uninstalling: true }],
  ])('with %s is refused', (_what, value) => {
    expect(() => parseRecord(bytesOf(value))).toThrow(expect.objectContaining({ code: 'corrupt' }));
  });

  it('of a newer schema is refused, not rewritten', () => {
    const newer = { ...record(), schemaVersion: RECORD_SCHEMA_VERSION + 1 };
    expect(() => parseRecord(bytesOf(newer))).toThrow(expect.objectContaining({ code: 'newer-schema' }));
  });
});
