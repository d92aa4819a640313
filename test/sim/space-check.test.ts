import { expect, test } from 'vitest';
import type { SignedOrder } from '../../src/protocol/orders.ts';
import type { SpaceRecord } from '../../src/protocol/record.ts';
import type { EtcdProcess } from './model-etcd.ts';
import { createSpaceCheck } from './space-check.ts';

const ordered = (kind: string, args: object): SignedOrder => ({
  order: JSON.stringify({
    id: 'a',
    cluster: 'c',
    task: 't',
    epoch: 1,
    attempt: 1,
    generation: 1,
    counter: 1,
    kind,
    args,
  }),
  signature: '',
});
const disarm = ordered('disarm', { memberId: 'a1', alarm: 'NOSPACE' });

function check(inUse: number, space: Partial<SpaceRecord> | null = null) {
  const store = { revision: 100, usedBytes: inUse };
  const process = { data: { store }, commandLine: { quotaBytes: 1_000_000 } } as unknown as EtcdProcess;
  return createSpaceCheck({
    running: () => [process],
    space: () => space as SpaceRecord | null,
    keepRevisions: 10,
  });
}

test('what is compacted leaves the revisions that are kept', () => {
  expect(check(0).done(ordered('compact', { revision: '90' }))).toBeNull();
  expect(check(0).done(ordered('compact', { revision: '91' }))).toMatch(/newest is 100, 10 are kept/);
});

test('a full database keeps its alarm, unless an operator says otherwise', () => {
  expect(check(100_000).done(disarm)).toBeNull();
  expect(check(990_000).done(disarm)).toMatch(/every database is full/);
  const asked = { disarm: { alarm: 'NOSPACE', by: 'alice', waitedMs: 0 } } as const;
  expect(check(990_000, asked).done(disarm)).toBeNull();
});
