import { describe, expect, it } from 'vitest';
import type { Disruption, Seat } from '../../src/protocol/record.ts';
import { objectionToDisturb, openDisruption } from '../../src/reconcile/disruption.ts';
import { readMembership } from '../../src/reconcile/membership.ts';
import { startPass } from '../../src/reconcile/pass.ts';
import { SmallWorld } from './small-world.ts';

function wholeWorld(size = 3): SmallWorld {
  const world = new SmallWorld(size);
  world.until(() => world.isWhole());
  world.story.length = 0;
  return world;
}

/** Why the slot's member may not be disturbed now. */
function objection(world: SmallWorld, slot: string): string | null {
  const pass = startPass(world.spec, world.record, world.observe(0));
  const seat = pass.record.seats.find((one) => one.slot === slot && one.lost === null);
  if (seat === undefined) throw new Error(`no seat holds ${slot}`);
  return objectionToDisturb(pass, readMembership(pass, pass.record.epoch.clusterId ?? ''), seat);
}

function open(
  world: SmallWorld,
  slot: string,
  { kind = 'restart', forced = false }: { kind?: Disruption['kind']; forced?: boolean } = {},
): Seat {
  const seat = world.seat(slot);
  const pass = startPass(world.spec, world.record, world.observe(0));
  const draft = pass.record.seats.find((one) => one.id === seat.id);
  if (draft === undefined) throw new Error(`no seat holds ${slot}`);
  openDisruption(pass, draft, { kind, by: 'alice', reason: 'asked for', forced });
  world.record = pass.record;
  return seat;
}

/** What was done, without the ids of members. */
const deeds = (world: SmallWorld): string[] =>
  world.story.map((line) => line.split(' ').slice(0, 2).join(' '));
const kills = (world: SmallWorld): string[] => world.story.filter((line) => line.startsWith('kill'));
const isOver = (world: SmallWorld) => () => world.record.disruption === null;
const codes = (world: SmallWorld): string[] => world.last?.blocked.map(({ code }) => code) ?? [];

