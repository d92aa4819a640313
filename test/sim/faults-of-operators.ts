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

/** What Mesos does by itself, or does not do. */
export const MESOS_FAULTS: readonly Fault[] = [
  {
    name: 'master failed over',
    possible: (world) => world.mastersFail,
    inject: async ({ world, random, say }) => {
      const times = random.integer(1, 2);
      say(`the master dies, ${times} times`);
      for (let count = 0; count < times; count += 1) {
        world.failOverMaster(random.between(100, 15_000));
        await world.run(random.between(1_000, 20_000));
      }
    },
  },
  {
    name: 'agent connections reset',
    inject: async ({ world, random, say }) => {
      const times = random.integer(2, 12);
      say(`connections between the master and agents break, ${times} times`);
      for (let count = 0; count < times; count += 1) {
        world.resetAgent(random.pick(world.hosts));
        await world.run(random.between(1, 2_000));
      }
    },
  },
  {
    name: 'operations refused',
    inject: async ({ world, random, say, lasting }) => {
      const denied = [
        'reserve_resources',
        'unreserve_resources',
        'create_volumes',
        'destroy_volumes',
        'run_tasks',
      ];
      const actions = random.shuffle(denied).slice(0, random.integer(1, denied.length));
      say(`Mesos refuses ${actions.join(', ')} for a while`);
      world.deny(actions);
      await lasting(random.between(1_000, 40_000), () => world.deny([]));
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
