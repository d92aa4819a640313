import { describe, expect, it } from 'vitest';
import type { Seat } from '../../src/protocol/record.ts';
import type { CommandAnswer } from '../../src/reconcile/command-answers.ts';
import { applyCommand } from '../../src/reconcile/commands.ts';
import type { PodVerb } from '../../src/reconcile/pods.ts';
import { SmallWorld } from './small-world.ts';

function wholeWorld(size = 3): SmallWorld {
  const world = new SmallWorld(size);
  world.until(() => world.isWhole());
  world.story.length = 0;
  return world;
}

function tell(world: SmallWorld, command: Parameters<typeof applyCommand>[1]): CommandAnswer {
  const applied = applyCommand(world.record, command, { spec: world.spec, seen: world.observe(0) });
  if (applied.answer.outcome !== 'done') expect(applied.record).toEqual(world.record);
  world.record = applied.record;
  return applied.answer;
}

const pod = (world: SmallWorld, verb: PodVerb, slot: string, force = false): CommandAnswer =>
  tell(world, { kind: 'pod', verb, slot, by: 'alice', force });
const moveLeader = (world: SmallWorld, to: string | null): CommandAnswer =>
  tell(world, { kind: 'move-leader', to, by: 'alice' });

const deeds = (world: SmallWorld): string[] =>
  world.story.map((line) => line.split(' ').slice(0, 2).join(' '));
const changes = (world: SmallWorld): (string | undefined)[] =>
  world.story.filter((line) => line.startsWith('member-')).map((line) => line.split(' ')[0]);
const leave = { askedAtMs: 1, by: 'operator', confirmed: false, skipped: [] } as const;

describe('pod restart', () => {
  it('is done once, by whoever asked first', () => {
    const world = wholeWorld();
    expect(pod(world, 'restart', 'etcd-1')).toMatchObject({ outcome: 'done' });
    const { disruption } = world.record;
    expect(disruption).toMatchObject({ kind: 'restart', by: 'alice', forced: false });
    expect(pod(world, 'restart', 'etcd-1')).toMatchObject({
      outcome: 'already',
      disruption: disruption?.id,
    });
    world.until(() => world.record.disruption === null);
    expect(deeds(world)).toContain('relaunch etcd-1');
  });

  it('of a second member is refused until the first is back', () => {
    const world = wholeWorld();
    pod(world, 'restart', 'etcd-1');
    expect(pod(world, 'restart', 'etcd-2', true)).toMatchObject({
      outcome: 'refused',
      message: 'etcd-2 is not touched: the restart of etcd-1 is under way',
    });
  });

  it('that would take the quorum is refused, and says what force costs', () => {
    const world = wholeWorld();
    world.member('etcd-0').up = false;
    expect(pod(world, 'restart', 'etcd-1')).toMatchObject({
      outcome: 'refused',
      message: expect.stringContaining('1 of 3 voters are healthy') as string,
      hint: expect.stringContaining('takes no writes until it is back') as string,
    });
    expect(pod(world, 'restart', 'etcd-1', true)).toMatchObject({ outcome: 'done' });
    expect(world.record.disruption?.forced).toBe(true);
    world.until(() => deeds(world).includes('relaunch etcd-1'));
  });

  it('of a member whose data would end with its task is refused, forced or not', () => {
    const world = new SmallWorld();
    world.storage = 'sandbox';
    world.until(() => world.isWhole());
    expect(pod(world, 'restart', 'etcd-1', true)).toMatchObject({
      outcome: 'refused',
      hint: 'Use pod replace etcd-1.',
    });
    expect(pod(world, 'replace', 'etcd-1').outcome).toBe('done');
  });

  it('is forced only where that was needed', () => {
    const world = wholeWorld();
    pod(world, 'restart', 'etcd-1', true);
    expect(world.record.disruption?.forced).toBe(false);
  });

  it('of a task that has ended has nothing to do', () => {
    const world = wholeWorld();
    world.end('etcd-1', 'ended');
    world.offered.clear();
    world.step();
    expect(pod(world, 'restart', 'etcd-1').outcome).toBe('already');
  });

  it.each([
    ['before the cluster has formed', (world: SmallWorld) => world.step(), new SmallWorld()],
    [
      'while the service is uninstalled',
      (world: SmallWorld) => {
        world.record = { ...world.record, uninstall: { ...leave, skipped: [] } };
      },
      wholeWorld(),
    ],
  ] as const)('is refused %s', (_when, prepare, world) => {
    prepare(world);
    expect(pod(world, 'restart', 'etcd-1', true).outcome).toBe('refused');
  });
});

