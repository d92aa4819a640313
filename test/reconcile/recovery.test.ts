import { expect, it } from 'vitest';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import { applyCommand } from '../../src/reconcile/commands.ts';
import { SmallWorld } from './small-world.ts';

function wholeWorld(): SmallWorld {
  const world = new SmallWorld();
  world.until(() => world.isWhole());
  world.story.length = 0;
  return world;
}

const hold = (world: SmallWorld): void => {
  const paused: ClusterRecord['plans']['paused'] = [{ plan: 'recovery', by: 'alice', atMs: 1 }];
  world.record = { ...world.record, plans: { ...world.record.plans, paused } };
};
const goOn = (world: SmallWorld): void => {
  world.record = { ...world.record, plans: { paused: [], forced: [] } };
};
const steps = (world: SmallWorld, count = 20): void => {
  for (let step = 0; step < count; step += 1) world.step(1_000);
};
const codes = (world: SmallWorld): string[] => world.last?.blocked.map(({ code }) => code) ?? [];
const done = (world: SmallWorld, verb: string): boolean => world.story.some((line) => line.startsWith(verb));

it('that is paused begins no replacement, and says so', () => {
  const world = wholeWorld();
  hold(world);
  world.loseAgent('etcd-1');
  steps(world);
  expect(world.story).toEqual([]);
  expect(codes(world)).toContain('recovery-paused');
  goOn(world);
  world.until(() => world.isWhole());
});

it('that is paused after a place was found leaves the member list as it is', () => {
  const world = wholeWorld();
  world.refuse.add('prepare');
  world.loseAgent('etcd-1');
  world.until(() => done(world, 'place'));
  hold(world);
  world.refuse.clear();
  steps(world);
  expect(done(world, 'member-')).toBe(false);
  expect(codes(world)).toContain('recovery-paused');
  goOn(world);
  world.until(() => world.isWhole());
});

it('that is paused finishes the change of the member list that was begun', () => {
  const world = wholeWorld();
  world.loseAgent('etcd-1');
  world.until(() => done(world, 'member-remove'));
  hold(world);
  world.until(() => world.isWhole());
});

it('that is paused launches in place what has ended', () => {
  const world = wholeWorld();
  hold(world);
  world.end('etcd-1', 'ended');
  world.until(() => done(world, 'relaunch') && world.isWhole());
});

it('that is paused moves nobody from maintenance, nor on an operator’s word', () => {
  const world = wholeWorld();
  hold(world);
  world.maintenance.set(world.seat('etcd-1').agentId, world.nowMs + 60_000);
  steps(world);
  expect(world.story).toEqual([]);
  const command = { kind: 'pod', verb: 'replace', slot: 'etcd-2', by: 'alice', force: true } as const;
  const { answer } = applyCommand(world.record, command, { spec: world.spec, seen: world.observe(0) });
  expect(answer).toMatchObject({
    outcome: 'refused',
    message: 'etcd-2 is not replaced: the plan recovery is paused',
  });
});
