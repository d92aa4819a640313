import { describe, expect, test } from 'vitest';
import { tarballId, writePin } from '../../src/protocol/artifact-pin.ts';
import { SmallWorld } from './small-world.ts';

const served = (digit: string, etcd: string): string =>
  writePin({ id: tarballId(digit.repeat(64)), etcd, source: { from: 'scheduler' } });
const kept = (...digits: readonly string[]): ReadonlyMap<string, string> =>
  new Map(digits.map((digit) => [digit.repeat(64), `http://scheduler/${digit}`]));

/** A formed cluster that runs `a`; its scheduler is then started again with `b`. */
function upgraded(of: { readonly to: string; readonly has: readonly string[]; from?: string }): SmallWorld {
  const world = new SmallWorld();
  const { from = '3.5.30' } = of;
  world.clusterVersion = from.replace(/\d+$/, '0');
  world.spec = { ...world.spec, artifact: served('a', from), kept: kept('a') };
  world.until(() => world.isWhole());
  world.spec = { ...world.spec, artifact: served('b', of.to), kept: kept('b', ...of.has) };
  return world;
}

test('a member whose task ended runs what it ran, whatever its scheduler brings', () => {
  const world = upgraded({ to: '3.6.16', has: ['a'] });
  world.end('etcd-1', 'ended');
  world.until(() => world.seat('etcd-1').launches === 2);
  expect(world.seat('etcd-1').pinned.artifact).toBe(served('a', '3.5.30'));
});

test('what is not kept any more gives way to the present one where etcd bears it, and that is said', () => {
  const world = upgraded({ to: '3.6.16', has: [] });
  world.end('etcd-1', 'ended');
  const reasons: string[] = [];
  world.until(() => {
    for (const want of world.last?.wants ?? []) reasons.push(want.reason);
    return world.seat('etcd-1').launches === 2;
  });
  expect(world.seat('etcd-1').pinned.artifact).toBe(served('b', '3.6.16'));
  expect(reasons.join()).toContain('this scheduler does not have etcd 3.5.30 (sha256:aaaaaaaaaaaa)');
});

describe('where there is an archive', () => {
  const lacking = (): SmallWorld => {
    const world = upgraded({ to: '3.6.16', has: [] });
    world.archive = { archivedRevision: '90', verifiedFullAtMs: null };
    world.end('etcd-1', 'ended');
    for (let steps = 0; steps < 20; steps += 1) world.step();
    return world;
  };

  test('the present one takes its place a minor up only after a full that was read back', () => {
    const world = lacking();
    expect(world.seat('etcd-1').launches).toBe(1);
    expect(world.last?.fullWanted).toBe('before the upgrade to etcd 3.6.16');
    const said = world.last?.blocked.find(({ code }) => code === 'artifact-missing')?.message;
    expect(said).toContain('it would go up a minor, which waits for a full backup that is read back whole');
    expect(said).toContain('copy the directory artifacts');
    const atMs = world.nowMs;
    world.archive = { archivedRevision: '90', verifiedFullAtMs: atMs };
    world.until(() => world.seat('etcd-1').launches === 2);
    expect(world.seat('etcd-1').pinned.artifact).toBe(served('b', '3.6.16'));
    // The way back, which a later full is not.
    world.archive = { archivedRevision: '99', verifiedFullAtMs: world.nowMs };
    world.end('etcd-2', 'ended');
    world.until(() => world.seat('etcd-2').launches === 2);
    expect(world.record.upgradeFull).toMatchObject({ etcd: '3.5.30', atMs });
  });

  test('or on an operator’s word', () => {
    const world = lacking();
    const plan = { kind: 'plan', plan: 'update', by: 'alice' } as const;
    const told = [
      world.tell({ ...plan, verb: 'start', force: true, step: null }),
      world.tell({ ...plan, verb: 'forceComplete', force: false, step: 'full-backup' }),
    ];
    expect(told.map(({ outcome }) => outcome)).toEqual(['done', 'done']);
    world.until(() => world.seat('etcd-1').launches === 2);
    expect(world.seat('etcd-1').pinned.artifact).toBe(served('b', '3.6.16'));
  });

  test('another patch waits for nothing', () => {
    const world = upgraded({ to: '3.5.31', has: [] });
    world.archive = { archivedRevision: '90', verifiedFullAtMs: null };
    world.end('etcd-1', 'ended');
    world.until(() => world.seat('etcd-1').launches === 2);
    expect(world.last?.fullWanted).toBeNull();
  });
});

test('it is not launched with what would skip a minor or go back', () => {
  for (const [from, to] of [
    ['3.4.23', '3.6.16'],
    ['3.6.16', '3.5.30'],
  ] as const) {
    const world = upgraded({ from, to, has: [] });
    world.end('etcd-1', 'ended');
    for (let steps = 0; steps < 20; steps += 1) world.step();
    expect(world.seat('etcd-1').launches).toBe(1);
    expect(world.last?.blocked.find(({ code }) => code === 'artifact-missing')?.message).toContain(
      'copy the directory artifacts',
    );
  }
});

test('a successor begins with what its predecessor ran', () => {
  const world = upgraded({ to: '3.6.16', has: ['a'] });
  const before = world.seat('etcd-2').id;
  world.loseAgent('etcd-2');
  world.until(() => world.record.seats.some(({ id, slot }) => slot === 'etcd-2' && id !== before));
  expect(world.record.seats.map(({ pinned }) => pinned.artifact)).toEqual(
    world.record.seats.map(() => served('a', '3.5.30')),
  );
});
