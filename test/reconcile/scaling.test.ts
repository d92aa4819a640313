import { describe, expect, it, test } from 'vitest';
import type { CommandAnswer } from '../../src/reconcile/command-answers.ts';
import { sizeProblem } from '../../src/reconcile/scaling.ts';
import { SmallWorld } from './small-world.ts';

function wholeWorld(size = 3): SmallWorld {
  const world = new SmallWorld(size);
  world.until(() => world.isWhole());
  world.story.length = 0;
  return world;
}

const scaled = (world: SmallWorld, size: number): CommandAnswer =>
  world.tell({ kind: 'scale', size, by: 'alice' });

const removals = (world: SmallWorld) => world.story.filter((line) => line.startsWith('member-remove'));
const blocks = (world: SmallWorld) => world.last?.blocked.map(({ code }) => code) ?? [];
const slots = (world: SmallWorld) => world.record.seats.map(({ slot }) => slot).sort();
const idOf = (world: SmallWorld, slot: string) => world.member(slot).memberId ?? '';
/** A member does not answer for a moment, and its task runs. */
function silence(world: SmallWorld, slot: string): void {
  world.member(slot).up = false;
}

describe('the wish for another size', () => {
  test.each([
    [0, '1, 3, 5 or 7'],
    [2, 'survive no more failures than 1'],
    [4, 'survive no more failures than 3'],
    [8, '1, 3, 5 or 7'],
    [2.5, '1, 3, 5 or 7'],
  ])('of %s members is refused with the reason', (size, reason) => {
    expect(sizeProblem(size)).toContain(reason);
    const world = wholeWorld();
    const before = world.record;
    expect(scaled(world, size)).toMatchObject({
      outcome: 'refused',
      message: expect.stringContaining(reason),
    });
    expect(world.record).toBe(before);
  });

  it('is refused while the cluster has not formed', () => {
    const world = new SmallWorld();
    world.step();
    expect(scaled(world, 5)).toMatchObject({
      outcome: 'refused',
      message: expect.stringContaining('formed'),
    });
  });

  it('is refused while the service is uninstalled', () => {
    const world = wholeWorld();
    const uninstall = { askedAtMs: 0, by: 'operator', confirmed: false, skipped: [] } as const;
    world.record = { ...world.record, uninstall: { ...uninstall, skipped: [] } };
    expect(scaled(world, 5).outcome).toBe('refused');
  });

  it('is refused while no quorum answers', () => {
    const world = wholeWorld();
    silence(world, 'etcd-0');
    silence(world, 'etcd-1');
    world.step();
    expect(scaled(world, 5)).toMatchObject({
      outcome: 'refused',
      message: expect.stringContaining('linearizable'),
    });
  });

  it('to shrink is refused where those that stay would be no quorum', () => {
    const world = wholeWorld(5);
    silence(world, 'etcd-0');
    silence(world, 'etcd-2');
    world.step();
    expect(scaled(world, 3)).toMatchObject({
      outcome: 'refused',
      message: expect.stringContaining('of which 1 are healthy; a quorum of 3 is 2'),
    });
  });

  it('names who asked, and is recorded once', () => {
    const world = wholeWorld();
    expect(scaled(world, 5).outcome).toBe('done');
    expect(world.record).toMatchObject({ size: 5, sizeOption: 3, scaling: { from: 3, by: 'alice' } });
    expect(scaled(world, 5).outcome).toBe('already');
  });
});

