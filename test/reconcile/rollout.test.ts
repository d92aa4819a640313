import { describe, expect, it } from 'vitest';
import { tarballId, writePin } from '../../src/protocol/artifact-pin.ts';
import type { CommandAnswer } from '../../src/reconcile/command-answers.ts';
import type { Spec } from '../../src/reconcile/observation.ts';
import type { PlanVerb } from '../../src/reconcile/plan-commands.ts';
import { SmallWorld } from './small-world.ts';

const served = (digit: string, etcd: string): string =>
  writePin({ id: tarballId(digit.repeat(64)), etcd, source: { from: 'scheduler' } });
const OLD = served('a', '3.5.30');
const NEW = served('b', '3.6.16');
const kept = new Map(['a', 'b', 'c'].map((digit) => [digit.repeat(64), `http://scheduler/${digit}`]));

/** A whole cluster that runs 3.5.30, its leader etcd-0. */
function wholeWorld(size = 3): SmallWorld {
  const world = new SmallWorld(size);
  world.clusterVersion = '3.5.0';
  world.spec = { ...world.spec, artifact: OLD, kept };
  world.until(() => world.isWhole());
  world.leader = world.member('etcd-0').memberId;
  world.story.length = 0;
  return world;
}

function restartWith(world: SmallWorld, changes: Partial<Spec>): void {
  world.spec = { ...world.spec, ...changes };
}

function tell(world: SmallWorld, verb: PlanVerb, of: { step?: string; force?: boolean } = {}): CommandAnswer {
  const { step = null, force = false } = of;
  return world.tell({ kind: 'plan', plan: 'update', verb, step, force, by: 'alice' });
}

const isOver = (world: SmallWorld) => (): boolean => world.record.rollout === null;
/** Slots in the order in which their tasks were told to end. */
const killed = (world: SmallWorld): string[] =>
  world.story.flatMap((line) => /^kill (etcd-\d)/.exec(line)?.[1] ?? []);
const artifacts = (world: SmallWorld): string[] =>
  ['etcd-0', 'etcd-1', 'etcd-2'].map((slot) => world.seat(slot).pinned.artifact);
const blockedBy = (world: SmallWorld, code: string): string | undefined =>
  world.last?.blocked.find((one) => one.code === code)?.message;
/** Steps for so long, and looks that never more than one member was down. */
function run(world: SmallWorld, done: () => boolean, stepsMax = 1500): void {
  world.until(
    () => {
      const down = [...world.members.values()].filter(
        (member) =>
          world.listed.some(({ id }) => id === member.memberId) && (!member.up || member.phase !== 'running'),
      );
      expect(down.length).toBeLessThan(2);
      return done();
    },
    stepsMax,
    100,
  );
}
const idle = (world: SmallWorld, steps = 150): void => {
  for (let step = 0; step < steps; step += 1) world.step();
};

describe('other options of etcd', () => {
  it('reach one member after the other at once, the leader last', () => {
    const world = wholeWorld();
    const etcd = { ...world.spec.etcd, snapshotCount: 5_000 };
    restartWith(world, { etcd });
    world.step();
    run(world, isOver(world));
    expect(killed(world)).toEqual(['etcd-1', 'etcd-2', 'etcd-0']);
    expect(world.story.findIndex((line) => line.startsWith('move-leader'))).toBeGreaterThan(0);
    expect(world.record.seats.map(({ pinned }) => pinned.etcd)).toEqual([etcd, etcd, etcd]);
    expect(world.record.plans).toEqual({ paused: [], forced: [] });
  });

  it('wait with `canary` for a word, and after the first member for another', () => {
    const world = wholeWorld();
    restartWith(world, { etcd: { ...world.spec.etcd, snapshotCount: 5_000 }, updateStrategy: 'canary' });
    idle(world);
    expect(killed(world)).toEqual([]);
    expect(tell(world, 'start').outcome).toBe('done');
    run(world, () => world.record.rollout?.canary === 'held');
    idle(world);
    expect(killed(world)).toEqual(['etcd-1']);
    expect(tell(world, 'continue').outcome).toBe('done');
    run(world, isOver(world));
    expect(killed(world)).toEqual(['etcd-1', 'etcd-2', 'etcd-0']);
  });

  it('wait in a cluster that was adopted: what its members were given is not known', () => {
    const world = wholeWorld();
    world.record = { ...world.record, epoch: { ...world.record.epoch, source: { kind: 'adopted' } } };
    restartWith(world, { etcd: { ...world.spec.etcd, snapshotCount: 5_000 } });
    idle(world);
    expect(killed(world)).toEqual([]);
    expect(tell(world, 'start').outcome).toBe('done');
    run(world, isOver(world));
    expect(killed(world)).toHaveLength(3);
  });

  it('reach nobody while another member is down, and go on when it is back', () => {
    const world = wholeWorld();
    world.end('etcd-2', 'asserted', 'TASK_UNREACHABLE');
    restartWith(world, { etcd: { ...world.spec.etcd, snapshotCount: 5_000 } });
    idle(world);
    expect(killed(world)).toEqual([]);
    expect(blockedBy(world, 'update-waits')).toContain('until the whole cluster has been well');
    world.offered.set(world.seat('etcd-2').id, { volume: true, complete: true });
    run(world, isOver(world));
    expect(killed(world)).toHaveLength(3);
  });
});

