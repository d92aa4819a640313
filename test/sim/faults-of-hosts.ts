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
];