describe('the option --cluster-size', () => {
  const optionIs = (world: SmallWorld, size: number | null) => {
    world.spec = { ...world.spec, size };
  };

  it('is taken up when it has changed, and leaves nothing behind', () => {
    const world = wholeWorld();
    optionIs(world, 5);
    world.until(() => world.record.size === 5 && world.isWhole());
    expect(world.record).toMatchObject({ sizeOption: null, scaling: null });
  });

  it('does not undo a command while it stays the same, and does once it changes', () => {
    const world = wholeWorld();
    scaled(world, 5);
    world.until(() => world.isWhole());
    for (let step = 0; step < 20; step += 1) world.step();
    expect(world.record).toMatchObject({ size: 5, sizeOption: 3, scaling: null });
    optionIs(world, 1);
    world.until(() => world.record.size === 1 && world.isWhole(), 200);
    expect(world.record.sizeOption).toBeNull();
  });

  it('that is made equal to what a command said is taken up without a change', () => {
    const world = wholeWorld();
    scaled(world, 5);
    world.until(() => world.isWhole());
    optionIs(world, 5);
    world.step();
    expect(world.record).toMatchObject({ size: 5, sizeOption: null, scaling: null });
  });

  it('that is left out asks for nothing, whatever was said before', () => {
    const world = wholeWorld();
    scaled(world, 5);
    world.until(() => world.isWhole());
    optionIs(world, null);
    for (let step = 0; step < 20; step += 1) world.step();
    expect(world.record).toMatchObject({ size: 5, sizeOption: 3, scaling: null });
    expect(scaled(world, 5).outcome).toBe('already');
    optionIs(world, 3);
    for (let step = 0; step < 20; step += 1) world.step();
    expect(world.record).toMatchObject({ size: 5, sizeOption: 3, scaling: null });
  });

  it('that was left out so far counts when it is given', () => {
    const world = wholeWorld();
    optionIs(world, null);
    scaled(world, 5);
    world.until(() => world.isWhole());
    expect(world.record).toMatchObject({ size: 5, sizeOption: 3 });
    optionIs(world, 1);
    world.until(() => world.record.size === 1 && world.isWhole(), 200);
  });

  it('waits, visibly, while it cannot be done', () => {
    const world = wholeWorld();
    silence(world, 'etcd-0');
    silence(world, 'etcd-1');
    optionIs(world, 5);
    world.step();
    expect(world.record.size).toBe(3);
    expect(blocks(world)).toContain('size-waits');
    world.member('etcd-0').up = true;
    world.step();
    expect(world.record.size).toBe(5);
  });

  it('that waits is set aside by a command', () => {
    const world = wholeWorld();
    silence(world, 'etcd-0');
    silence(world, 'etcd-1');
    optionIs(world, 5);
    world.step();
    expect(scaled(world, 3).outcome).toBe('done');
    world.member('etcd-0').up = true;
    world.member('etcd-1').up = true;
    for (let step = 0; step < 10; step += 1) world.step();
    expect(world.record).toMatchObject({ size: 3, sizeOption: 5 });
  });
});

describe('growing', () => {
  it('lets new members join one after the other as learners', () => {
    const world = wholeWorld();
    scaled(world, 5);
    let learnersMax = 0;
    world.until(() => {
      learnersMax = Math.max(learnersMax, world.listed.filter(({ isLearner }) => isLearner).length);
      return world.isWhole();
    });
    expect(learnersMax).toBe(1);
    expect(world.voters()).toHaveLength(5);
    expect(slots(world)).toEqual(['etcd-0', 'etcd-1', 'etcd-2', 'etcd-3', 'etcd-4']);
    expect(removals(world)).toEqual([]);
    expect(world.record.scaling).toBeNull();
  });

  it('says what it waits for where no offer fits, and harms nobody', () => {
    const world = wholeWorld();
    world.offersFit = false;
    scaled(world, 5);
    for (let step = 0; step < 20; step += 1) world.step();
    expect(blocks(world)).toContain('waits-for-offers');
    expect(world.voters()).toHaveLength(3);
    expect(world.story).toEqual([]);
  });

  it('that cannot be finished is taken back', () => {
    const world = wholeWorld();
    scaled(world, 5);
    world.step();
    world.offersFit = false;
    world.until(() => world.voters().length === 4 || world.passes > 80, 80);
    scaled(world, 3);
    world.until(() => world.isWhole(), 200);
    expect(slots(world)).toEqual(['etcd-0', 'etcd-1', 'etcd-2']);
    expect(world.record.scaling).toBeNull();
  });

  it.each(['member-add', 'start', 'member-promote'])('is taken back after %s was ordered', (kind) => {
    const world = wholeWorld();
    scaled(world, 5);
    world.until(() => world.story.some((line) => line.startsWith(kind)));
    scaled(world, 3);
    world.until(() => world.isWhole(), 200);
    expect(world.voters()).toHaveLength(3);
    expect(slots(world)).toEqual(['etcd-0', 'etcd-1', 'etcd-2']);
  });

  it('keeps the intent of an addition that may still be carried out', () => {
    const world = wholeWorld();
    world.refuse.add('member-add');
    scaled(world, 5);
    world.until(() => world.record.intent?.committed === true);
    scaled(world, 3);
    world.step(5_000);
    expect(world.record.intent).not.toBeNull();
    world.until(() => world.isWhole(), 60, 1_000);
  });

  it('waits while the plan deploy is paused', () => {
    const world = wholeWorld();
    world.record = {
      ...world.record,
      plans: { paused: [{ plan: 'deploy', by: 'alice', atMs: 0 }], forced: [] },
    };
    scaled(world, 5);
    for (let step = 0; step < 20; step += 1) world.step();
    expect(world.record.seats).toHaveLength(3);
    expect(blocks(world)).toContain('deploy-paused');
  });
});

