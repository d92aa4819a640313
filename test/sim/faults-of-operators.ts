import { type Fault, ON_VOLUMES } from './fault.ts';

/** What operators of Mesos do. */
export const OPERATOR_FAULTS: readonly Fault[] = [
  {
    name: 'maintenance announced',
    inject: async ({ world, random, host, seats, say }) => {
      const announced = random.chance(0.4) ? seats.slice(0, 2) : [host];
      const windows = announced.map((one) => ({ host: one, inMs: random.between(0, 60_000) }));
      say(`maintenance of ${announced.join(' and ')} is announced`);
      await world.announceMaintenance(windows);
      await world.run(random.between(0, 40_000));
      if (!random.chance(0.5)) return;
      say('the maintenance is cancelled');
      await world.announceMaintenance([]);
    },
  },
  {
    name: 'agents drained',
    on: ON_VOLUMES,
    inject: async ({ world, random, host, seats, say }) => {
      const drained = random.chance(0.4) ? seats.slice(0, 2) : [host];
      say(`${drained.join(' and ')} are drained`);
      for (const one of drained) await world.drain(one);
      await world.run(random.between(0, 90_000));
      for (const one of drained) if (!world.isGone(one)) await world.reactivate(one);
    },
  },
];

export const TEAR_DOWN: Fault = {
  name: 'framework torn down',
  on: ON_VOLUMES,
  inject: async ({ world, say }) => {
    say('an operator tears the framework down');
    await world.tearDown();
  },
};
