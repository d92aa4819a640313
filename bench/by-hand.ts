import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { etcdArguments } from '../src/etcd/arguments.ts';
import { createEtcdClient } from '../src/etcd/client.ts';
import type { EtcdVersion } from '../src/etcd/versions.ts';
import { etcdOptions } from '../src/protocol/etcd-options.ts';
import { createSystemClock } from '../src/runtime/clock.ts';
import { freePorts } from '../test/wait.ts';

/**
 * What a practised operator would do by hand, without a pause for thought: the floor. Started with the very
 * arguments that a supervisor uses; asked every {@link POLL_MS}.
 */
export interface HandCluster {
  /** Starts three members of a new cluster and waits until each completes a linearizable read. */
  bootstrap(): Promise<void>;
  /** A member that does not lead. */
  follower(): Promise<number>;
  kill(index: number): Promise<void>;
  /** Starts a killed member on its data and waits until it completes a linearizable read. */
  restart(index: number): Promise<void>;
  /** Remove, add as a learner, start, promote; waits until three voters complete a linearizable read. */
  replace(index: number): Promise<void>;
  close(): Promise<void>;
}

const POLL_MS = 10;
const PATIENCE_MS = 60_000;
const clock = createSystemClock();

interface HandMember {
  readonly name: string;
  readonly peerPort: number;
  readonly clientPort: number;
  readonly directory: string;
  process: ChildProcess | null;
}

export async function createHandCluster(etcd: {
  binary: string;
  version: EtcdVersion;
}): Promise<HandCluster> {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-by-hand-'));
  const members: HandMember[] = [];
  let made = 0;
  const make = async (): Promise<HandMember> => {
    const [peerPort = 0, clientPort = 0] = await freePorts(2);
    made += 1;
    return {
      name: `hand-${made}`,
      peerPort,
      clientPort,
      directory: join(directory, `hand-${made}`),
      process: null,
    };
  };
  const start = (member: HandMember, state: 'new' | 'existing'): void => {
    const args = etcdArguments({
      version: etcd.version,
      name: member.name,
      dataDirectory: member.directory,
      logDirectory: null,
      listenHosts: ['127.0.0.1'],
      peerPort: member.peerPort,
      clientPort: member.clientPort,
      peerUrl: peerUrl(member),
      clientUrl: clientUrl(member),
      state,
      token: 'by-hand',
      initialCluster: members.map((one) => ({ name: one.name, peerUrl: peerUrl(one) })),
      options: etcdOptions.parse({}),
    });
    member.process = spawn(etcd.binary, args, { stdio: 'ignore', env: { PATH: '/usr/bin:/bin' } });
  };
  const kill = async (member: HandMember): Promise<void> => {
    const running = member.process;
    member.process = null;
    if (running === null || running.exitCode !== null || running.signalCode !== null) return;
    const exit = once(running, 'exit');
    running.kill('SIGKILL');
    await exit;
  };
  const at = (index: number): HandMember => members[index] as HandMember;

  return {
    bootstrap: async () => {
      for (let index = 0; index < 3; index += 1) members.push(await make());
      for (const member of members) start(member, 'new');
      await Promise.all(members.map((member) => untilServing(member)));
    },
    follower: async () => {
      const status = await onMember(at(0), (client, signal) => client.status(signal));
      return status.leaderId === status.memberId ? 1 : 0;
    },
    kill: (index) => kill(at(index)),
    restart: async (index) => {
      start(at(index), 'new');
      await untilServing(at(index));
    },
    replace: async (index) => {
      const old = at(index);
      const others = members.filter((member) => member !== old);
      const speaker = others[0] as HandMember;
      await onMember(speaker, async (client, signal) => {
        const list = await client.members(signal);
        const id = list.find((one) => one.name === old.name)?.id ?? '';
        await client.memberRemove(id, signal);
      });
      const next = await make();
      const added = await onMember(speaker, (client, signal) =>
        client.memberAddLearner(peerUrl(next), signal),
      );
      members.splice(index, 1, next);
      start(next, 'existing');
      await until(async (signal) => {
        const learner = createEtcdClient({ url: clientUrl(next) }, clock);
        const leader = createEtcdClient({ url: clientUrl(speaker) }, clock);
        try {
          const target = await leader.status(signal);
          const reached = await learner.status(signal);
          return BigInt(reached.raftAppliedIndex) >= BigInt(target.raftAppliedIndex);
        } finally {
          learner.close();
          leader.close();
        }
      });
      await onMember(speaker, (client, signal) => client.memberPromote(added.memberId, signal));
      await untilServing(next);
    },
    close: async () => {
      await Promise.all(members.map((member) => kill(member)));
      await rm(directory, { recursive: true, force: true });
    },
  };

  function onMember<T>(
    member: HandMember,
    work: (client: ReturnType<typeof createEtcdClient>, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const client = createEtcdClient({ url: clientUrl(member) }, clock);
    const results: T[] = [];
    return until(async (signal) => results.push(await work(client, signal)) > 0)
      .then(() => results[0] as T)
      .finally(() => client.close());
  }
}

const peerUrl = (member: HandMember): string => `http://127.0.0.1:${member.peerPort}`;
const clientUrl = (member: HandMember): string => `http://127.0.0.1:${member.clientPort}`;

function untilServing(member: HandMember): Promise<void> {
  return untilServes(clientUrl(member));
}

/** Waits until the member at `url` completes a linearizable read. */
export async function untilServes(url: string): Promise<void> {
  const client = createEtcdClient({ url }, clock);
  try {
    await until(async (signal) => {
      await client.confirmQuorum(signal);
      return true;
    });
  } finally {
    client.close();
  }
}

/** Asks every {@link POLL_MS} until the answer is yes; a failure is a no. */
export async function until(ask: (signal: AbortSignal) => Promise<boolean>): Promise<void> {
  const endMs = clock.monotonicMs() + PATIENCE_MS;
  let last: unknown = null;
  while (clock.monotonicMs() < endMs) {
    try {
      if (await ask(AbortSignal.timeout(2_000))) return;
    } catch (error) {
      last = error;
    }
    await clock.sleep(POLL_MS);
  }
  throw new Error(`not within ${PATIENCE_MS} ms`, { cause: last });
}
