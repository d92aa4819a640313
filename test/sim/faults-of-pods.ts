import type { PodVerb } from '../../src/reconcile/pods.ts';
import type { Fault, Injection } from './fault.ts';
import type { World } from './world.ts';

/*
 * What an operator does to members through the scheduler, whenever that comes to their mind: often at a bad moment,
 * and then it has to be refused, or to wait.
 */

const BY = 'an operator';

/** A slot of the record, or one that there is not. */
function anySlot({ world, random }: Injection): string {
  const slots = (world.record()?.seats ?? []).map(({ slot }) => slot);
  return slots.length === 0 ? 'etcd-0' : random.pick(slots);
}

function tellPod(world: World, verb: PodVerb, slot: string, force = false): void {
  world.tell({ kind: 'pod', verb, slot, by: BY, force });
}

/** Once, or once more when it may be under way. */
function podCommand(verb: PodVerb, said: string): Fault {
  return {
    name: `pod ${verb}`,
    inject: async (at) => {
      const { world, random, say } = at;
      const force = random.chance(0.15);
      const slot = anySlot(at);
      say(`${slot} is to be ${said}${force ? ', forced' : ''}`);
      tellPod(world, verb, slot, force);
      if (!random.chance(0.4)) return;
      await world.run(random.between(0, 6_000));
      const next = random.chance(0.5) ? slot : anySlot(at);
      tellPod(world, random.pick(['restart', 'replace', 'pause', 'resume']), next);
    },
  };
}

export const POD_COMMANDS: readonly Fault[] = [
  podCommand('restart', 'restarted'),
  podCommand('replace', 'replaced'),
  {
    name: 'pod pause',
    inject: async (at) => {
      const { world, random, say } = at;
      const slot = anySlot(at);
      say(`${slot} is paused for a while`);
      tellPod(world, 'pause', slot, random.chance(0.15));
      await world.run(random.between(0, 40_000));
      if (random.chance(0.8)) tellPod(world, 'resume', slot);
    },
  },
  {
    name: 'leader move',
    inject: async (at) => {
      const { world, random, say } = at;
      const to = random.chance(0.5) ? null : anySlot(at);
      say(`leadership is to go to ${to ?? 'whoever is best placed'}`);
      world.tell({ kind: 'move-leader', to, by: BY });
      await world.run(random.between(0, 2_000));
    },
  },
  {
    name: 'recovery paused',
    inject: async ({ world, random, say }) => {
      say('the plan recovery is paused for a while');
      tellRecovery(world, 'interrupt');
      await world.run(random.between(0, 60_000));
      if (random.chance(0.8)) tellRecovery(world, 'continue');
    },
  },
];

function tellRecovery(world: World, verb: 'interrupt' | 'continue'): void {
  world.tell({ kind: 'plan', plan: 'recovery', verb, step: null, force: false, by: BY });
}

/** Whatever was paused, or is about to be, may run again. */
export function resumeAll(world: World): void {
  tellRecovery(world, 'continue');
  for (const slot of new Set((world.record()?.seats ?? []).map((seat) => seat.slot))) {
    tellPod(world, 'resume', slot);
  }
}
