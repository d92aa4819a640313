import { expect, test } from 'vitest';
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