describe('a restart', () => {
  it('ends the task and launches it in place; it is over when the member is level again', () => {
    const world = wholeWorld();
    world.leader = world.member('etcd-0').memberId;
    const before = open(world, 'etcd-1');
    world.applied = 200n;
    for (const member of world.members.values()) member.applied = 200n;
    world.until(() => deeds(world).includes('start etcd-1'));
    world.member('etcd-1').applied = 150n;
    world.step();
    expect(world.record.disruption).not.toBeNull();
    world.member('etcd-1').applied = 200n;
    world.until(isOver(world));
    expect(deeds(world)).toEqual([`kill ${before.task}`, 'relaunch etcd-1', 'start etcd-1']);
    const after = world.seat('etcd-1');
    expect(after).toMatchObject({ id: before.id, pinned: before.pinned, launches: 2 });
    expect(world.isWhole()).toBe(true);
  });

  it('of the leader waits until another leads', () => {
    const world = wholeWorld();
    world.leader = world.member('etcd-2').memberId;
    const behind = world.member('etcd-0');
    behind.applied -= 1n;
    open(world, 'etcd-2');
    world.until(isOver(world));
    const heir = world.member('etcd-1').memberId ?? '';
    expect(world.story[0]).toBe(`move-leader etcd-2 ${heir}`);
    expect(world.story[1]).toMatch(/^kill etcd-2/);
  });

  it('goes on without a handover that does not come about', () => {
    const world = wholeWorld();
    world.leader = world.member('etcd-2').memberId;
    world.refuse.add('move-leader');
    open(world, 'etcd-2');
    for (let step = 0; step < 15; step += 1) world.step(1_000);
    expect(kills(world)).toEqual([]);
    world.until(isOver(world));
    expect(kills(world)).toHaveLength(1);
  });

  it('waits while the others are no quorum, and goes on once they are', () => {
    const world = wholeWorld();
    open(world, 'etcd-1');
    world.member('etcd-0').up = false;
    for (let step = 0; step < 20; step += 1) world.step();
    expect(world.story).toEqual([]);
    expect(codes(world)).toContain('disruption-waits');
    world.member('etcd-0').up = true;
    world.until(isOver(world));
    expect(world.story).toContain('relaunch etcd-1');
  });

  it('waits while the cluster has lost quorum, and kills nobody', () => {
    const world = wholeWorld();
    open(world, 'etcd-1');
    for (const slot of ['etcd-0', 'etcd-2']) world.member(slot).up = false;
    for (let step = 0; step < 20; step += 1) world.step();
    expect(world.story).toEqual([]);
  });

  it('that could not begin is given up after 10 minutes', () => {
    const world = wholeWorld();
    open(world, 'etcd-1');
    world.member('etcd-0').up = false;
    for (let step = 0; step < 125; step += 1) world.step(5_000);
    expect(world.record.disruption).toBeNull();
    expect(kills(world)).toEqual([]);
  });

  it('tells the task to end again while it runs, and gives up when it does not end', () => {
    const world = wholeWorld();
    world.killsAreLost = true;
    const { task } = open(world, 'etcd-1');
    world.step();
    expect(world.record.disruption).toMatchObject({ begun: true, task });
    world.step();
    expect(world.story.filter((line) => line === `kill ${task}`)).toHaveLength(2);
    for (let step = 0; step < 125; step += 1) world.step(5_000);
    expect(world.record.disruption).toBeNull();
    world.until(() => world.isWhole());
  });

  it('counts the member as out from the moment it is told to end', () => {
    const world = wholeWorld();
    world.killsAreLost = true;
    open(world, 'etcd-1');
    world.step();
    world.step();
    expect(world.last?.health).toMatchObject({ state: 'degraded', healthyVoters: 2 });
    expect(objection(world, 'etcd-0')).toContain('the restart of etcd-1 is under way');
  });

  it.each(['handover', 'kill', 'launch', 'start'])('goes on after a crash before its %s', (before) => {
    const world = wholeWorld();
    world.leader = world.member('etcd-1').memberId;
    open(world, 'etcd-1');
    const steps = { handover: 0, kill: 1, launch: 2, start: 3 }[before] ?? 0;
    for (let step = 0; step < steps; step += 1) world.step();
    // The next pass is stored, and nothing of it is done.
    const { nowMs } = world;
    world.killsAreLost = true;
    for (const kind of ['move-leader', 'start']) world.refuse.add(kind);
    world.step();
    world.killsAreLost = false;
    world.refuse.clear();
    expect(world.nowMs).toBeGreaterThan(nowMs);
    world.until(isOver(world));
    world.until(() => world.isWhole());
    expect(world.seat('etcd-1').launches).toBe(2);
  });

  it('of a task that has ended by itself meanwhile ends none', () => {
    const world = wholeWorld();
    open(world, 'etcd-1');
    world.end('etcd-1', 'ended');
    world.until(isOver(world));
    expect(deeds(world)).toEqual(['relaunch etcd-1', 'start etcd-1']);
  });

  it('leaves a place that is lost meanwhile to repair', () => {
    const world = wholeWorld();
    const { id } = open(world, 'etcd-1');
    world.step();
    world.agentsGone.add(world.seat('etcd-1').agentId);
    world.step();
    expect(world.record.disruption).toBeNull();
    world.until(() => world.isWhole());
    expect(world.seat('etcd-1').id).not.toBe(id);
  });

  it('waits for an agent that is out of sight, until its place counts as lost', () => {
    const world = wholeWorld();
    world.killsAreLost = true;
    const { task, agentId } = open(world, 'etcd-1');
    world.step();
    world.tasks.set(task, { kind: 'unreachable', state: 'TASK_UNREACHABLE', agentId });
    world.member('etcd-1').up = false;
    world.step(5_000);
    expect(world.record.disruption).not.toBeNull();
    world.until(isOver(world), 20, 5_000);
    expect(kills(world)).toHaveLength(1);
    world.until(() => world.last?.health.state === 'healthy');
    expect(world.seat('etcd-1').agentId).not.toBe(agentId);
  });

  it('lets repair of another member go on, and begins after it', () => {
    const world = wholeWorld(5);
    world.leader = world.member('etcd-0').memberId;
    world.loseAgent('etcd-4');
    world.until(() => world.record.intent !== null);
    open(world, 'etcd-1');
    world.until(isOver(world));
    const changes = deeds(world).filter((line) => /^(member|kill|relaunch)/.test(line));
    expect(changes.map((line) => line.split(' ')[0])).toEqual([
      'member-remove',
      'member-add',
      'member-promote',
      'kill',
      'relaunch',
    ]);
  });

  it.each([false, true])('is dropped when the service is uninstalled (leave given: %s)', (confirmed) => {
    const world = wholeWorld();
    open(world, 'etcd-1');
    world.record = {
      ...world.record,
      uninstall: { askedAtMs: 1, by: 'operator', confirmed, skipped: [] },
    };
    world.step();
    expect(world.record.disruption).toBeNull();
    if (!confirmed) expect(world.story).toEqual([]);
  });

  it('of an only member is done where it was forced', () => {
    const world = wholeWorld(1);
    expect(objection(world, 'etcd-0')).toContain('0 of 1 voters are healthy');
    open(world, 'etcd-0', { forced: true });
    world.until(isOver(world));
    expect(world.story).toContain('relaunch etcd-0');
  });

  it('that is forced where nobody can tell the members is over when etcd runs', () => {
    const world = wholeWorld();
    for (const slot of ['etcd-0', 'etcd-2']) world.member(slot).phase = 'backing-off';
    world.step();
    open(world, 'etcd-1', { forced: true });
    world.until(isOver(world));
    expect(deeds(world).at(-1)).toBe('start etcd-1');
  });
});

