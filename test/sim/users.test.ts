import { describe, expect, test } from 'vitest';
import type { AsksForUser } from './model-etcd.ts';
import { createChance } from './prng.ts';
import { createWorld, type World } from './world.ts';

/** An operator turns etcd's own authentication on, and off again much later: in between things break as ever. */

const WITHIN_MS = 15 * 60_000;
const TROUBLES = 8;
const SEEDS = [1, 2, 3];

interface Seen {
  /** States that the health of the cluster was in. */
  readonly states: ReadonlySet<string>;
  /** The seats before, and after what can be repaired in place. */
  readonly seats: readonly (readonly string[])[];
  /** The members before, and long after a disk was lost for good. */
  readonly listed: readonly (readonly string[])[];
}

async function live(asksForUser: AsksForUser, seed: number): Promise<Seen> {
  const random = createChance(seed).stream('users of etcd');
  const world = createWorld({ seed, size: 3, hosts: 4, latencyMs: random.pick([0.3, 1, 5]), debug: false });
  const isWhole = (): boolean => world.schedulerRuns && world.unrest().length === 0;
  const seatsNow = (): string[] => (world.record()?.seats ?? []).map(({ id }) => id);
  const states = new Set<string>();
  const watch = async (durationMs: number): Promise<void> => {
    for (let ms = 0; ms < durationMs; ms += 250) {
      await world.run(250);
      states.add(world.health()?.state ?? 'no scheduler');
    }
  };
  try {
    world.startScheduler();
    await world.runUntil('the cluster is whole', isWhole, WITHIN_MS);
    world.startWriter();
    await world.run(10_000);
    const seats = [seatsNow()];
    world.askForUser(asksForUser);
    await watch(5_000);
    for (let turn = 0; turn < TROUBLES; turn += 1) {
      await trouble(world, random.pick(world.seatHosts()), random.pick(TROUBLE_KINDS));
      await watch(random.between(1_000, 60_000));
    }
    const isTold = (): boolean => world.unrest().every((why) => why.startsWith('blocked: needs-user'));
    await world.runUntil('all goes on as it did', () => world.schedulerRuns && isTold(), WITHIN_MS);
    seats.push(seatsNow());
    const listed = [membersNow(world)];
    const [host = ''] = world.seatHosts().filter(world.canLose);
    const agentId = world.loseHost(host);
    await world.markGone(agentId);
    await watch(10 * 60_000);
    listed.push(membersNow(world));
    world.askForUser('no');
    await world.runUntil('the lost member is replaced', isWhole, WITHIN_MS);
    await world.run(15_000);
    expect(world.unrest()).toEqual([]);
    return { states, seats, listed };
  } finally {
    world.end();
  }
}

const TROUBLE_KINDS = ['etcd', 'supervisor', 'orphan', 'scheduler', 'power'] as const;

async function trouble(world: World, host: string, kind: (typeof TROUBLE_KINDS)[number]): Promise<void> {
  switch (kind) {
    case 'etcd':
      world.killEtcd(host);
      return;
    case 'supervisor':
    case 'orphan':
      world.killSupervisor(host, { orphan: kind === 'orphan' });
      return;
    case 'scheduler':
      world.killScheduler('while etcd asks for a user', 5_000);
      return;
    case 'power':
      world.reboot(host);
      await world.run(20_000);
      world.startAgent(host);
  }
}

/** Whom the record knows as members, lost or not. */
const membersNow = (world: World): string[] =>
  (world.record()?.seats ?? []).flatMap(({ data }) => data?.memberId ?? []).toSorted();

describe.each(['for-changes', 'always'] as const)('an etcd that asks for a user: %s', (asksForUser) => {
  test.each(SEEDS)(
    'is kept up, never changed, and never taken for one without a quorum, seed %i',
    async (seed) => {
      const { states, seats, listed } = await live(asksForUser, seed);
      expect(seats[1]).toEqual(seats[0]);
      expect(listed[1]).toEqual(listed[0]);
      if (asksForUser === 'always') expect([...states]).not.toContain('quorum-lost');
    },
  );
});
