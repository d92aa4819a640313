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
  world.spec = { ...world.spec, artifact: served('a', of.from ?? '3.5.30'), kept: kept('a') };
  world.form();
  world.spec = { ...world.spec, artifact: served('b', of.to), kept: kept('b', ...of.has) };
  return world;
}

function endAndOffer(world: SmallWorld, slot: string): void {
  world.kill(slot);
  world.offer(slot);
}

test('a member whose task ended runs what it ran, whatever its scheduler brings', () => {
  const world = upgraded({ to: '3.6.16', has: ['a'] });
  endAndOffer(world, 'etcd-1');
  world.until(() => world.record.seats.every(({ taskEnd, launches }) => taskEnd === null && launches < 3));
  world.until(() => world.seat('etcd-1').launches === 2);
  expect(world.seat('etcd-1').pinned.artifact).toBe(served('a', '3.5.30'));
});

test('what is not kept any more gives way to the present one where etcd bears it, and that is said', () => {
  const world = upgraded({ to: '3.6.16', has: [] });
  endAndOffer(world, 'etcd-1');
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
    endAndOffer(world, 'etcd-1');
    for (let steps = 0; steps < 20; steps += 1) world.step();
    expect(world.seat('etcd-1').launches).toBe(1);
    expect(world.last?.blocked.find(({ code }) => code === 'artifact-missing')?.message).toContain(
      'copy the directory artifacts',
    );
  }
});

test('a successor begins with what its predecessor ran', () => {
  const world = upgraded({ to: '3.6.16', has: ['a'] });
  world.lose('etcd-2');
  world.until(() => world.record.seats.filter(({ slot }) => slot === 'etcd-2').length === 2);
  expect(world.record.seats.map(({ pinned }) => pinned.artifact)).toEqual(
    world.record.seats.map(() => served('a', '3.5.30')),
  );
});