describe('another artifact', () => {
  it('waits for its word, then reaches one member after the other', () => {
    const world = wholeWorld();
    restartWith(world, { artifact: NEW });
    idle(world);
    expect(world.record.rollout).toBeNull();
    expect(killed(world)).toEqual([]);
    expect(tell(world, 'start')).toMatchObject({
      outcome: 'done',
      message: expect.stringContaining('etcd-0'),
    });
    expect(tell(world, 'start').outcome).toBe('already');
    run(world, isOver(world));
    expect(artifacts(world)).toEqual([NEW, NEW, NEW]);
    expect(killed(world)).toEqual(['etcd-1', 'etcd-2', 'etcd-0']);
  });

  it('is refused where it skips a minor, or goes back after the cluster has followed', () => {
    const world = wholeWorld();
    world.clusterVersion = '3.4.0';
    restartWith(world, { artifact: NEW });
    expect(tell(world, 'start')).toMatchObject({
      outcome: 'refused',
      message: expect.stringContaining("the cluster's version is still 3.4"),
    });
    restartWith(world, { artifact: served('c', '3.4.45') });
    world.clusterVersion = '3.5.0';
    expect(tell(world, 'start').message).toContain('a downgrade takes a backup');
    expect(killed(world)).toEqual([]);
  });

  it('of which nobody says which etcd it brings is not rolled out', () => {
    const world = wholeWorld();
    restartWith(world, { artifact: tarballId('d'.repeat(64)) });
    expect(tell(world, 'start').message).toContain('--artifact-etcd-version');
  });

  it('that fails stops the update; the former options heal it without a word', () => {
    const world = wholeWorld();
    world.failing = (seat) => seat.pinned.artifact === NEW;
    restartWith(world, { artifact: NEW });
    tell(world, 'start');
    run(world, () => world.record.rollout?.failed != null);
    expect(world.record.rollout?.failed).toMatchObject({
      slot: 'etcd-1',
      message: expect.stringContaining('its task ended 5 times soon after its launch'),
    });
    idle(world, 300);
    expect(artifacts(world)).toEqual([OLD, NEW, OLD]);
    expect(blockedBy(world, 'update-failed')).toContain('put the former options back');
    restartWith(world, { artifact: OLD });
    run(world, isOver(world));
    expect(artifacts(world)).toEqual([OLD, OLD, OLD]);
    expect(world.isWhole()).toBe(true);
  });

  it('that does not serve in time stops the update; a word tries again', () => {
    const world = wholeWorld();
    restartWith(world, { artifact: NEW, updateStepTimeoutMs: 20_000 });
    world.refuse.add('start');
    tell(world, 'start');
    run(world, () => world.record.rollout?.failed != null);
    expect(world.record.rollout?.failed?.message).toContain('it did not serve again in 20 s');
    idle(world);
    expect(killed(world)).toEqual(['etcd-1']);
    world.refuse.clear();
    idle(world);
    expect(killed(world)).toEqual(['etcd-1']);
    expect(tell(world, 'continue')).toMatchObject({
      outcome: 'done',
      message: expect.stringContaining('etcd-1'),
    });
    run(world, isOver(world));
    expect(artifacts(world)).toEqual([NEW, NEW, NEW]);
  });
});

