import { describe, expect, it } from 'vitest';
import { parseRecord, RECORD_SCHEMA_VERSION, serializeRecord } from '../../src/protocol/record.ts';
import { record, seat } from '../framework/fixtures.ts';

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** A record as schema 1 had it. */
function asSchema1(): Record<string, unknown> {
  const { uninstall: _u, ...whole } = record();
  const { storage: _s, wal: _w, nameShare: _n, nameTask: _t, region: _r, attributes: _a, ...old } = seat();
  return {
    ...whole,
    schemaVersion: 1,
    seats: [old],
    leaving: [{ seat: { ...old, id: 'etcd-0-old' }, reason: 'replaced', sinceMs: 1 }],
  };
}

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
