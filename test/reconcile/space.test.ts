import { describe, expect, it } from 'vitest';
import type { CommandAnswer } from '../../src/reconcile/command-answers.ts';
import type { OperatorCommand } from '../../src/reconcile/commands.ts';
import { judgeHashes } from '../../src/reconcile/hashes.ts';
import { SmallWorld } from './small-world.ts';

const QUOTA_BYTES = 2 ** 31;

function wholeWorld(size = 3): SmallWorld {
  const world = new SmallWorld(size);
  world.until(() => world.isWhole());
  world.applied = 50_000n;
  for (const member of world.members.values()) member.applied = 50_000n;
  world.leader = world.member('etcd-0').memberId;
  world.step();
  world.story.length = 0;
  return world;
}

const tell = (world: SmallWorld, command: OperatorCommand): CommandAnswer => world.tell(command);
const defragment = (slot: string | null = null, force = false): OperatorCommand => ({
  kind: 'defragment',
  slot,
  by: 'alice',
  force,
});

/** What was done, without the ids of members. */
const deeds = (world: SmallWorld): string[] =>
  world.story.map((line) => line.split(' ').slice(0, 2).join(' '));
const isIdle = (world: SmallWorld) => () => world.record.space === null && world.record.disruption === null;
const blocked = (world: SmallWorld): string[] =>
  world.last?.blocked.map(({ code, message }) => `${code}: ${message}`) ?? [];
const idOf = (world: SmallWorld, slot: string): string => world.member(slot).memberId ?? '';

describe('an operator’s defragment', () => {
  it('goes through the members one at a time, the leader last and after it handed over', () => {
    const world = wholeWorld();
    expect(tell(world, defragment())).toMatchObject({
      outcome: 'done',
      message: 'etcd-0, etcd-1, etcd-2: defragmented one at a time, the leader last',
    });
    world.until(isIdle(world));
    expect(deeds(world)).toEqual([
      'defragment etcd-1',
      'defragment etcd-2',
      expect.stringMatching(/^move-leader etcd-0/),
      'defragment etcd-0',
    ]);
    expect(world.isWhole()).toBe(true);
  });

  it('of one member touches no other', () => {
    const world = wholeWorld();
    expect(tell(world, defragment('etcd-2')).outcome).toBe('done');
    world.until(isIdle(world));
    expect(deeds(world)).toEqual(['defragment etcd-2']);
  });

  it('counts a member that was told to as away until it has', () => {
    const world = wholeWorld(5);
    world.rewritesHang = true;
    tell(world, defragment('etcd-3'));
    world.until(() => world.story.length > 0);
    world.step();
    expect(world.last?.health).toMatchObject({ voters: 5, healthyVoters: 4 });
    expect(
      tell(world, { kind: 'pod', verb: 'restart', slot: 'etcd-1', by: 'bob', force: false }),
    ).toMatchObject({
      outcome: 'refused',
      message: expect.stringContaining('the defragmentation of etcd-3 is under way'),
    });
  });

  it('waits while another member is away, and goes on when it is back', () => {
    const world = wholeWorld();
    tell(world, defragment());
    world.member('etcd-2').phase = 'backing-off';
    for (let step = 0; step < 5; step += 1) world.step();
    expect(deeds(world)).toEqual([]);
    expect(blocked(world).join()).toMatch(/defragment-waits: .* 1 of 3 voters are healthy/);
    world.member('etcd-2').phase = 'running';
    world.until(isIdle(world));
    expect(deeds(world).filter((deed) => deed.startsWith('defragment'))).toHaveLength(3);
  });

  it('is refused with a reason where it would cost the quorum, and forced where that is wanted', () => {
    const world = wholeWorld();
    world.member('etcd-2').phase = 'backing-off';
    world.step();
    expect(tell(world, defragment('etcd-1'))).toMatchObject({
      outcome: 'refused',
      message: expect.stringContaining('without it 1 of 3 voters are healthy'),
      hint: expect.stringContaining('takes no writes'),
    });
    expect(tell(world, defragment('etcd-1', true)).outcome).toBe('done');
    world.until(isIdle(world));
    expect(deeds(world)).toEqual(['defragment etcd-1']);
  });

  it('is refused where a supervisor does not know the order', () => {
    const world = wholeWorld();
    world.member('etcd-1').protocol = 1;
    expect(tell(world, defragment())).toMatchObject({
      outcome: 'refused',
      message: expect.stringMatching(
        /the supervisor of etcd-1 is of an older build .* roll this release out/,
      ),
    });
    expect(tell(world, defragment('etcd-2')).outcome).toBe('done');
  });

  it('asked twice is one; of others it is refused while a round is open', () => {
    const world = wholeWorld();
    world.rewritesHang = true;
    tell(world, defragment('etcd-1'));
    expect(tell(world, defragment('etcd-1'))).toMatchObject({ outcome: 'already' });
    expect(tell(world, defragment('etcd-2'))).toMatchObject({ outcome: 'refused' });
    expect(tell(world, defragment('etcd-7'))).toMatchObject({
      outcome: 'refused',
      message: 'nothing is defragmented: etcd-7 holds no member',
    });
  });

  it('that waits for a quorum goes on when it is forced', () => {
    const world = wholeWorld(1);
    fill(world, 1, 0.3);
    for (let step = 0; step < 10; step += 1) world.step();
    expect(blocked(world).join()).toContain('defragment-waits');
    expect(tell(world, defragment(null, true)).outcome).toBe('done');
    world.until(() => world.alarms.length === 0);
  });

  it('goes on after a crash with what is left, and does nothing twice', () => {
    const world = wholeWorld();
    tell(world, defragment());
    world.until(() => deeds(world).filter((deed) => deed.startsWith('defragment')).length === 2);
    // A scheduler that takes over knows nothing but the record.
    world.record = structuredClone(world.record);
    world.until(isIdle(world));
    expect(deeds(world).filter((deed) => deed.startsWith('defragment'))).toHaveLength(3);
  });

  it('that comes to nothing again and again is given up', () => {
    const world = wholeWorld();
    world.refuse.add('defragment');
    tell(world, defragment('etcd-1'));
    world.until(isIdle(world), 2_000, 5_000);
    expect(world.record.space).toBeNull();
    expect(world.nowMs).toBeLessThan(4 * 3_600_000);
  });
});