describe('an operator', () => {
  it('has it paused and resumed between two members', () => {
    const world = wholeWorld();
    restartWith(world, { artifact: NEW });
    tell(world, 'start');
    run(world, () => killed(world).length === 1);
    expect(tell(world, 'interrupt').outcome).toBe('done');
    expect(tell(world, 'interrupt').outcome).toBe('already');
    run(world, () => world.isWhole());
    idle(world);
    expect(artifacts(world)).toEqual([OLD, NEW, OLD]);
    expect(world.record.plans.paused).toMatchObject([{ plan: 'update', by: 'alice' }]);
    expect(tell(world, 'continue').outcome).toBe('done');
    run(world, isOver(world));
    expect(artifacts(world)).toEqual([NEW, NEW, NEW]);
  });

  it('has a member left as it is, and updated after all', () => {
    const world = wholeWorld();
    restartWith(world, { artifact: NEW });
    tell(world, 'start');
    const step = 'etcd-2:[server]';
    expect(tell(world, 'forceComplete', { step })).toMatchObject({ outcome: 'done' });
    expect(tell(world, 'forceComplete', { step })).toMatchObject({ outcome: 'already' });
    run(world, () => artifacts(world)[0] === NEW);
    idle(world);
    expect(artifacts(world)).toEqual([NEW, NEW, OLD]);
    expect(world.record.plans.forced).toMatchObject([{ plan: 'update', step, by: 'alice' }]);
    expect(tell(world, 'restart', { step })).toMatchObject({ outcome: 'done' });
    run(world, isOver(world));
    expect(artifacts(world)).toEqual([NEW, NEW, NEW]);
    expect(world.record.plans.forced).toEqual([]);
  });

  it('is told that one member alone is updated only with force', () => {
    const world = wholeWorld(1);
    restartWith(world, { artifact: NEW });
    expect(tell(world, 'start')).toMatchObject({
      outcome: 'refused',
      message: expect.stringContaining('a quorum is 1'),
      hint: expect.stringContaining('no write is acknowledged'),
    });
    expect(tell(world, 'start', { force: true }).outcome).toBe('done');
    run(world, isOver(world));
    expect(world.seat('etcd-0').pinned.artifact).toBe(NEW);
  });
});

