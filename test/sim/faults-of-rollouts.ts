import type { PlanVerb } from '../../src/reconcile/plan-commands.ts';
import type { Fault, Injection } from './fault.ts';
import { type SimOptions, simArtifact, simEtcdOptions } from './sim-config.ts';

/*
 * Schedulers that are started with other options, and operators who have them rolled out, hold that, force it and
 * take it back, at whatever moment.
 */

/** Options as they may be; the first are those that a life begins with. */
const RESOURCES = [
  { cpus: 1, memMb: 512, diskMb: 2048 },
  { cpus: 2.5, memMb: 1024, diskMb: 2048 },
  // More than an agent has room for beside the member that is there.
  { cpus: 3.95, memMb: 512, diskMb: 2048 },
  { cpus: 1, memMb: 512, diskMb: 4000 },
];
const ARTIFACTS = [1, 2, 3];
/** What an upgrade brings; the next minor after that of {@link simArtifact}. */
const NEXT_ETCD = '3.6.11';
const ETCD = [10_000, 5_000].map((snapshotCount) => simEtcdOptions({ snapshotCount }));

/** Nobody goes back to an older etcd. */
function otherArtifact({ world, random }: Injection): string {
  return simArtifact(random.pick(ARTIFACTS), world.etcdAsked);
}

function otherOptions(at: Injection): SimOptions {
  const { random } = at;
  const strategy = random.chance(0.2)
    ? ({ updateStrategy: random.pick(['serial', 'canary'] as const) } as const)
    : {};
  switch (random.pick(['artifact', 'artifact', 'etcd', 'resources', 'all'] as const)) {
    case 'artifact':
      return { ...strategy, artifact: otherArtifact(at) };
    case 'etcd':
      return { ...strategy, etcd: random.pick(ETCD) };
    case 'resources':
      return { ...strategy, resources: random.pick(RESOURCES) };
    case 'all':
      return {
        ...strategy,
        artifact: otherArtifact(at),
        etcd: random.pick(ETCD),
        resources: random.pick(RESOURCES),
      };
  }
}

/**
 * A minor upgrade of etcd, which waits for a full where there is an archive.
 * @param before comes when the scheduler has the options, and nobody has had them rolled out.
 */
export async function upgradeEtcd(at: Injection, before?: () => Promise<void>): Promise<void> {
  const { world, random, say } = at;
  say(`an upgrade to etcd ${NEXT_ETCD} is asked for`);
  world.startWith({ artifact: simArtifact(random.pick(ARTIFACTS), NEXT_ETCD) });
  await world.run(random.between(500, 10_000));
  await before?.();
  tell(at, 'start');
  await world.run(random.between(0, 60_000));
}

function tell({ world, random }: Injection, verb: PlanVerb): void {
  const slot = `etcd-${random.integer(0, world.size)}`;
  const isPart = verb === 'forceComplete' || (verb === 'restart' && random.chance(0.5));
  world.tell({
    kind: 'plan',
    plan: 'update',
    verb,
    step: isPart ? `${slot}:[server]` : null,
    force: random.chance(0.2),
    by: 'an operator',
  });
}

export const ROLLOUT_FAULTS: readonly Fault[] = [
  {
    name: 'options rolled out',
    inject: async (at) => {
      const { world, random, say } = at;
      say('the scheduler is started with other options, to be rolled out');
      world.startWith(otherOptions(at));
      await world.run(random.between(500, 10_000));
      tell(at, 'start');
      if (random.chance(0.5)) await world.run(random.between(0, 60_000));
    },
  },
  {
    name: 'roll-out meddled with',
    inject: async (at) => {
      const { world, random, say } = at;
      say('a roll-out begins, and an operator meddles with it');
      world.startWith(otherOptions(at));
      await world.run(random.between(500, 10_000));
      tell(at, 'start');
      for (let count = random.integer(1, 4); count > 0; count -= 1) {
        await world.run(random.between(0, 25_000));
        if (random.chance(0.3)) world.startWith(otherOptions(at));
        else tell(at, random.pick(['start', 'interrupt', 'continue', 'restart', 'forceComplete'] as const));
      }
    },
  },
];
