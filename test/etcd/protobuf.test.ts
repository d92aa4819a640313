import fc from 'fast-check';
import { expect, test } from 'vitest';
import { statusMethod } from '../../src/etcd/messages.ts';
import { EtcdError } from '../../src/etcd/port.ts';
import { decodeFields, encodeFields, textsOf, uint64Of } from '../../src/etcd/protobuf.ts';

test('64-bit integers, texts and flags come back as they were, repeated ones in order', () => {
  const bytes = encodeFields([
    [1, 2n ** 64n - 1n],
    [2, 'a'],
    [2, 'ü'],
    [3, true],
    [4, 0n],
  ]);
  const fields = decodeFields(bytes);
  expect(uint64Of(fields, 1)).toBe(2n ** 64n - 1n);
  expect(textsOf(fields, 2)).toEqual(['a', 'ü']);
  expect(uint64Of(fields, 3)).toBe(1n);
  expect(fields.has(4)).toBe(false);
});

test('no bytes whatever do more than throw a typed error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        statusMethod.decode(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(EtcdError);
      }
    }),
  );
});

test('a status is read with hex ids, decimal positions and no leader', () => {
  const header = encodeFields([
    [1, 0xe013e6057f0d5f2fn],
    [2, 0x0fn],
    [3, 42n],
  ]);
  const bytes = encodeFields([
    [1, header],
    [2, '3.5.30'],
    [3, 20480n],
    [5, 9n],
    [6, 3n],
    [7, 8n],
    [8, 'etcdserver: no leader'],
    [9, 16384n],
    [10, true],
    [12, 99n],
  ]);
  expect(statusMethod.decode(bytes)).toEqual({
    version: '3.5.30',
    clusterId: 'e013e6057f0d5f2f',
    memberId: 'f',
    leaderId: null,
    isLearner: true,
    raftTerm: '3',
    raftIndex: '9',
    raftAppliedIndex: '8',
    revision: '42',
    dbSizeBytes: 20480,
    dbSizeInUseBytes: 16384,
    errors: ['etcdserver: no leader'],
  });
});