describe('an upgrade to the next minor, where there is an archive,', () => {
  const WANTED = 'before the upgrade to etcd 3.6.16';
  /** A full of now, read back whole. */
  const takeFull = (world: SmallWorld): void => {
    world.archive = { archivedRevision: '90', verifiedFullAtMs: world.nowMs };
  };
  function upgrading(): SmallWorld {
    const world = wholeWorld();
    // An old one does not count.
    takeFull(world);
    idle(world, 1);
    restartWith(world, { artifact: NEW });
    return world;
  }

  it('waits for a full of its own that was read back, and then goes on with every member', () => {
    const world = upgrading();
    expect(tell(world, 'start').message).toContain('a full backup is taken first');
    idle(world);
    expect(killed(world)).toEqual([]);
    expect(world.last?.fullWanted).toBe(WANTED);
    expect(blockedBy(world, 'waits-for-full')).toContain('plan force-complete update etcd full-backup');
    takeFull(world);
    run(world, () => {
      expect(world.last?.fullWanted === null || killed(world).length === 0).toBe(true);
      return isOver(world)();
    });
    expect(artifacts(world)).toEqual([NEW, NEW, NEW]);
  });

  it('is taken for the way back, which names its full', () => {
    const world = upgrading();
    tell(world, 'start');
    takeFull(world);
    const atMs = world.nowMs;
    run(world, isOver(world));
    expect(world.record.upgradeFull).toMatchObject({ etcd: '3.5.30', atMs });
    world.clusterVersion = '3.6.0';
    // A later one is none of before.
    takeFull(world);
    restartWith(world, { artifact: OLD });
    expect(tell(world, 'start').message).toContain(`restore --to ${new Date(atMs).toISOString()}`);
  });

  it('is content with one full, also where another scheduler takes over that knows of none', () => {
    const world = upgrading();
    tell(world, 'start');
    takeFull(world);
    run(world, () => killed(world).length === 1);
    world.archive = { archivedRevision: '0', verifiedFullAtMs: null };
    run(world, isOver(world));
    expect(artifacts(world)).toEqual([NEW, NEW, NEW]);
  });

  it('asks for none while the cluster is not well, nor before its word, nor while it is paused', () => {
    const world = upgrading();
    idle(world);
    expect(world.last?.fullWanted).toBeNull();
    tell(world, 'start');
    tell(world, 'interrupt');
    idle(world);
    expect(world.last?.fullWanted).toBeNull();
    tell(world, 'continue');
    world.end('etcd-2', 'asserted', 'TASK_UNREACHABLE');
    idle(world);
    expect(world.last?.fullWanted).toBeNull();
  });

  it('goes on without one on an operator’s word, which is kept while it lasts', () => {
    const world = upgrading();
    expect(tell(world, 'forceComplete', { step: 'full-backup' })).toMatchObject({
      outcome: 'refused',
      message: 'no update is under way',
    });
    tell(world, 'start');
    const word = tell(world, 'forceComplete', { step: 'full-backup' });
    expect(word).toMatchObject({ outcome: 'done', message: expect.stringContaining('as alice says') });
    expect(tell(world, 'forceComplete', { step: 'full-backup' }).outcome).toBe('already');
    expect(world.record.plans.forced).toMatchObject([
      { plan: 'update', step: 'full-backup', by: 'alice', atMs: world.nowMs },
    ]);
    expect(tell(world, 'restart', { step: 'full-backup' }).outcome).toBe('done');
    idle(world);
    expect(killed(world)).toEqual([]);
    tell(world, 'forceComplete', { step: 'full-backup' });
    run(world, isOver(world));
    expect(artifacts(world)).toEqual([NEW, NEW, NEW]);
    expect(world.record.plans.forced).toEqual([]);
  });

  it('does not slip in with a member that is down for its options', () => {
    const world = upgrading();
    restartWith(world, { etcd: { ...world.spec.etcd, snapshotCount: 5_000 } });
    world.step();
    run(world, () => killed(world).length === 1);
    expect(world.record.upgradeFull).toBeNull();
    tell(world, 'start');
    run(world, () => world.record.rollout?.step === null);
    idle(world);
    expect(artifacts(world)).toEqual([OLD, OLD, OLD]);
    expect(world.last?.fullWanted).toBe(WANTED);
    takeFull(world);
    run(world, isOver(world));
    expect(artifacts(world)).toEqual([NEW, NEW, NEW]);
  });

  it('takes no full after the other where the clock went back since it was begun', () => {
    const world = upgrading();
    world.archive = { archivedRevision: '0', verifiedFullAtMs: null };
    tell(world, 'start');
    world.nowMs -= 3_600_000;
    idle(world);
    expect(world.last?.fullWanted).toBe(WANTED);
    takeFull(world);
    run(world, isOver(world));
    expect(artifacts(world)).toEqual([NEW, NEW, NEW]);
  });

  it('is the only one that waits: another patch does not', () => {
    const world = wholeWorld();
    world.archive = { archivedRevision: '0', verifiedFullAtMs: null };
    restartWith(world, { artifact: served('b', '3.5.31') });
    expect(tell(world, 'start').message).not.toContain('full');
    run(world, isOver(world));
    expect(killed(world)).toHaveLength(3);
  });
});

describe('other resources', () => {
  const MORE = { cpus: 2, memMb: 1024, diskMb: 1024 };

  it('are given in place where the agents have room', () => {
    const world = wholeWorld();
    const before = world.record.seats.map(({ id }) => id).sort();
    restartWith(world, { resources: MORE });
    world.step();
    run(world, isOver(world));
    expect(world.record.seats.map(({ resources }) => resources)).toEqual([MORE, MORE, MORE]);
    expect(world.record.seats.map(({ id }) => id).sort()).toEqual(before);
  });

  it('have members moved where they have none, and for a larger disk', () => {
    for (const resources of [MORE, { ...MORE, cpus: 1, memMb: 512, diskMb: 4096 }]) {
      const world = wholeWorld();
      world.hasRoom = false;
      const before = world.record.seats.map(({ id }) => id);
      restartWith(world, { resources });
      world.step();
      run(world, isOver(world), 4000);
      expect(world.record.seats.map((seat) => seat.resources)).toEqual([resources, resources, resources]);
      expect(world.record.seats.filter(({ id }) => before.includes(id))).toEqual([]);
      expect(world.isWhole()).toBe(true);
    }
  });

  it('that fit in no place leave the member where it is once the former are back', () => {
    const world = wholeWorld();
    world.offersFit = false;
    restartWith(world, { resources: { ...MORE, diskMb: 4096 } });
    world.step();
    run(world, () => world.record.seats.some(({ lost }) => lost?.cause === 'moved'));
    idle(world);
    restartWith(world, { resources: { cpus: 1, memMb: 512, diskMb: 1024 } });
    run(world, isOver(world));
    expect(world.isWhole()).toBe(true);
    expect(killed(world)).toEqual([]);
  });
});
