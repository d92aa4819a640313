import { describe, expect, test } from 'vitest';
import { listenForSchedulers } from '../../src/member/http-server.ts';
import { LAUNCH_VARIABLE, PREVIOUS_PROTOCOL_VERSION } from '../../src/protocol/launch.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { createMembersHttp } from '../../src/runtime/members-http.ts';
import { createModelWorld, key, launch } from '../member/model-member.ts';
import { silentLogger } from '../silent-logger.ts';
import { createModelEtcd, silentObserver } from '../sim/model-etcd.ts';
import { createNetwork } from '../sim/network.ts';
import { createChance } from '../sim/prng.ts';
import { createSimDisk } from '../sim/sim-disk.ts';
import { type SimMember, startSimMember } from '../sim/sim-member.ts';
import { createSimMembers } from '../sim/sim-members.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import { freePorts } from '../wait.ts';
import { membersContract } from './members.ts';

describe('over HTTP', () => {
  membersContract(async () => {
    const world = createModelWorld();
    const supervisor = await world.start();
    const [port = 0, unused = 0] = await freePorts(2);
    const server = await listenForSchedulers({
      supervisor,
      hosts: ['127.0.0.1'],
      port,
      log: silentLogger,
    });
    const http = createHttpTransport();
    return {
      members: createMembersHttp(http),
      previous: createMembersHttp(http, PREVIOUS_PROTOCOL_VERSION),
      url: `http://127.0.0.1:${port}`,
      nobody: `http://127.0.0.1:${unused}`,
      launch: { ...launch, task: supervisor.task },
      key,
      clock: world.clock,
      kill: server.close,
      close: async () => {
        await http.close();
        await server.close();
      },
    };
  });
});

describe('in the simulation', () => {
  membersContract(async () => await createSimulated());

  test('a host that is cut off keeps who asks waiting', async () => {
    const { members, url, network, clock } = await createSimulated();
    network.isolate(launch.host);
    const asking = new AbortController();
    const given = members.status(url, null, asking.signal).catch((error: unknown) => error);
    const patient = members.status(url, null, new AbortController().signal).catch((error: unknown) => error);
    const beforeMs = clock.monotonicMs();
    await clock.advance(1_000);
    asking.abort();
    expect(await given).toMatchObject({ code: 'aborted' });
    expect(clock.monotonicMs() - beforeMs).toBe(1_000);
    await clock.advance(6_000);
    expect(await patient).toMatchObject({ code: 'unreachable' });
  });
});

async function createSimulated() {
  const scheduler = '10.0.2.1';
  const chance = createChance(1);
  const clock = createVirtualClock();
  const network = createNetwork({ clock, random: chance.stream('network'), latencyMs: 1 });
  const etcd = createModelEtcd({
    clock,
    random: chance.stream('etcd'),
    reachable: network.reachable,
    latencyMs: network.latencyMs,
    observer: silentObserver,
  });
  const disk = createSimDisk(etcd);
  const volume = { containerPath: 'volume', hostPath: '/volume' };
  disk.create(launch.host, volume.hostPath);
  const members = new Set<SimMember>();
  const member = startSimMember({
    host: launch.host,
    spec: {
      containerId: 'container-1',
      taskId: launch.task,
      command: { environment: { variables: [{ name: LAUNCH_VARIABLE, value: JSON.stringify(launch) }] } },
      healthCheck: null,
      killGraceMs: 1_000,
      volumes: [volume],
    },
    clock,
    random: chance.stream('member'),
    etcd,
    disk,
    members,
    log: silentLogger,
    stopping: () => {},
  });
  members.add(member);
  await clock.runUntil(() => member.listening, 10_000);
  return {
    members: createSimMembers({ clock, network, members, fromHost: scheduler }),
    previous: createSimMembers({
      clock,
      network,
      members,
      fromHost: scheduler,
      understood: PREVIOUS_PROTOCOL_VERSION,
    }),
    url: `http://${launch.host}:${launch.ports.supervisor}`,
    nobody: `http://${launch.host}:1`,
    launch,
    key,
    clock,
    network,
    kill: async () => member.kill({ orphan: false }),
    close: async () => member.kill({ orphan: false }),
  };
}