/** Every member's database has that size and that much in use, and one has raised the alarm. */
function fill(world: SmallWorld, part: number, inUse: number): void {
  for (const member of world.members.values()) {
    member.sizeBytes = Math.floor(part * QUOTA_BYTES);
    member.inUseBytes = Math.floor(inUse * QUOTA_BYTES);
  }
  world.alarms = [{ memberId: idOf(world, 'etcd-0'), alarm: 'NOSPACE' }];
}

describe('NOSPACE', () => {
  it('with much free in the files is cured by defragmenting alone', () => {
    const world = wholeWorld();
    fill(world, 1, 0.3);
    world.until(() => world.alarms.length === 0);
    world.until(isIdle(world));
    expect(deeds(world).map((deed) => deed.replace(/ .*/, ''))).toEqual([
      'defragment',
      'defragment',
      'move-leader',
      'defragment',
      'disarm',
    ]);
  });

  it('by history is compacted as far as is kept, then defragmented, then disarmed', () => {
    const world = wholeWorld();
    fill(world, 1, 0.95);
    world.compactedBytes = 0.2 * QUOTA_BYTES;
    world.until(() => world.alarms.length === 0);
    world.until(isIdle(world));
    const done = deeds(world).map((deed) => deed.replace(/^(to revision.*|\S+).*/, '$1'));
    expect(done).toEqual([
      'compact',
      'to revision',
      'defragment',
      'defragment',
      'move-leader',
      'defragment',
      'disarm',
    ]);
    // 10000 revisions before the newest are kept.
    expect(world.story).toContain('to revision 40000');
    expect(world.story[0]).not.toContain('etcd-0');
  });

  it('is never compacted beyond what an archive holds', () => {
    const world = wholeWorld();
    world.archive = { archivedRevision: '1234', verifiedFullAtMs: null };
    fill(world, 1, 0.95);
    world.until(() => world.story.some((line) => line.startsWith('to revision')), 60, 1_000);
    expect(world.story).toContain('to revision 1234');
  });

  it('waits a little for an archive that is behind, and then compacts as much as without one', () => {
    const world = wholeWorld();
    world.archive = { archivedRevision: '1234', verifiedFullAtMs: null };
    fill(world, 1, 0.95);
    for (let step = 0; step < 5; step += 1) world.step(1_000);
    expect(world.story.join()).not.toContain('to revision');
    world.archive = { archivedRevision: '50000', verifiedFullAtMs: null };
    world.until(() => world.story.some((line) => line.startsWith('to revision')), 60, 1_000);
    expect(world.story).toContain('to revision 40000');
  });

  it('is taken up again when the archive that kept history from being compacted has caught up', () => {
    const world = wholeWorld();
    world.archive = { archivedRevision: '1234', verifiedFullAtMs: null };
    fill(world, 1, 0.95);
    world.until(() => world.record.space?.relief?.stage === 'fruitless', 60, 1_000);
    for (let step = 0; step < 150; step += 1) world.step(1_000);
    expect(world.record.space?.relief?.stage).toBe('fruitless');
    world.archive = { archivedRevision: '2345', verifiedFullAtMs: null };
    world.until(() => world.story.includes('to revision 2345'), 60, 1_000);
  });

  it('of live data is the operator’s after one round, and is taken up again when they have freed some', () => {
    const world = wholeWorld();
    fill(world, 1, 0.95);
    world.until(() => world.record.space?.relief?.stage === 'fruitless');
    const after = world.story.length;
    for (let step = 0; step < 20; step += 1) world.step(1_000);
    expect(world.story.length).toBe(after);
    expect(world.alarms).toHaveLength(1);
    expect(blocked(world).join()).toMatch(/no-space: etcd refuses writes: 95 % of the quota is in use/);
    expect(blocked(world).join()).toContain('etcd-mesos space');
    for (const member of world.members.values()) member.inUseBytes = 0.5 * QUOTA_BYTES;
    world.until(() => world.alarms.length === 0);
  });

  it('that came to nothing although there is space is taken up again after a while', () => {
    const world = wholeWorld();
    fill(world, 0.3, 0.3);
    world.refuse.add('disarm');
    world.until(() => world.record.space?.relief?.stage === 'fruitless', 2_000, 1_000);
    world.refuse.clear();
    world.until(() => world.alarms.length === 0, 2_000, 1_000);
  });

  it('waits while a CORRUPT alarm stands', () => {
    const world = wholeWorld();
    fill(world, 1, 0.3);
    world.alarms.push({ memberId: idOf(world, 'etcd-1'), alarm: 'CORRUPT' });
    for (let step = 0; step < 10; step += 1) world.step(1_000);
    expect(deeds(world).filter((deed) => deed.startsWith('defragment'))).toEqual([]);
  });

  it('within the kept window compacts nothing', () => {
    const world = wholeWorld();
    world.spec = { ...world.spec, compactKeepRevisions: 60_000 };
    fill(world, 1, 0.95);
    world.until(() => world.record.space?.relief?.stage === 'fruitless');
    expect(deeds(world)).toEqual([]);
  });

  it('of a member that was away meanwhile is not forgotten', () => {
    const world = wholeWorld(5);
    fill(world, 1, 0.3);
    world.member('etcd-4').phase = 'backing-off';
    world.until(
      () => world.record.space?.relief?.stage === 'defragmented' && world.record.space.round === null,
    );
    world.member('etcd-4').phase = 'running';
    world.until(() => world.alarms.length === 0);
    expect(deeds(world)).toContain('defragment etcd-4');
  });

  it('of a member whose place is given up for now waits until it is back', () => {
    const world = wholeWorld();
    world.offersFit = false;
    const place = () => world.record.seats.find(({ slot }) => slot === 'etcd-1');
    world.maintenance.set(place()?.agentId ?? '', world.nowMs);
    world.until(() => place()?.lost?.cause === 'maintenance');
    fill(world, 1, 0.3);
    for (let step = 0; step < 60; step += 1) world.step(1_000);
    expect(world.record.space?.relief?.stage).toBe('settled');
    expect(deeds(world)).not.toContain('defragment etcd-1');
    expect(blocked(world).join()).toContain('no-space');
    world.maintenance.clear();
    world.until(() => world.alarms.length === 0);
    expect(deeds(world)).toContain('defragment etcd-1');
  });

  it('does nothing to a member while another is away', () => {
    const world = wholeWorld();
    fill(world, 1, 0.3);
    world.member('etcd-2').phase = 'backing-off';
    for (let step = 0; step < 10; step += 1) world.step();
    expect(deeds(world)).toEqual([]);
    expect(blocked(world).join()).toContain('defragment-waits');
  });

  it('that is not all can be disarmed by an operator', () => {
    const world = wholeWorld();
    const disarm: OperatorCommand = { kind: 'disarm', alarm: 'NOSPACE', by: 'alice' };
    expect(tell(world, disarm)).toMatchObject({ outcome: 'already', message: 'no alarm NOSPACE stands' });
    fill(world, 1, 0.95);
    world.spec = { ...world.spec, compactKeepRevisions: 60_000 };
    world.until(() => world.record.space?.relief?.stage === 'fruitless');
    expect(tell(world, disarm).outcome).toBe('done');
    world.until(isIdle(world));
    expect(world.alarms).toEqual([]);
  });
});