describe('shrinking', () => {
  it('gives up the highest slot first, one after the other, with all it holds', () => {
    const world = wholeWorld(5);
    const [third, fourth] = [idOf(world, 'etcd-3'), idOf(world, 'etcd-4')];
    scaled(world, 3);
    world.until(() => world.isWhole(), 200);
    expect(removals(world).map((line) => line.split(' ').at(-1))).toEqual([fourth, third]);
    const [first, second] = ['etcd-4', 'etcd-3'].map((slot) =>
      world.story.findIndex((line) => line.startsWith(`kill ${slot}`)),
    );
    expect(first).toBeLessThan(second ?? 0);
    const released = world.story.filter((line) => line.startsWith('release'));
    expect(released).toHaveLength(2);
    expect(world.record).toMatchObject({ scaling: null, sizeOption: 5, leaving: [] });
  });

  it('goes down to one', () => {
    const world = wholeWorld(3);
    scaled(world, 1);
    world.until(() => world.isWhole(), 200);
    expect(slots(world)).toEqual(['etcd-0']);
    expect(world.voters()).toEqual([idOf(world, 'etcd-0')]);
  });

  it('hands leadership over before a leader is removed, to one that stays', () => {
    const world = wholeWorld(5);
    world.leader = idOf(world, 'etcd-4');
    world.step();
    scaled(world, 3);
    world.until(() => removals(world).length > 0);
    const handover = world.story.find((line) => line.startsWith('move-leader'));
    const staying = ['etcd-0', 'etcd-1', 'etcd-2'].map((slot) => idOf(world, slot));
    expect(staying).toContain(handover?.split(' ').at(-1));
  });

  it('removes a dead voter beyond the size first, without a successor', () => {
    const world = wholeWorld(5);
    const dead = idOf(world, 'etcd-3');
    silence(world, 'etcd-3');
    world.step();
    scaled(world, 3);
    world.until(() => removals(world).length > 0);
    expect(removals(world)).toEqual([expect.stringContaining(dead)]);
    world.until(() => world.record.seats.length === 3, 200);
    expect(world.story.filter((line) => line.startsWith('place'))).toEqual([]);
  });

  it('waits for a member that stays and is away for a moment', () => {
    const world = wholeWorld(5);
    silence(world, 'etcd-1');
    world.step();
    scaled(world, 3);
    for (let step = 0; step < 20; step += 1) world.step();
    expect(removals(world)).toEqual([]);
    expect(blocks(world)).toContain('decommission-waits');
    world.member('etcd-1').up = true;
    world.until(() => world.isWhole(), 200);
  });

  it('repairs a lost member that stays before it gives up one that serves', () => {
    const world = wholeWorld(5);
    const [lost, fourth] = [idOf(world, 'etcd-1'), idOf(world, 'etcd-4')];
    world.loseAgent('etcd-1');
    world.step();
    scaled(world, 3);
    world.until(() => world.isWhole(), 200);
    expect(removals(world).map((line) => line.split(' ').at(-1))).toEqual([lost, fourth, expect.any(String)]);
  });

  it('frees a place for a lost member that stays where there is no other', () => {
    const world = wholeWorld(5);
    world.offersFit = false;
    world.loseAgent('etcd-1');
    world.step();
    scaled(world, 3);
    world.until(() => world.voters().length === 4);
    for (let step = 0; step < 20; step += 1) world.step();
    // Three of four serve: the fourth is stood in for.
    expect(world.voters()).toHaveLength(4);
    expect(blocks(world)).toEqual(expect.arrayContaining(['decommission-waits', 'waits-for-offers']));
    world.until(() => world.voters().length === 3, 60, 5_000);
    world.offersFit = true;
    world.until(() => world.isWhole(), 200);
    expect(world.voters()).toHaveLength(3);
  });

  it('removes nobody where a quorum would be lost', () => {
    const world = wholeWorld(5);
    scaled(world, 3);
    world.offersFit = false;
    world.loseAgent('etcd-0');
    world.loseAgent('etcd-1');
    for (let step = 0; step < 40; step += 1) world.step();
    expect(world.voters()).toHaveLength(5);
    expect(blocks(world)).toContain('decommission-waits');
    world.offersFit = true;
    world.until(() => world.isWhole(), 200);
  });

  it('takes back a removal that has had no effect and is not safe any more, so that repair goes on', () => {
    const world = wholeWorld(5);
    world.refuse.add('member-remove');
    scaled(world, 3);
    world.until(() => world.record.intent?.committed === true);
    world.loseAgent('etcd-0');
    world.loseAgent('etcd-1');
    world.step();
    expect(world.record.intent?.slot).toBe('etcd-4');
    world.refuse.clear();
    world.until(() => world.isWhole(), 200, 500);
    expect(world.voters()).toHaveLength(3);
  });

  it('is cancelled by growing again, as far as it was not begun', () => {
    const world = wholeWorld(5);
    scaled(world, 3);
    world.until(() => removals(world).length === 1);
    scaled(world, 5);
    const third = idOf(world, 'etcd-3');
    world.until(() => world.isWhole(), 200);
    expect(removals(world)).toHaveLength(1);
    expect(idOf(world, 'etcd-3')).toBe(third);
    expect(world.voters()).toHaveLength(5);
  });

  it('keeps a member whose removal was not ordered yet when it is wanted again', () => {
    const world = wholeWorld(5);
    world.nameShares = true;
    world.until(() => world.record.seats.every(({ nameTask }) => nameTask !== null));
    scaled(world, 3);
    // Its name is withdrawn first.
    world.step();
    expect(world.record.intent).toMatchObject({ slot: 'etcd-4', committed: false });
    scaled(world, 5);
    for (let step = 0; step < 20; step += 1) world.step();
    expect(removals(world)).toEqual([]);
    expect(world.record).toMatchObject({ intent: null, scaling: null });
    expect(world.record.seats.every(({ lost }) => lost === null)).toBe(true);
  });

  it('waits while the plan decommission is paused, and takes back what was not ordered', () => {
    const world = wholeWorld(5);
    const paused = [{ plan: 'decommission' as const, by: 'alice', atMs: 0 }];
    world.record = { ...world.record, plans: { paused, forced: [] } };
    scaled(world, 3);
    for (let step = 0; step < 20; step += 1) world.step();
    expect(removals(world)).toEqual([]);
    expect(blocks(world)).toContain('decommission-waits');
    world.record = { ...world.record, plans: { paused: [], forced: [] } };
    world.until(() => world.isWhole(), 200);
  });

  it('destroys nothing before all others serve', () => {
    const world = wholeWorld(5);
    scaled(world, 3);
    world.until(() => world.story.some((line) => line.startsWith('kill etcd-4')));
    silence(world, 'etcd-0');
    for (let step = 0; step < 20; step += 1) world.step();
    expect(world.story.some((line) => line.startsWith('release'))).toBe(false);
    expect(blocks(world)).toContain('surplus-kept');
    world.member('etcd-0').up = true;
    world.until(() => world.isWhole(), 200);
  });

  it('fetches a voter back whose removal was not committed when the quorum is lost', () => {
    const world = wholeWorld(3);
    world.refuse.add('member-remove');
    scaled(world, 1);
    world.until(() => world.record.intent?.committed === true);
    for (const slot of ['etcd-0', 'etcd-1']) world.end(slot, 'ended');
    const seat = world.record.seats.find(({ slot }) => slot === 'etcd-2');
    if (seat === undefined) throw new Error('its seat is not in the record any more');
    const member = world.members.get(seat.id);
    if (member !== undefined) member.phase = 'stopped';
    world.refuse.clear();
    world.until(() => world.isWhole(), 300, 500);
    expect(world.voters()).toHaveLength(1);
  });
});