describe('pod replace', () => {
  it('of a member that serves lets it vote until its successor is ready to', () => {
    const world = wholeWorld();
    const { id } = world.seat('etcd-1');
    expect(pod(world, 'replace', 'etcd-1').outcome).toBe('done');
    expect(pod(world, 'replace', 'etcd-1').outcome).toBe('already');
    for (let step = 0; step < 3; step += 1) world.step();
    expect(world.record.seats.find((seat) => seat.id === id)?.lost).toMatchObject({ cause: 'moved' });
    world.until(() => world.isWhole() && world.record.seats.every((seat) => seat.id !== id));
    expect(changes(world)).toEqual(['member-add', 'member-remove', 'member-promote']);
  });

  it('is refused while another member is out, restarted or moved', () => {
    const world = wholeWorld(5);
    world.member('etcd-0').up = false;
    expect(pod(world, 'replace', 'etcd-1')).toMatchObject({
      outcome: 'refused',
      message: 'etcd-1 is not replaced: 4 of 5 voters are healthy, and all have to be',
    });
    world.member('etcd-0').up = true;
    pod(world, 'restart', 'etcd-2');
    expect(pod(world, 'replace', 'etcd-1').message).toContain('the restart of etcd-2 is under way');
    world.until(() => world.record.disruption === null);
    pod(world, 'replace', 'etcd-3');
    expect(pod(world, 'replace', 'etcd-1').message).toContain('etcd-3 is being replaced');
  });

  it('of a member that is out of reach does not wait any longer for it', () => {
    const world = wholeWorld();
    const { id, task, agentId } = world.seat('etcd-1');
    world.tasks.set(task, { kind: 'unreachable', state: 'TASK_UNREACHABLE', agentId });
    world.member('etcd-1').up = false;
    world.step();
    expect(world.record.seats.every((seat) => seat.lost === null)).toBe(true);
    expect(pod(world, 'replace', 'etcd-1')).toMatchObject({
      outcome: 'done',
      message: expect.stringContaining('they hold all that was acknowledged') as string,
    });
    world.until(() => world.last?.health.state === 'healthy' && world.seat('etcd-1').id !== id);
    expect(changes(world)).toEqual(['member-remove', 'member-add', 'member-promote']);
  });

  it('is not taken back when the member is seen again', () => {
    const world = wholeWorld();
    const { id, task, agentId } = world.seat('etcd-1');
    const old = world.member('etcd-1');
    world.tasks.set(task, { kind: 'unreachable', state: 'TASK_UNREACHABLE', agentId });
    old.up = false;
    world.step();
    world.offersFit = false;
    pod(world, 'replace', 'etcd-1');
    world.tasks.set(task, { kind: 'alive', state: 'TASK_RUNNING', agentId, healthy: true });
    old.up = true;
    for (let step = 0; step < 5; step += 1) world.step(5_000);
    expect(world.record.seats.find((seat) => seat.id === id)?.lost?.cause).toBe('moved');
    world.offersFit = true;
    world.until(() => world.isWhole() && world.record.seats.every((seat) => seat.id !== id));
  });

  it('is refused without a quorum: its disk may hold what others lack', () => {
    const world = wholeWorld();
    for (const slot of ['etcd-0', 'etcd-2']) world.member(slot).up = false;
    expect(pod(world, 'replace', 'etcd-0', true)).toMatchObject({
      outcome: 'refused',
      message: expect.stringContaining('its disk may hold what others lack') as string,
    });
  });

  it('of a member that is stuck in a restart ends the restart', () => {
    const world = wholeWorld();
    pod(world, 'restart', 'etcd-1');
    world.step();
    world.refuse.add('start');
    for (let step = 0; step < 5; step += 1) world.step();
    expect(pod(world, 'replace', 'etcd-1').outcome).toBe('done');
    world.step();
    expect(world.record.disruption).toBeNull();
    world.refuse.clear();
    world.until(() => world.isWhole());
  });
});

