import { describe, expect, it } from 'vitest';
import { decide } from '../../src/reconcile/decide.ts';
import { SmallWorld } from './small-world.ts';

/** An operator has turned etcd's own authentication on: what is done about it, which is nothing. */

function named(changes: Partial<SmallWorld['spec']> = {}): SmallWorld {
  const world = new SmallWorld();
  world.spec = { ...world.spec, ...changes };
  world.nameShares = true;
  world.until(() => world.isWhole() && world.record.seats.every((seat) => seat.nameTask !== null));
  world.story.length = 0;
  return world;
}

/** Passes that together take longer than anything is waited for. */
function anHour(world: SmallWorld): void {
  for (let step = 0; step < 720; step += 1) world.step(5_000);
}

/** Its agent says that the name task of the slot is over. */
function endName(world: SmallWorld, slot: string): void {
  const { nameTask, agentId } = world.seat(slot);
  const said = {
    state: 'TASK_FAILED',
    source: 'SOURCE_EXECUTOR',
    reason: '',
    message: '',
    atMs: world.nowMs,
  };
  world.tasks.set(nameTask?.task ?? '', { kind: 'over', end: { standing: 'ended', ...said }, agentId });
}

const codes = (world: SmallWorld): string[] => world.last?.blocked.map(({ code }) => code) ?? [];
const reasonOf = (world: SmallWorld): string | undefined =>
  world.last?.blocked.find(({ code }) => code === 'needs-user')?.message;
const orders = (world: SmallWorld): string[] => world.story.filter((line) => line.startsWith('member-'));

describe('members that keep to themselves how they are', () => {
  it('count as well where a quorum stands behind them, and are left alone', () => {
    const world = named();
    const before = structuredClone(world.record.seats);
    world.asksForUser = 'always';
    anHour(world);
    expect(world.story).toEqual([]);
    expect(world.record.seats).toEqual(before);
    expect(world.last?.health).toEqual({ state: 'needs-user', voters: 3, healthyVoters: 3, leader: null });
    expect(codes(world)).toEqual(['needs-user']);
    expect(reasonOf(world)).toBe(
      'etcd’s authentication is on (told by etcd-0, etcd-1, etcd-2), and no user is known here: ' +
        '`etcdctl auth disable` turns it off; until then no member is changed',
    );
    world.asksForUser = 'no';
    world.step();
    expect(world.isWhole()).toBe(true);
    expect(codes(world)).toEqual([]);
  });

  it('are no lost quorum where none stands behind them', () => {
    const world = named();
    world.asksForUser = 'always';
    for (const slot of ['etcd-0', 'etcd-1']) world.member(slot).up = false;
    anHour(world);
    expect(world.story).toEqual([]);
    expect(world.last?.health).toMatchObject({ state: 'needs-user', healthyVoters: 0 });
    expect(codes(world)).not.toContain('no-quorum');
  });

  it('are launched again on their data, with a name, when their task has ended', () => {
    const world = named();
    world.asksForUser = 'always';
    const before = world.seat('etcd-1');
    world.end('etcd-1', 'ended');
    world.until(() => world.last?.health.healthyVoters === 2);
    world.until(() => world.last?.health.healthyVoters === 3);
    world.until(() => (world.seat('etcd-1').nameTask?.task ?? null) !== (before.nameTask?.task ?? null));
    expect(world.seat('etcd-1')).toMatchObject({
      id: before.id,
      launches: 2,
      nameTask: expect.anything() as object,
    });
    expect(world.last?.health.state).toBe('needs-user');
  });

  it('get no name that they lack while they have not shown that a quorum is there', () => {
    const world = named();
    world.asksForUser = 'always';
    for (const slot of ['etcd-0', 'etcd-1']) world.member(slot).up = false;
    endName(world, 'etcd-2');
    anHour(world);
    expect(world.seat('etcd-2').nameTask).toBeNull();
    expect(world.seat('etcd-1').nameTask).not.toBeNull();
    for (const slot of ['etcd-0', 'etcd-1']) world.member(slot).up = true;
    world.until(() => world.seat('etcd-2').nameTask !== null);
  });

  it('are not replaced when one is lost, before they tell again', () => {
    const world = named();
    world.asksForUser = 'always';
    world.loseAgent('etcd-2');
    anHour(world);
    expect(orders(world)).toEqual([]);
    expect(world.record.intent).toBeNull();
    world.asksForUser = 'no';
    world.until(() => world.isWhole());
  });

  it('are no update that failed', () => {
    const world = named();
    world.spec = { ...world.spec, etcd: { ...world.spec.etcd, snapshotCount: 5_000 } };
    world.until(() => world.record.disruption?.begun === true, 200);
    world.asksForUser = 'always';
    anHour(world);
    expect(world.record.rollout).toMatchObject({ failed: null });
    expect(world.story.filter((line) => line.startsWith('kill')).length).toBeLessThanOrEqual(2);
    world.asksForUser = 'no';
    world.until(() => world.record.rollout === null, 2000);
  });
});

it('one that is cut off and has not heard that it is off again keeps nobody from anything', () => {
  const world = named();
  world.loseAgent('etcd-2');
  const seen = world.observe(100);
  const { id } = world.seat('etcd-1');
  const view = seen.members.get(id);
  if (view?.status == null) throw new Error('etcd-1 does not answer');
  const status = { ...view.status, probe: null, needsUser: { quorum: false } };
  const members = new Map([...seen.members, [id, { ...view, status }] as const]);
  const { blocked, health } = decide(world.spec, world.record, { ...seen, members });
  expect(blocked.map(({ code }) => code)).not.toContain('needs-user');
  expect(health).toMatchObject({ state: 'degraded', healthyVoters: 1 });
});

describe('members that tell how they are, and refuse to be changed', () => {
  it('are watched as ever, and none is replaced', () => {
    const world = named();
    world.asksForUser = 'for-changes';
    world.step();
    expect(world.last?.health.state).toBe('healthy');
    expect(codes(world)).toEqual(['needs-user']);
    world.loseAgent('etcd-2');
    anHour(world);
    expect(orders(world)).toEqual([]);
    expect(world.record.intent).toBeNull();
    expect(world.last?.health).toMatchObject({ state: 'degraded', healthyVoters: 2 });
    world.asksForUser = 'no';
    world.until(() => world.isWhole());
  });

  it('have lost their quorum where that is what they say', () => {
    const world = named();
    world.asksForUser = 'for-changes';
    for (const slot of ['etcd-0', 'etcd-1']) world.member(slot).up = false;
    world.step();
    expect(world.last?.health.state).toBe('quorum-lost');
    expect(codes(world)).toContain('no-quorum');
  });
});

describe.each(['for-changes', 'always'] as const)('where a user is asked for: %s', (asksForUser) => {
  it('what takes the consent of etcd is refused, and says what to do', () => {
    const world = named();
    world.asksForUser = asksForUser;
    for (const command of [
      { kind: 'scale', size: 5, by: 'alice' },
      { kind: 'pod', verb: 'replace', slot: 'etcd-1', force: false, by: 'alice' },
      { kind: 'defragment', slot: null, force: true, by: 'alice' },
      { kind: 'disarm', alarm: 'NOSPACE', by: 'alice' },
    ] as const) {
      const answer = world.tell(command);
      expect([command.kind, answer.message]).toEqual([
        command.kind,
        expect.stringContaining('`etcdctl auth disable`'),
      ]);
    }
    world.step();
    expect(world.story).toEqual([]);
  });
});
