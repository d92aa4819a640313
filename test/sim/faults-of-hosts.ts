import { ANYWHERE, type Fault, ON_VOLUMES } from './fault.ts';

/** What happens to processes, agents and machines. */
export const HOST_FAULTS: readonly Fault[] = [
  {
    name: 'host lost',
    final: ANYWHERE,
    inject: async ({ world, random, host, say }) => {
      say(`${host} is lost, its agent will be marked gone`);
      const agentId = world.loseHost(host);
      await world.run(random.between(0, 20_000));
      await world.markGone(agentId);
    },
  },
  {
    name: 'agent rebuilt',
    final: ANYWHERE,
    inject: async ({ world, random, host, say }) => {
      say(`${host} is rebuilt: a new agent with an empty disk`);
      world.loseHost(host);
      await world.run(random.between(0, 30_000));
      world.rebuild(host);
    },
  },
  {
    name: 'etcd killed',
    inject: async ({ world, host, say }) => {
      say(`etcd on ${host} is killed`);
      world.killEtcd(host);
    },
  },
  {
    name: 'supervisor killed',
    final: ['sandbox'],
    inject: async ({ world, host, say }) => {
      say(`the supervisor on ${host} is killed`);
      world.killSupervisor(host, { orphan: false });
    },
  },
  {
    name: 'supervisor killed, etcd orphaned',
    on: ON_VOLUMES,
    inject: async ({ world, host, say }) => {
      say(`the supervisor on ${host} is killed, its etcd runs on`);
      world.killSupervisor(host, { orphan: true });
    },
  },
  {
    name: 'host rebooted',
    final: ['sandbox'],
    inject: async ({ world, random, host, say }) => {
      // Some take so long that the member was replaced when its disk is back.
      const downMs = random.chance(0.7) ? random.between(0, 20_000) : random.between(20_000, 60_000);
      say(`${host} is rebooted with its disk, for ${Math.round(downMs / 1000)} s`);
      world.reboot(host);
      await world.run(downMs);
      world.startAgent(host);
    },
  },
  {
    name: 'power failure',
    on: ON_VOLUMES,
    inject: async ({ world, random, say }) => {
      const hosts = random.shuffle(world.hosts).slice(0, random.integer(2, world.hosts.length));
      say(`the power fails on ${hosts.join(', ')}`);
      for (const one of hosts) world.reboot(one);
      await world.run(random.pick([random.between(100, 20_000), random.between(20_000, 90_000)]));
      for (const one of random.shuffle(hosts)) {
        await world.run(random.between(0, 3_000));
        if (!world.isGone(one)) world.startAgent(one);
      }
    },
  },
  {
    name: 'disk put back',
    on: ON_VOLUMES,
    final: ON_VOLUMES,
    inject: async ({ world, random, host, say }) => {
      say(`${host} gets a disk back that is an older copy`);
      const putBack = world.copyDisk(host);
      // A copy from just before holds all that anybody was told of.
      await world.run(random.between(8_000, 40_000));
      world.reboot(host);
      await world.run(random.between(100, 5_000));
      putBack();
      world.startAgent(host);
    },
  },
  {
    name: 'data directory lost',
    on: ON_VOLUMES,
    final: ON_VOLUMES,
    inject: async ({ world, random, host, say }) => {
      say(`the data directory on ${host} vanishes while its power is off`);
      world.reboot(host);
      await world.run(random.between(100, 5_000));
      world.loseData(host);
      world.startAgent(host);
    },
  },
  {
    name: 'slow disk',
    inject: async ({ world, random, host, say, lasting }) => {
      const byMs = random.pick([50, 500, 3_000]);
      say(`every write on ${host} takes ${byMs} ms longer`);
      world.slowDisk(host, byMs);
      await lasting(random.between(1_000, 40_000), () => world.slowDisk(host, 0));
    },
  },
  {
    name: 'agent wiped',
    on: ON_VOLUMES,
    final: ON_VOLUMES,
    inject: ({ world, host, say }) => {
      say(`the agent on ${host} forgets all it knew, what it ran runs on`);
      world.wipeAgent(host);
      return Promise.resolve();
    },
  },
];