describe('CORRUPT', () => {
  const raise = (world: SmallWorld, slot: string) => {
    world.alarms = [{ memberId: idOf(world, slot), alarm: 'CORRUPT' }];
  };

  it('of a member that a majority’s hashes show to differ is a loss: it is removed, then replaced', () => {
    const world = wholeWorld();
    world.member('etcd-1').hash = 8;
    const id = idOf(world, 'etcd-1');
    raise(world, 'etcd-1');
    world.until(() => world.alarms.length === 0 && world.isWhole(), 200);
    const changes = deeds(world).filter((deed) => /member-|place|disarm/.test(deed));
    expect(changes[0]).toBe('place etcd-1');
    expect(changes.indexOf('disarm etcd-0')).toBeGreaterThan(changes.indexOf('member-remove etcd-0'));
    expect(changes.indexOf('member-add etcd-0')).toBeGreaterThan(changes.indexOf('member-remove etcd-0'));
    expect(world.voters()).not.toContain(id);
    expect(world.record.space).toBeNull();
  });

  it('that names a sound member costs the one that differs, be it the leader', () => {
    const world = wholeWorld();
    world.member('etcd-0').hash = 8;
    const [leader, named] = [idOf(world, 'etcd-0'), idOf(world, 'etcd-2')];
    raise(world, 'etcd-2');
    world.until(() => world.voters().length === 3 && !world.voters().includes(leader), 200);
    expect(world.voters()).toContain(named);
    const adds = world.story.findIndex((line) => line.startsWith('member-add'));
    const removes = world.story.findIndex((line) => line.startsWith('member-remove'));
    // A learner is sent the leader's data: never while that is what differs.
    expect(removes).toBeGreaterThanOrEqual(0);
    expect(adds).toBeGreaterThan(removes);
  });

  it('without a majority is the operator’s', () => {
    const world = wholeWorld();
    world.member('etcd-0').hash = 8;
    world.member('etcd-1').hash = 9;
    raise(world, 'etcd-1');
    for (let step = 0; step < 30; step += 1) world.step(1_000);
    expect(world.record.seats.every(({ lost }) => lost === null)).toBe(true);
    expect(blocked(world).join()).toMatch(/corrupt: a CORRUPT alarm names member .* no majority of hashes/);
  });

  it('while all hold the same is the operator’s to let go', () => {
    const world = wholeWorld();
    raise(world, 'etcd-1');
    for (let step = 0; step < 30; step += 1) world.step(1_000);
    expect(world.alarms).toHaveLength(1);
    expect(blocked(world).join()).toMatch(
      /all voters hold the same at revision 50000: .*alarm disarm CORRUPT/,
    );
    expect(tell(world, { kind: 'disarm', alarm: 'CORRUPT', by: 'alice' }).outcome).toBe('done');
    world.until(isIdle(world));
    expect(world.alarms).toEqual([]);
  });

  it('a member whose etcd refuses to start on other data than its peers’ is replaced, when they agree', () => {
    const world = wholeWorld();
    const member = world.member('etcd-2');
    member.phase = 'backing-off';
    member.differs = true;
    const left = () => world.record.seats.every(({ id }) => id !== member.seat.id);
    world.until(() => left() && world.isWhole(), 200);
    const alone = wholeWorld();
    alone.member('etcd-1').hash = 8;
    Object.assign(alone.member('etcd-2'), { phase: 'backing-off', differs: true });
    alone.refuse.add('start');
    for (let step = 0; step < 30; step += 1) alone.step(1_000);
    expect(alone.record.seats.every(({ lost }) => lost === null)).toBe(true);
  });

  it('that keeps a sound member from starting: that one is started unchecked, to tell its hash', () => {
    const world = wholeWorld();
    const [damaged, sound] = [world.member('etcd-1'), world.member('etcd-2')];
    damaged.hash = 8;
    Object.assign(sound, { phase: 'backing-off', differs: true });
    world.until(() => world.voters().length === 3 && !world.voters().includes(damaged.memberId ?? ''), 200);
    expect(deeds(world).filter((deed) => deed.startsWith('start'))[0]).toBe('start etcd-2');
    expect(world.voters()).toContain(sound.memberId);
  });

  it('that keeps a majority from starting: that is started unchecked, and the quorum is back', () => {
    const world = wholeWorld();
    const damaged = world.member('etcd-0');
    damaged.hash = 8;
    for (const slot of ['etcd-1', 'etcd-2']) {
      Object.assign(world.member(slot), { phase: 'backing-off', differs: true });
    }
    world.until(() => world.voters().length === 3 && !world.voters().includes(damaged.memberId ?? ''), 200);
    const waiting = wholeWorld();
    waiting.member('etcd-1').up = false;
    Object.assign(waiting.member('etcd-2'), { phase: 'backing-off', differs: true });
    for (let step = 0; step < 10; step += 1) waiting.step(1_000);
    expect(deeds(waiting).filter((deed) => deed.startsWith('start'))).toEqual([]);
  });

  it('of one voter of five makes nobody else lost whose etcd refuses to start for its sake', () => {
    const world = wholeWorld(5);
    const [damaged, sound] = [world.member('etcd-1'), world.member('etcd-4')];
    damaged.hash = 8;
    Object.assign(sound, { phase: 'backing-off', differs: true });
    world.until(() => world.voters().length === 5 && !world.voters().includes(damaged.memberId ?? ''), 200);
    expect(world.voters()).toContain(sound.memberId);
  });
});

describe('the verdict of hashes', () => {
  const at = (hash: number, compactRevision = '3') => ({ hash, compactRevision, revision: '9' });
  const verdict = (...entries: [string, ReturnType<typeof at>][]) =>
    judgeHashes(new Set(['a', 'b', 'c']), new Map(entries));

  it('takes a majority of all voters, not of those that answered', () => {
    expect(verdict(['a', at(7)])).toBeNull();
    expect(verdict(['a', at(7)], ['b', at(8)])).toBeNull();
    expect(verdict(['a', at(7)], ['b', at(7)], ['c', at(8)])).toEqual({
      sound: new Set(['a', 'b']),
      differing: new Set(['c']),
    });
  });

  it('says nothing of one that is compacted otherwise, and nothing of who does not vote', () => {
    expect(verdict(['a', at(7)], ['b', at(7)], ['c', at(8, '4')])?.differing.size).toBe(0);
    expect(verdict(['a', at(7)], ['b', at(7)], ['learner', at(8)])?.differing.size).toBe(0);
  });
});
