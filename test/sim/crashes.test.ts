import { describe, expect, test } from 'vitest';
import type { CrashPlan } from './crash-point.ts';
import { createWorld, type World } from './world.ts';

/** The scheduler is killed at every kind of call that it makes in this life, one life for each. */

const WHOLE_WITHIN_MS = 10 * 60_000;

interface Life {
  readonly calls: ReadonlySet<string>;
  readonly crashes: readonly string[];
}

/** Bootstrap, a member killed in place, a host lost, an agent out of sight that returns with its task. */
async function live(plan: CrashPlan | null): Promise<Life> {
  const world = createWorld({ seed: 7, size: 3, hosts: 5, latencyMs: 1, debug: false });
  const whole = async (what: string) =>
    await world.runUntil(what, () => world.schedulerRuns && world.unrest().length === 0, WHOLE_WITHIN_MS);
  try {
    world.planCrash(plan === null ? null : { ...plan, downMs: 500 });
    world.startScheduler();
    await whole('the cluster has formed');
    world.startWriter();
    await world.run(6_000);
    world.killSupervisor(seatHost(world, 0), { orphan: false });
    await whole('the member is back in its place');
    const lost = seatHost(world, 1);
    await world.markGone(world.loseHost(lost));
    await whole('the lost member is replaced');
    const hidden = seatHost(world, 2);
    world.cutFromMaster(hidden);
    await world.run(world.unreachableTimeoutMs + 15_000);
    world.network.heal(hidden);
    await whole('the hidden member is replaced and its task has ended');
    await world.run(5_000);
    expect(world.unrest()).toEqual([]);
    return { calls: world.calls, crashes: world.crashes };
  } finally {
    world.end();
  }
}

function seatHost(world: World, slot: number): string {
  const seat = world.record()?.seats.find((one) => one.slot === `etcd-${slot}`);
  if (seat === undefined) throw new Error(`etcd-${slot} has no seat`);
  return seat.host;
}

const CHANGES = [
  'append',
  'save',
  'call SUBSCRIBE',
  'call ACCEPT',
  'call ACKNOWLEDGE',
  'call ACKNOWLEDGE_OPERATION_STATUS',
  'call DECLINE',
  'call KILL',
  'call RECONCILE',
  'call REVIVE',
  'call SUPPRESS',
  'order prepare',
  'order start',
  'order member-add',
  'order member-remove',
  'order member-promote',
];
/** These are made once in this life; of the others the second is taken, amid more that is going on. */
const ONCE: ReadonlySet<string> = new Set(['append', 'call SUBSCRIBE', 'call KILL', 'call RECONCILE']);
/** Only a scheduler that takes over gives it. */
const TAKE_OVER = 'order fence';

describe('a scheduler that is killed', () => {
  test('makes these kinds of calls, and no other that changes something', async () => {
    const { calls } = await live(null);
    const changing = [...calls].filter((call) => !call.startsWith('call GET_'));
    expect(changing.toSorted()).toEqual(CHANGES.toSorted());
  });

  for (const kind of [...CHANGES, TAKE_OVER]) {
    test.each(['before', 'sent', 'after'] as const)(`at ${kind}, %s it: the same end`, async (when) => {
      const takesOver = kind === TAKE_OVER;
      const { crashes } = takesOver
        ? await liveTwice({ kind, nth: 1, when })
        : await live({ kind, nth: ONCE.has(kind) ? 1 : 2, when });
      expect(crashes.some((why) => why.includes(kind))).toBe(true);
    });
  }
});

/** A first death makes a scheduler take over, which dies of the plan. */
async function liveTwice(plan: CrashPlan): Promise<Life> {
  const world = createWorld({ seed: 8, size: 3, hosts: 4, latencyMs: 1, debug: false });
  const whole = async (what: string) =>
    await world.runUntil(what, () => world.schedulerRuns && world.unrest().length === 0, WHOLE_WITHIN_MS);
  try {
    world.startScheduler();
    await whole('the cluster has formed');
    world.planCrash({ ...plan, downMs: 500 });
    world.killScheduler('by the test', 100);
    await world.run(1_000);
    await world.markGone(world.loseHost(seatHost(world, 1)));
    await whole('the lost member is replaced');
    return { calls: world.calls, crashes: world.crashes };
  } finally {
    world.end();
  }
}
