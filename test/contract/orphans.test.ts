import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { identify, isAlive } from '../../src/local/process-table.ts';
import { MEMBER_VARIABLE, memberMark } from '../../src/member/death-pact.ts';
import { createProcOrphans } from '../../src/member/orphans.ts';
import { LAUNCH_VARIABLE } from '../../src/protocol/launch.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { launch } from '../member/model-member.ts';
import { silentLogger } from '../silent-logger.ts';
import { createModelEtcd, silentObserver } from '../sim/model-etcd.ts';
import { createChance } from '../sim/prng.ts';
import { createSimDisk } from '../sim/sim-disk.ts';
import { type SimMember, startSimMember } from '../sim/sim-member.ts';
import { createSimOrphans } from '../sim/sim-orphans.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import { freePorts } from '../wait.ts';
import { type LeftBehind, type OrphansFixture, orphansContract } from './orphans.ts';

const anotherLaunch = {
  ...launch,
  slot: 'etcd-1',
  seat: 'seat-2',
  task: 'etcd-1__1',
  ports: { peer: 12380, client: 12379, supervisor: 12378 },
};
const launchOf = (seat: 'own' | 'another') => (seat === 'own' ? launch : anotherLaunch);

describe('of this machine', () => {
  orphansContract(createReal);

  test('one that does not end while it is waited for is an error that names it', async () => {
    const fixture = await createReal({ kill: () => {} });
    const etcd = await fixture.leaveEtcd('own');
    const sweep = fixture.orphans.sweep(AbortSignal.abort());
    await expect(sweep).rejects.toMatchObject({
      code: 'still-alive',
      message: expect.stringContaining(`pid ${etcd.pid}`),
    });
    await fixture.close();
  });
});

describe('in the simulation', () => orphansContract(createSimulated));

/** Processes that look like ours by their names and variables. */
async function createReal(
  options: { kill: (pid: number, signal: 'SIGKILL') => void } = { kill: process.kill.bind(process) },
): Promise<OrphansFixture> {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-orphans-'));
  const [port = 0] = await freePorts(1);
  // A cluster of its own: whatever else runs on this machine is not of it.
  const cluster = directory;
  const children: ChildProcess[] = [];
  const leave = async (program: string, args: string[], env: Record<string, string>, argv0: string) => {
    const child = spawn(program, args, { env, argv0, stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    await once(child, 'spawn');
    const pid = child.pid ?? 0;
    const identity = identify(pid);
    return { child, pid, isAlive: () => identity !== null && isAlive(identity) };
  };
  return {
    port,
    orphans: createProcOrphans({
      clock: createSystemClock(),
      cluster,
      seat: launch.seat,
      volumePath: directory,
      ports: [port],
      ownPid: process.pid,
      kill: options.kill,
    }),
    leaveSupervisor: async (seat) => {
      const env = { [LAUNCH_VARIABLE]: JSON.stringify({ ...launchOf(seat), cluster }) };
      return await leave('/bin/sleep', ['600'], env, 'run-member');
    },
    leaveEtcd: async (seat, holds) => {
      const env = { [MEMBER_VARIABLE]: memberMark({ cluster, seat: launchOf(seat).seat }) };
      if (holds === undefined) return await leave('/bin/sleep', ['600'], env, 'etcd');
      const script = `require('node:net').createServer().listen(${port}, '127.0.0.1', () => console.log('listens'))`;
      const left = await leave(process.execPath, ['-e', script], env, 'etcd');
      await once(left.child.stdout, 'data');
      return left;
    },
    settle: async (promise) => await promise,
    close: async () => {
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(
        children.map(async (child) => {
          if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
        }),
      );
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function createSimulated(): Promise<OrphansFixture> {
  const { host } = launch;
  const chance = createChance(1);
  const clock = createVirtualClock();
  const random = chance.stream('host');
  const reachable = () => true;
  const etcd = createModelEtcd({ clock, random, reachable, latencyMs: () => 1, observer: silentObserver });
  const disk = createSimDisk(etcd);
  const members = new Set<SimMember>();
  const volumeOf = (seat: 'own' | 'another') => `/volumes/${launchOf(seat).seat}`;

  const leaveSupervisor = async (seat: 'own' | 'another'): Promise<LeftBehind> => {
    disk.create(host, volumeOf(seat));
    const value = JSON.stringify(launchOf(seat));
    const member = startSimMember({
      host,
      spec: {
        containerId: 'container-1',
        taskId: launchOf(seat).task,
        command: { environment: { variables: [{ name: LAUNCH_VARIABLE, value }] } },
        healthCheck: null,
        killGraceMs: 1_000,
        volumes: [{ containerPath: 'volume', hostPath: volumeOf(seat) }],
      },
      clock,
      random,
      etcd,
      disk,
      // It sweeps nothing: what is there is the test's.
      members: new Set(),
      log: silentLogger,
      stopping: () => {},
    });
    members.add(member);
    void member.exit.then(() => members.delete(member));
    return { pid: 1, isAlive: () => member.alive };
  };
  const leaveEtcd: OrphansFixture['leaveEtcd'] = async (seat, holds) => {
    const { peer, client } = holds === 'own' ? launch.ports : launchOf(seat).ports;
    const url = (port: number) => `http://${host}:${port}`;
    const left = await clock.during(
      etcd.processes(host).start({
        command: 'etcd',
        args: [
          '--name=left',
          `--data-dir=${volumeOf(seat)}/epoch-1/data`,
          `--initial-advertise-peer-urls=${url(peer)}`,
          `--listen-peer-urls=${url(peer)}`,
          `--listen-client-urls=${url(client)}`,
          `--advertise-client-urls=${url(client)}`,
          `--initial-cluster=left=${url(peer)}`,
        ],
        cwd: '/',
        env: {},
      }),
    );
    const isAlive = () => [...etcd.running].some(({ pid }) => pid === left.pid);
    await clock.runUntil(isAlive, 10_000);
    return { pid: left.pid, isAlive };
  };
  return {
    port: launch.ports.client,
    orphans: createSimOrphans({
      clock,
      random,
      host,
      launch,
      volumePath: volumeOf('own'),
      members,
      etcd,
      self: () => null,
    }),
    leaveSupervisor,
    leaveEtcd,
    settle: async (promise) => await clock.during(promise, 60_000),
    close: async () => {
      for (const member of members) member.kill({ orphan: false });
    },
  };
}
