import { describe, expect, it } from 'vitest';
import { agentOffersOf } from '../../src/framework/agent-offers.ts';
import { type Match, matchOffers } from '../../src/framework/offers.ts';
import { surroundingsOf } from '../../src/framework/surroundings.ts';
import type { Offer, Operation, Resource } from '../../src/mesos/wire.ts';
import type { ClusterRecord, Seat } from '../../src/protocol/record.ts';
import type { Want } from '../../src/reconcile/decision.ts';
import { CONFIG, offer, ROLE, RUN, record } from './fixtures.ts';

function match(wants: readonly Want[], offered: readonly Offer[], before: ClusterRecord): Match {
  return matchOffers({
    wants,
    record: before,
    offers: agentOffersOf(offered, ROLE),
    config: CONFIG,
    schedulerKey: 'key',
    shunned: new Map(),
    around: surroundingsOf(null, new Map(), 0),
    freshId: 'fresh',
    wallMs: 1,
  });
}
const operationsOf = ({ accepts }: Match): readonly Operation[] =>
  accepts.flatMap(({ call }) => (call.type === 'ACCEPT' ? (call.accept.operations ?? []) : []));
const amount = (resources: readonly Resource[], name: string): number =>
  Math.round(
    resources.reduce((sum, one) => sum + (one.name === name ? (one.scalar?.value ?? 0) : 0), 0) * 1000,
  ) / 1000;
const amounts = (resources: readonly Resource[]): readonly number[] => [
  amount(resources, 'cpus'),
  amount(resources, 'mem'),
];
/** What the operations of a kind are about. */
function resourcesOf(result: Match, type: Operation['type']): readonly Resource[] {
  return operationsOf(result).flatMap((operation): readonly Resource[] => {
    if (operation.type !== type) return [];
    if (operation.type === 'RESERVE') return operation.reserve.resources;
    if (operation.type === 'UNRESERVE') return operation.unreserve.resources;
    return operation.type === 'LAUNCH' ? (operation.launch.task_infos[0]?.resources ?? []) : [];
  });
}

/** 0.5 cpus and 256 MB, and 0.01 cpus and 32 MB for its name task. */
const placed = match([{ kind: 'place', slot: 'etcd-0', run: RUN, reason: 'new' }], [offer()], record());
const reserved = [
  ...resourcesOf(placed, 'RESERVE').filter(({ name }) => name !== 'disk'),
  ...resourcesOf(placed, 'LAUNCH').filter(({ name }) => name === 'disk'),
];
const seat = placed.record.seats[0] as Seat;

function resize(
  resources: Pick<Seat['resources'], 'cpus' | 'memMb'>,
  of: {
    readonly free?: { cpus: number; mem: number };
    readonly more?: readonly Resource[];
    before?: ClusterRecord;
  } = {},
): Match {
  const { free = { cpus: 3, mem: 2048 }, more = reserved, before = placed.record } = of;
  const wanted = { ...resources, diskMb: 1024 };
  const task = 'etcd-0__two';
  const want: Want = { kind: 'relaunch', seat: seat.id, task, run: RUN, resources: wanted, reason: 'update' };
  return match([want], [offer({ id: 'O2', ...free, more })], before);
}

describe('a seat that is to have other resources', () => {
  it('gets what it lacks reserved in the same breath as its launch', () => {
    const result = resize({ cpus: 2, memMb: 1024 });
    expect(operationsOf(result).map(({ type }) => type)).toEqual(['RESERVE', 'LAUNCH']);
    expect(amounts(resourcesOf(result, 'RESERVE'))).toEqual([1.5, 768]);
    expect(amounts(resourcesOf(result, 'LAUNCH'))).toEqual([2, 1024]);
    const labels = (resources: readonly Resource[]) => resources.map(({ reservations }) => reservations);
    expect(new Set(labels(resourcesOf(result, 'RESERVE')).map((one) => JSON.stringify(one)))).toEqual(
      new Set(labels(reserved).map((one) => JSON.stringify(one))),
    );
    expect(result.record.seats[0]?.resources).toEqual({ cpus: 2, memMb: 1024, diskMb: 1024 });
  });

  it('gives back what is too much, and keeps the share of its name task', () => {
    const result = resize({ cpus: 0.25, memMb: 256 });
    expect(operationsOf(result).map(({ type }) => type)).toEqual(['UNRESERVE', 'LAUNCH']);
    expect(amounts(resourcesOf(result, 'UNRESERVE'))).toEqual([0.25, 0]);
    expect(amounts(resourcesOf(result, 'LAUNCH'))).toEqual([0.25, 256]);
  });

  it('is launched as it was where its agent has no room', () => {
    const result = resize({ cpus: 2, memMb: 1024 }, { free: { cpus: 1, mem: 2048 } });
    expect(operationsOf(result).map(({ type }) => type)).toEqual(['LAUNCH']);
    expect(amounts(resourcesOf(result, 'LAUNCH'))).toEqual([0.5, 256]);
    expect(result.record.seats[0]?.resources).toEqual(seat.resources);
  });

  it('gets what is missing where the record is ahead of what was reserved', () => {
    const ahead = { ...seat, resources: { cpus: 2, memMb: 1024, diskMb: 1024 } };
    const before = { ...placed.record, seats: [ahead] };
    const result = resize({ cpus: 2, memMb: 1024 }, { before });
    expect(amounts(resourcesOf(result, 'RESERVE'))).toEqual([1.5, 768]);
    expect(amounts(resourcesOf(result, 'LAUNCH'))).toEqual([2, 1024]);
    // What was reserved, and not used for the launch that was lost, is there now.
    const [own = [], added = []] = [reserved, resourcesOf(result, 'RESERVE')];
    const again = resize({ cpus: 2, memMb: 1024 }, { before, more: [...own, ...added] });
    expect(operationsOf(again).map(({ type }) => type)).toEqual(['LAUNCH']);
    expect(amounts(resourcesOf(again, 'LAUNCH'))).toEqual([2, 1024]);
  });
});
