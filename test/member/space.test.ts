import { beforeEach, expect, test } from 'vitest';
import { EtcdError } from '../../src/etcd/port.ts';
import type { OrderBody, PrefixReport } from '../../src/protocol/orders.ts';
import { createModelWorld, type ModelWorld, type RunningSupervisor } from './model-member.ts';

let world: ModelWorld;
let supervisor: RunningSupervisor;
beforeEach(async () => {
  world = createModelWorld();
  supervisor = await world.start();
  await supervisor.bootstrap();
});

const defragment = (run: string): OrderBody => ({ kind: 'defragment', args: { run, limitMs: 60_000 } });

test('a member that defragments says so until it has, and which run it was', async () => {
  const rewriting = Promise.withResolvers<void>();
  world.etcd.rewriting = rewriting.promise;
  const given = supervisor.give(defragment('run-1'));
  await world.clock.runUntil(() => supervisor.status().busy === 'defragmenting', 1_000);
  world.etcd.serves = false;
  await world.clock.runUntil(() => supervisor.status().probe === null, 10_000);
  expect(supervisor.status()).toMatchObject({ phase: 'running', busy: 'defragmenting', problem: null });
  world.etcd.serves = true;
  rewriting.resolve();
  expect(await given).toMatchObject({ outcome: 'done', finding: null });
  expect(supervisor.status()).toMatchObject({ busy: null, space: { defragmented: 'run-1' } });
});

test('a run that was done is not done again, another is', async () => {
  await supervisor.give(defragment('run-1'));
  expect(await supervisor.give(defragment('run-1'))).toMatchObject({ outcome: 'done' });
  await supervisor.give(defragment('run-2'));
  expect(world.etcd.calls).toEqual(['defragment', 'defragment']);
});

test('a defragmentation is waited for as long as the order says, and then counts as not done', async () => {
  world.etcd.rewriting = new Promise(() => {});
  const beforeMs = world.clock.monotonicMs();
  const receipt = await supervisor.give(defragment('run-1'));
  expect(receipt).toMatchObject({ outcome: 'failed', problem: 'timeout' });
  expect(world.clock.monotonicMs() - beforeMs).toBe(60_000);
  expect(supervisor.status()).toMatchObject({ busy: null, space: { defragmented: null } });
});

test('the highest compaction and the newest hash are told, and that of a revision that is gone is not there', async () => {
  const compact = (revision: string): OrderBody => ({ kind: 'compact', args: { revision } });
  await supervisor.give(compact('20'));
  await supervisor.give(compact('9'));
  expect(supervisor.status().space.compacted).toBe('20');
  world.etcd.refusal = new EtcdError('compacted', 'it was');
  expect(await supervisor.give(compact('21'))).toMatchObject({ outcome: 'done' });
  const hash: OrderBody = { kind: 'hash-kv', args: { revision: '30' } };
  const finding = { revision: '30', hash: 7, compactRevision: '3' };
  expect((await supervisor.give(hash)).finding).toEqual({ kind: 'hash-kv', ...finding });
  expect(supervisor.status().space).toEqual({ defragmented: null, compacted: '21', hash: finding });
  world.etcd.refusal = new EtcdError('future-revision', 'not yet');
  expect(await supervisor.give(hash)).toMatchObject({ outcome: 'failed', problem: 'revision-unavailable' });
  await supervisor.give({ kind: 'disarm', args: { memberId: 'f1', alarm: 'NOSPACE' } });
  expect(world.etcd.calls.at(-1)).toBe('disarm f1 NOSPACE');
});

test('while etcd does not run nothing of it is asked', async () => {
  await supervisor.give({ kind: 'stop', args: { graceMs: 0 } });
  expect(await supervisor.give(defragment('run-1'))).toMatchObject({
    outcome: 'refused',
    problem: 'not-running',
  });
});

async function measured(keys: readonly (readonly [string, number])[], limitMs = 10_000) {
  world.etcd.keys = keys.toSorted(([left], [right]) => (left < right ? -1 : 1));
  const receipt = await supervisor.give({ kind: 'measure-space', args: { limitMs } });
  expect(receipt).toMatchObject({ outcome: 'done' });
  return receipt.finding as PrefixReport;
}

test('the largest prefixes are told by path segments, and keys that only differ by a number together', async () => {
  const pods = Array.from({ length: 3_000 }, (_, index) => [`/registry/pods/a/pod-${index}`, 1_000] as const);
  const leases = Array.from({ length: 500 }, (_, index) => [`/registry/leases/${index}`, 100] as const);
  const flat = Array.from({ length: 10 }, (_, index) => [`key-${index}`, 10_000] as const);
  const report = await measured([...pods, ...leases, ...flat, ['/registry', 5], ['alone', 7]]);
  expect(report).toMatchObject({ keys: 3_512, bytes: 3_150_012, complete: true, lastKey: null });
  const of = (prefix: string) => report.prefixes.find((entry) => entry.prefix === prefix);
  expect(report.prefixes[0]).toEqual({ prefix: '/registry/', keys: 3_500, bytes: 3_050_000 });
  expect(of('/registry/pods/a/')).toEqual({ prefix: '/registry/pods/a/', keys: 3_000, bytes: 3_000_000 });
  // All of it lies in one of its children, which is told instead.
  expect(of('/registry/pods/')).toBeUndefined();
  expect(of('/registry/leases/')).toEqual({ prefix: '/registry/leases/', keys: 500, bytes: 50_000 });
  expect(of('key-')).toEqual({ prefix: 'key-', keys: 10, bytes: 100_000 });
  expect(of('alone')).toEqual({ prefix: 'alone', keys: 1, bytes: 7 });
});

test('of very many prefixes the largest are told', async () => {
  const many = Array.from({ length: 900 }, (_, index) => [`/p${index}/x/y/z`, 10 + index] as const);
  const report = await measured(many);
  expect(report.keys).toBe(900);
  expect(report.prefixes.length).toBeLessThanOrEqual(36);
  expect(report.prefixes[0]).toEqual({ prefix: '/p899/x/y/', keys: 1, bytes: 909 });
});

test('nothing but the keys that are there is told of an empty store', async () => {
  expect(await measured([])).toEqual({
    kind: 'measure-space',
    keys: 0,
    bytes: 0,
    complete: true,
    lastKey: null,
    prefixes: [],
  });
});

test('when the time is up it is told how far it came', async () => {
  world.etcd.keys = Array.from(
    { length: 5_000 },
    (_, index) => [`k${String(index).padStart(5, '0')}`, 1] as const,
  );
  world.etcd.pageMs = 60;
  const receipt = await supervisor.give({ kind: 'measure-space', args: { limitMs: 100 } });
  expect(receipt.finding).toMatchObject({ complete: false, lastKey: expect.stringMatching(/^k0\d{4}$/) });
  expect((receipt.finding as PrefixReport).keys).toBeLessThan(5_000);
});
