import { describe, expect, test } from 'vitest';
import { decommissionPhases } from '../../src/framework/decommission-plan.ts';
import { publishedEndpointsOf } from '../../src/framework/publish.ts';
import type { ClusterRecord, Seat } from '../../src/protocol/record.ts';
import { record, seat } from './fixtures.ts';

const scaling = { from: 5, by: 'alice', atMs: 1, waitedMs: 0, standInMs: 0 };
const lost = { cause: 'surplus' as const, message: 'etcd-4 is beyond the size, 3' };
const at = (index: number, changes: Partial<Seat> = {}) => {
  const data = { epoch: 1, attempt: 1, started: true, memberId: `${index}`, floor: null };
  return seat({ id: `s${index}`, slot: `etcd-${index}`, host: `10.0.0.${index}`, data, ...changes });
};
const intent = { slot: 'etcd-4', add: null, committed: false } as unknown as ClusterRecord['intent'];

const shown = (ours: ClusterRecord) =>
  decommissionPhases(ours, null).map(
    ({ name, steps }) => `${name}: ${steps.map(({ status }) => status).join(' ')}`,
  );

describe('the plan decommission', () => {
  test('has no phases while no slot is beyond the size', () => {
    expect(shown(record({ seats: [at(0), at(1), at(2)] }))).toEqual([]);
    expect(shown(record({ size: 5, scaling: { ...scaling, from: 3 } }))).toEqual([]);
  });

  test('gives up the highest slot first: its member, its task, what is reserved', () => {
    const five = [0, 1, 2, 3, 4].map((index) => at(index));
    const begun = record({ seats: five, scaling, intent });
    expect(shown(begun)).toEqual(['etcd-4: STARTED PENDING PENDING', 'etcd-3: PENDING PENDING PENDING']);
    const leaving = [{ seat: at(4, { lost }), reason: 'beyond the size', sinceMs: 1 }];
    expect(shown(record({ seats: five.slice(0, 4), leaving, scaling }))).toEqual([
      'etcd-4: COMPLETE COMPLETE PENDING',
      'etcd-3: PENDING PENDING PENDING',
    ]);
    expect(shown(record({ seats: five.slice(0, 4), scaling }))[0]).toBe('etcd-4: COMPLETE COMPLETE COMPLETE');
    // What cannot be given back yet is shown for as long as that takes.
    expect(shown(record({ seats: five.slice(0, 3), leaving }))).toEqual([
      'etcd-4: COMPLETE COMPLETE PENDING',
    ]);
  });
});

test('clients are not told of a member that is about to go', () => {
  const formed = { ...record().epoch, phase: 'formed' as const };
  const ours = record({ epoch: formed, seats: [at(0), at(1), at(2), at(3, { lost })], scaling });
  expect(
    publishedEndpointsOf({ record: ours, observation: null })?.client.map((url) => URL.parse(url)?.hostname),
  ).toEqual(['10.0.0.0', '10.0.0.1', '10.0.0.2']);
});