describe('a pause', () => {
  it('hands leadership over, then holds etcd down until it is taken back', () => {
    const world = wholeWorld();
    world.leader = world.member('etcd-1').memberId;
    open(world, 'etcd-1', { kind: 'pause' });
    world.until(isOver(world));
    expect(world.story.map((line) => line.split(' ')[0])).toEqual(['move-leader', 'stop']);
    expect(world.seat('etcd-1').paused).toMatchObject({ by: 'alice' });
    for (let step = 0; step < 50; step += 1) world.step(5_000);
    expect(world.member('etcd-1').phase).toBe('stopped');
    expect(world.record.intent).toBeNull();
    expect(codes(world)).toContain('member-paused');
    expect(objection(world, 'etcd-0')).toBe('etcd-1 is paused');
    world.record = { ...world.record, seats: world.record.seats.map((seat) => ({ ...seat, paused: null })) };
    world.until(() => world.isWhole());
  });

  it('stops nobody while the others are no quorum, however long its stop has been on its way', () => {
    const world = wholeWorld();
    world.refuse.add('stop');
    open(world, 'etcd-1', { kind: 'pause' });
    world.until(() => world.seat('etcd-1').paused !== null);
    world.member('etcd-0').up = false;
    world.step();
    world.refuse.clear();
    for (let step = 0; step < 5; step += 1) world.step();
    expect(world.member('etcd-1').phase).toBe('running');
    expect(codes(world)).toContain('disruption-waits');
    world.member('etcd-0').up = true;
    world.until(isOver(world));
    expect(world.member('etcd-1').phase).toBe('stopped');
  });

  it('that cannot be brought about is taken back after 10 minutes', () => {
    const world = wholeWorld();
    world.refuse.add('stop');
    open(world, 'etcd-1', { kind: 'pause' });
    for (let step = 0; step < 125; step += 1) world.step(5_000);
    expect(world.record.disruption).toBeNull();
    expect(world.seat('etcd-1').paused).toBeNull();
    expect(world.last?.health.state).toBe('healthy');
  });

  it('outlives the task: the next does not start etcd either', () => {
    const world = wholeWorld();
    open(world, 'etcd-1', { kind: 'pause' });
    world.until(isOver(world));
    world.end('etcd-1', 'ended');
    world.until(() => world.story.includes('relaunch etcd-1'));
    for (let step = 0; step < 10; step += 1) world.step();
    expect(world.member('etcd-1').phase).toBe('stopped');
  });

  it('does not keep a place whose agent is gone', () => {
    const world = wholeWorld();
    open(world, 'etcd-1', { kind: 'pause' });
    world.until(isOver(world));
    world.agentsGone.add(world.seat('etcd-1').agentId);
    world.until(() => world.isWhole());
    expect(world.seat('etcd-1').paused).toBeNull();
  });
});

describe('a member', () => {
  it('may be disturbed while all is well', () => {
    expect(objection(wholeWorld(), 'etcd-1')).toBeNull();
  });

  it('may not before the cluster has formed', () => {
    const world = new SmallWorld();
    world.step();
    expect(objection(world, 'etcd-0')).toBe('the cluster has not formed yet');
  });

  it('may not while another is replaced', () => {
    const world = wholeWorld(5);
    world.loseAgent('etcd-4');
    world.until(() => world.record.intent !== null);
    expect(objection(world, 'etcd-1')).toContain('the member of etcd-4 is being changed');
  });

  it('may be where it is down itself', () => {
    const world = wholeWorld();
    world.member('etcd-1').up = false;
    expect(objection(world, 'etcd-0')).toContain('1 of 3 voters are healthy');
    expect(objection(world, 'etcd-1')).toBeNull();
  });

  it('may not while nobody speaks for a quorum', () => {
    const world = wholeWorld();
    for (const slot of ['etcd-0', 'etcd-2']) world.member(slot).up = false;
    expect(objection(world, 'etcd-1')).toContain('no member completes a linearizable read');
  });
});