describe('pod pause', () => {
  it('and resume bring the member down and back, with the same data', () => {
    const world = wholeWorld();
    const before: Seat = world.seat('etcd-1');
    expect(pod(world, 'pause', 'etcd-1').outcome).toBe('done');
    expect(pod(world, 'pause', 'etcd-1').outcome).toBe('already');
    world.until(() => world.record.disruption === null);
    expect(pod(world, 'pause', 'etcd-1')).toMatchObject({
      outcome: 'already',
      message: 'etcd-1 is paused by alice',
    });
    expect(pod(world, 'restart', 'etcd-1')).toMatchObject({
      outcome: 'refused',
      hint: 'Use pod resume etcd-1.',
    });
    expect(pod(world, 'resume', 'etcd-1').outcome).toBe('done');
    expect(pod(world, 'resume', 'etcd-1').outcome).toBe('already');
    world.until(() => world.isWhole());
    expect(world.seat('etcd-1')).toMatchObject({ id: before.id, task: before.task });
    expect(deeds(world)).toEqual(['stop etcd-1', 'start etcd-1']);
  });

  it('can be taken back before it has begun', () => {
    const world = wholeWorld();
    pod(world, 'pause', 'etcd-1');
    expect(pod(world, 'resume', 'etcd-1').outcome).toBe('done');
    world.step();
    expect(world.record).toMatchObject({ disruption: null });
    expect(world.story).toEqual([]);
  });

  it('of a second member is refused, and forced costs no writes where a quorum is left', () => {
    const world = wholeWorld(5);
    pod(world, 'pause', 'etcd-1');
    world.until(() => world.record.disruption === null);
    expect(pod(world, 'pause', 'etcd-2')).toMatchObject({
      outcome: 'refused',
      message: 'etcd-2 is not touched: etcd-1 is paused',
      hint: expect.stringContaining('the next member that fails may take the quorum') as string,
    });
    expect(pod(world, 'pause', 'etcd-2', true).outcome).toBe('done');
    world.until(() => world.record.disruption === null);
    expect(world.last?.health.healthyVoters).toBe(3);
  });

  it('ends with the place where the member is replaced', () => {
    const world = wholeWorld();
    pod(world, 'pause', 'etcd-1');
    world.until(() => world.record.disruption === null);
    pod(world, 'replace', 'etcd-1');
    world.until(() => world.isWhole());
    expect(world.seat('etcd-1').paused).toBeNull();
  });
});

describe('leader move', () => {
  it('hands leadership to the slot that was named', () => {
    const world = wholeWorld();
    world.leader = world.member('etcd-0').memberId;
    expect(moveLeader(world, 'etcd-2')).toMatchObject({
      outcome: 'done',
      message: 'etcd-0 hands leadership to etcd-2',
    });
    world.until(() => world.record.disruption === null);
    expect(world.last?.health.leader).toBe(world.member('etcd-2').memberId);
    expect(moveLeader(world, 'etcd-2').outcome).toBe('already');
  });

  it('without a name takes the voter whose log goes furthest', () => {
    const world = wholeWorld();
    world.leader = world.member('etcd-0').memberId;
    world.member('etcd-1').applied -= 5n;
    expect(moveLeader(world, null).message).toBe('etcd-0 hands leadership to etcd-2');
  });

  it('gives up what does not come about in 15 s', () => {
    const world = wholeWorld();
    world.leader = world.member('etcd-0').memberId;
    world.refuse.add('move-leader');
    moveLeader(world, 'etcd-2');
    world.until(() => world.record.disruption === null, 20, 1_000);
    expect(world.last?.health.leader).toBe(world.member('etcd-0').memberId);
  });

  it.each([
    ['a member that is out', 'etcd-1', 'etcd-1 is no healthy voter'],
    ['a slot that there is not', 'etcd-9', 'etcd-9 is no healthy voter'],
  ])('to %s is refused', (_what, to, why) => {
    const world = wholeWorld();
    world.leader = world.member('etcd-0').memberId;
    world.member('etcd-1').up = false;
    expect(moveLeader(world, to)).toMatchObject({
      outcome: 'refused',
      message: `leadership is not moved: ${why}`,
    });
  });

  it('is refused where nobody leads', () => {
    const world = wholeWorld();
    for (const slot of ['etcd-0', 'etcd-2']) world.member(slot).up = false;
    expect(moveLeader(world, null).message).toContain('nobody leads');
  });

  it('changes nothing else: no member list, no task', () => {
    const world = wholeWorld();
    world.leader = world.member('etcd-0').memberId;
    moveLeader(world, null);
    world.until(() => world.record.disruption === null);
    expect(deeds(world)).toEqual(['move-leader etcd-0']);
  });
});
