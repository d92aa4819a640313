import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { assert } from '../../src/base/assert.ts';
import type { Clock, ProcessExit, Processes, ProcessSpec, RunningProcess } from '../../src/base/ports.ts';
import { ProcessError } from '../../src/base/ports.ts';
import {
  type AlarmName,
  type EtcdClient,
  EtcdError,
  type EtcdStatus,
  type KeySizes,
} from '../../src/etcd/port.ts';
import type { EtcdMember } from '../../src/protocol/member-status.ts';
import { type EtcdCommandLine, parseEtcdCommandLine, portOf } from './etcd-command-line.ts';
import {
  bootstrapLog,
  copyOfData,
  createDataDirectory,
  createRaftGroup,
  type DataDirectory,
  type Entry,
  type MemberState,
  type Payload,
  quorumOf,
  type RaftGroup,
  type RaftNode,
  type Refusal,
  votersOf,
} from './model-raft.ts';
import { alarmsOf, exceedsQuota, hasAlarm, hashOf, inUseOf } from './model-store.ts';
import { createModelVersions, versionOfProgram } from './model-versions.ts';
import type { RandomStream } from './prng.ts';

/**
 * Every etcd of a simulated world: processes that are started with etcd's real command line on hosts named by
 * their address, directories that outlive them, and clients that ask them as etcd's own API answers. It follows
 * the strictest of the releases that are supported (3.5.29): a member is added only while every voter has been
 * connected for five seconds, promotion is granted on the log alone, a joiner may be silent for seven seconds.
 */
export interface ModelEtcd {
  processes(host: string): Processes;
  /** A client at `fromHost`; `127.0.0.1` and `localhost` in the URL mean that host. */
  connect(fromHost: string, url: string): ModelEtcdClient;
  /** Whether that directory holds a member's data. */
  hasData(host: string, path: string): boolean;
  /** Removes every directory at or under that path. */
  erase(host: string, path: string): void;
  /** As it is now, of every directory at or under that path. */
  copyOf(host: string, path: string): DataCopy;
  /** Puts back what was copied, in the place of what is there. */
  restore(copy: DataCopy): void;
  /** The members' data at or under that path. */
  dataUnder(host: string, path: string): readonly DataDirectory[];
  /** From now on, whoever asks over loopback, as supervisors do, names no user; clients elsewhere name one. */
  askForUser(when: AsksForUser): void;
  /** To be called when hosts have begun or ceased to reach each other. */
  networkChanged(): void;
  /** Every etcd that runs, in the order of their starts. */
  readonly running: ReadonlySet<EtcdProcess>;
  /** The leader with the highest term; `null` while nobody leads. */
  leaderOf(clusterId: string): RaftNode | null;
}

/** etcd's client with what only a user of the store calls. */
export interface ModelEtcdClient extends EtcdClient {
  /** Resolves when the write is committed and applied; a rejection leaves that open. */
  put(key: string, value: string, signal: AbortSignal): Promise<void>;
  delete(key: string, signal: AbortSignal): Promise<void>;
  /** What a member that finds another's data to differ does. */
  raiseAlarm(memberId: string, alarm: AlarmName, signal: AbortSignal): Promise<void>;
}

/** With its authentication on: to be changed alone, as 3.4 does, or also to tell how it is. */
export type AsksForUser = 'no' | 'for-changes' | 'always';

/** By directory. */
export type DataCopy = ReadonlyMap<string, DataDirectory>;

/** A running etcd as the checkers see it. */
export interface EtcdProcess {
  readonly host: string;
  readonly pid: number;
  readonly commandLine: EtcdCommandLine;
  readonly version: string;
  readonly mode: 'bootstrap' | 'join' | 'resume';
  readonly data: DataDirectory;
  /** `null` until its raft has started. */
  node: RaftNode | null;
  /** Its client port answers. */
  serving: boolean;
  kill(signal: 'SIGTERM' | 'SIGKILL' | 'SIGQUIT'): void;
  readonly exit: Promise<ProcessExit>;
  /** Called when it ends. */
  readonly onExit: Set<() => void>;
  /** Called when its store may be at a later revision. */
  readonly onApplied: Set<() => void>;
}

export interface ModelEtcdOptions {
  readonly clock: Clock;
  readonly random: RandomStream;
  readonly reachable: (fromHost: string, toHost: string) => boolean;
  readonly latencyMs: (fromHost: string, toHost: string) => number;
  readonly observer: EtcdObserver;
  /** What a write to that host's disk takes beyond the usual. Default 0. */
  readonly diskMs?: (host: string) => number;
}

export interface EtcdObserver {
  started(process: EtcdProcess): void;
  exited(process: EtcdProcess, exit: ProcessExit): void;
  /** The member was removed: its process is about to end with code 0 and its data is useless. */
  removed(process: EtcdProcess): void;
  committed(leader: RaftNode, entry: Entry): void;
  elected(leader: RaftNode): void;
  /** etcd has granted a promotion, nothing is appended yet. */
  promotionGranted(leader: RaftNode, learner: RaftNode): void;
  /** It is asked to rewrite its database, and answers nobody until it has. */
  defragmenting(node: RaftNode): void;
}

/** Watches nothing. */
export const silentObserver: EtcdObserver = {
  started: () => {},
  exited: () => {},
  removed: () => {},
  committed: () => {},
  elected: () => {},
  promotionGranted: () => {},
  defragmenting: () => {},
};

/** A call is given up after this long, as the real client's deadline does. */
const CALL_DEADLINE_MS = 2_000;
/** What whoever asks for something long waits at most. */
const LONG_CALL_MS = 600_000;
const ELECTION_TIMEOUT_MS = 1_000;
/** etcd's HealthInterval. */
const CONNECTED_MS_MIN = 5_000;
/** etcd's first proposal of itself may be lost; it tries again after 5 s and two election timeouts. */
const PUBLISH_RETRY_MS = 7_000;
const LEARNER_READY_RATIO = 0.9;
/** Why timers are cancelled. Without a reason given a costly one is made, each time. */
const DONE = 'done';

export function createModelEtcd(options: ModelEtcdOptions): ModelEtcd {
  const { clock, random, observer } = options;
  const directories = new Map<string, DataDirectory>();
  const versions = createModelVersions();
  /** Cluster id → the entries with which all of its first members begin. */
  const bootstraps = new Map<string, readonly Entry[]>();
  const running = new Set<EtcdProcess>();
  /** Data of members that are defragmenting. */
  const rewriting = new Set<DataDirectory>();
  let asksForUser: AsksForUser = 'no';
  let pids = 1000;

  const raft: RaftGroup = createRaftGroup({
    clock,
    random,
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
    diskMs: options.diskMs ?? (() => 0),
    reachable: options.reachable,
    latencyMs: options.latencyMs,
    observer,
  });

  const processes = (host: string): Processes => ({
    async start(spec) {
      const words = [spec.command, ...spec.args];
      const program = words.findIndex((word) => basename(word) === 'etcd');
      if (program < 0) throw new ProcessError('not-found', `no program ${spec.command} in the simulation`);
      await clock.sleep(random.between(2, 15));
      pids += 1;
      const args = words.slice(program + 1);
      const version = versionOfProgram(words[program] as string);
      if (args.includes('--version')) return printVersion(pids, version, spec);
      return startEtcd({ host, pid: pids, version, args }, spec);
    },
  });

  const printVersion = (pid: number, version: string, spec: ProcessSpec): RunningProcess => ({
    pid,
    exit: clock.sleep(random.between(5, 20)).then(() => {
      for (const line of [`etcd Version: ${version}`, 'Git SHA: 0000000', 'Go Version: go1.24']) {
        spec.onLine?.(line, 'stdout');
      }
      return { code: 0, signal: null };
    }),
    signal: () => {},
  });

  const startEtcd = (program: StartedProgram, spec: ProcessSpec): RunningProcess => {
    const { host, pid, version, args } = program;
    const { promise: exit, resolve } = Promise.withResolvers<ProcessExit>();
    let ending = false;
    let current: EtcdProcess | null = null;
    const end = (result: ProcessExit) => {
      if (ending) return;
      ending = true;
      if (current !== null) {
        running.delete(current);
        current.serving = false;
        if (current.node !== null) raft.stop(current.node);
        observer.exited(current, result);
        for (const listener of current.onExit) listener();
      }
      void clock.sleep(1).then(() => resolve(result));
    };
    const fail = (line: string) => {
      spec.onLine?.(line, 'stderr');
      end({ code: 1, signal: null });
    };
    const kill = (signal: 'SIGTERM' | 'SIGKILL' | 'SIGQUIT') => {
      if (signal === 'SIGKILL') end({ code: null, signal });
      else if (signal === 'SIGQUIT') end({ code: 2, signal: null });
      else void leave(current).then(() => end({ code: null, signal }));
    };
    const boot = async () => {
      let commandLine: EtcdCommandLine;
      try {
        commandLine = parseEtcdCommandLine(args);
      } catch (error) {
        fail(`error verifying flags: ${(error as Error).message}`);
        return;
      }
      await clock.sleep(random.between(10, 60));
      if (ending) return;
      const claim = claimPlace(host, commandLine);
      if (claim !== null) {
        fail(claim);
        return;
      }
      const opened = open(host, version, commandLine);
      if ('refusal' in opened) {
        await clock.sleep(random.between(5, 500));
        fail(opened.refusal);
        return;
      }
      current = {
        host,
        pid,
        commandLine,
        version,
        mode: opened.mode,
        data: opened.data,
        node: null,
        serving: false,
        kill,
        exit,
        onExit: new Set(),
        onApplied: new Set(),
      };
      running.add(current);
      versions.started(opened.data, version);
      observer.started(current);
      await clock.sleep(random.between(10, 150));
      if (ending) return;
      spec.onLine?.('serving peer traffic', 'stderr');
      run(current, spec, end);
    };
    void boot();
    return { pid, exit, signal: kill };
  };

  /** What keeps etcd from starting at all: its ports or its directory belong to another process. */
  const claimPlace = (host: string, commandLine: EtcdCommandLine): string | null => {
    const ports = portsOf(commandLine);
    for (const other of running) {
      if (other.host !== host) continue;
      const taken = portsOf(other.commandLine).find((port) => ports.includes(port));
      if (taken !== undefined) return `listen tcp ${host}:${taken}: bind: address already in use`;
      if (other.commandLine.dataDirectory === commandLine.dataDirectory) {
        return 'cannot lock the data directory: it is used by another etcd process';
      }
    }
    return null;
  };

  const open = (
    host: string,
    version: string,
    commandLine: EtcdCommandLine,
  ): { readonly data: DataDirectory; readonly mode: EtcdProcess['mode'] } | { readonly refusal: string } => {
    const key = directoryKey(host, commandLine.dataDirectory);
    const existing = directories.get(key);
    if (existing !== undefined) {
      if (!versions.serves(existing, version)) return { refusal: DOWNGRADE };
      if (commandLine.checksData && differsFromPeers(host, existing)) {
        return { refusal: 'checkInitialHashKV failed: found data inconsistency with peers' };
      }
      return { data: existing, mode: 'resume' };
    }
    const opened = commandLine.isNew ? bootstrap(host, commandLine) : join(host, commandLine);
    if (typeof opened === 'string') return { refusal: opened };
    if (!versions.serves(opened, version)) return { refusal: DOWNGRADE };
    directories.set(key, opened);
    return { data: opened, mode: commandLine.isNew ? 'bootstrap' : 'join' };
  };

  /** The check before serving, by HashKV of every peer that answers. */
  const differsFromPeers = (host: string, { clusterId, memberId, members, store }: DataDirectory): boolean =>
    [...members.keys()].some((id) => {
      const peer = id === memberId ? null : raft.nodeOf(clusterId, id);
      return peer !== null && options.reachable(host, peer.host) && peer.data.store.damage !== store.damage;
    });

  const bootstrap = (host: string, commandLine: EtcdCommandLine): DataDirectory | string => {
    const { initialCluster, token, peerUrl } = commandLine;
    if (!initialCluster.some((member) => member.peerUrl === peerUrl)) {
      return `couldn't find local name "${commandLine.name}" in the initial cluster configuration`;
    }
    const members = initialCluster
      .map(({ name, peerUrl: url }) => ({ name, url, id: memberIdOf(url, token) }))
      .toSorted((left, right) => compareIds(left.id, right.id));
    const clusterId = clusterIdOf(members.map((member) => member.id));
    const ownId = memberIdOf(peerUrl, token);
    for (const peer of peersOf(host, commandLine)) {
      const known = peer.data.members.get(ownId);
      if (known !== undefined && known.clientUrls.length > 0) {
        return `member ${ownId} has already been bootstrapped`;
      }
    }
    const data = createDataDirectory(clusterId, ownId);
    const entries = bootstraps.get(clusterId) ?? members.map(bootstrapEntry);
    bootstraps.set(clusterId, entries);
    bootstrapLog(data, entries);
    for (const member of members) (data.members.get(member.id) as MemberState).name = member.name;
    return data;
  };

  const join = (host: string, commandLine: EtcdCommandLine): DataDirectory | string => {
    const peer = peersOf(host, commandLine).find((node) => node.data.members.size > 0);
    if (peer === undefined) {
      return 'cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs';
    }
    const listed = [...peer.data.members.values()];
    if (listed.length !== commandLine.initialCluster.length) {
      return 'error validating peerURLs: member count is unequal';
    }
    const urls = new Set(commandLine.initialCluster.map((member) => member.peerUrl));
    if (listed.some((member) => !urls.has(member.peerUrl))) {
      return 'error validating peerURLs: unmatched member while checking PeerURLs';
    }
    const own = listed.find((member) => member.peerUrl === commandLine.peerUrl);
    if (own === undefined) return `couldn't find local name "${commandLine.name}" in the cluster`;
    return createDataDirectory(peer.data.clusterId, own.id);
  };

  /** The members that run where the initial cluster says, without itself. */
  const peersOf = (host: string, commandLine: EtcdCommandLine): RaftNode[] =>
    commandLine.initialCluster.flatMap(({ peerUrl }) => {
      if (peerUrl === commandLine.peerUrl) return [];
      const node = [...raft.nodes].find((other) => other.peerUrl === peerUrl);
      return node !== undefined && options.reachable(host, node.host) ? [node] : [];
    });

  const run = (process: EtcdProcess, spec: ProcessSpec, end: (exit: ProcessExit) => void) => {
    const joining = process.mode === 'join';
    process.node = raft.start({
      data: process.data,
      host: process.host,
      peerUrl: `http://${process.host}:${process.commandLine.peerPort}`,
      startedAtMs: clock.monotonicMs(),
      firstApplyMs: joining ? random.between(20, 3_000) : random.between(1, 100),
      onApplied: () => {
        for (const listener of [...process.onApplied]) listener();
      },
      onRemoved: () => {
        observer.removed(process);
        spec.onLine?.('the member has been permanently removed from the cluster', 'stderr');
        end({ code: 0, signal: null });
      },
    });
    void publish(process, process.node, spec);
  };

  /** The client port opens when the cluster has taken the member's name and URLs. */
  const publish = async (process: EtcdProcess, node: RaftNode, spec: ProcessSpec) => {
    if (process.mode === 'join' && random.chance(0.3)) await clock.sleep(PUBLISH_RETRY_MS);
    const { commandLine } = process;
    while (!node.stopped) {
      const payload: Payload = {
        kind: 'publish',
        memberId: node.data.memberId,
        name: commandLine.name,
        clientUrls: commandLine.clientUrls,
      };
      const outcome = await within(PUBLISH_RETRY_MS, raft.propose(node, payload));
      if (node.stopped) return;
      if (outcome === null) {
        process.serving = true;
        spec.onLine?.('ready to serve client requests', 'stderr');
        return;
      }
      spec.onLine?.('failed to publish local member to cluster through raft', 'stderr');
      if (outcome !== 'late') await clock.sleep(PUBLISH_RETRY_MS);
    }
  };

  /** SIGTERM hands leadership over before it ends the process. */
  const leave = async (process: EtcdProcess | null) => {
    const node = process?.node ?? null;
    if (node?.role === 'leader') {
      for (const id of votersOf(node.data)) {
        if (id !== node.data.memberId && raft.transferLeadership(node, id)) break;
      }
    }
    await clock.sleep(random.between(10, 200));
  };

  const within = async <T>(durationMs: number, work: Promise<T>): Promise<T | 'late'> => {
    const done = new AbortController();
    try {
      return await Promise.race([work, clock.sleep(durationMs, done.signal).then(() => 'late' as const)]);
    } finally {
      done.abort(DONE);
    }
  };

  const connect = (fromHost: string, url: string): ModelEtcdClient => {
    const target = new URL(url);
    const loopback = target.hostname === '127.0.0.1' || target.hostname === 'localhost';
    const host = loopback ? fromHost : target.hostname;
    const port = portOf(url);
    const closed = new AbortController();

    const refuseNameless = (when: AsksForUser): void => {
      if (!loopback || asksForUser === 'no' || (when === 'always' && asksForUser !== 'always')) return;
      throw new EtcdError('needs-user', 'etcdserver: user name is empty');
    };

    const serverOf = (): EtcdProcess => {
      for (const process of running) {
        const listens = process.commandLine.clientPort === port;
        if (process.host === host && listens && process.serving && options.reachable(fromHost, host)) {
          return process;
        }
      }
      throw new EtcdError('unavailable', `${url}: connection refused`);
    };

    /** One timer and one listener on each signal: there are many calls. */
    const call = <T>(
      signal: AbortSignal,
      work: (node: RaftNode, asked: Asked) => Promise<T>,
      callMs = CALL_DEADLINE_MS,
    ): Promise<T> => {
      const asked: Asked = { over: false };
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      const timer = new AbortController();
      let process: EtcdProcess | null = null;
      const giveUp = () => reject(new EtcdError('aborted', `${url}: the call was given up`));
      const breakOff = () => reject(new EtcdError('unavailable', `${url}: the connection broke`));
      const answer = async (): Promise<T> => {
        await clock.sleep(loopback ? random.between(0.1, 0.5) : 2 * options.latencyMs(fromHost, host));
        process = serverOf();
        process.onExit.add(breakOff);
        assert(process.node !== null, 'a member that serves runs raft');
        while (rewriting.has(process.node.data)) await clock.sleep(10);
        return await work(process.node, asked);
      };
      if (signal.aborted || closed.signal.aborted) {
        giveUp();
        return promise;
      }
      signal.addEventListener('abort', giveUp);
      closed.signal.addEventListener('abort', giveUp);
      void clock.sleep(callMs, timer.signal).then(() => {
        if (timer.signal.aborted) return;
        reject(new EtcdError('timeout', `${url}: no answer within ${callMs} ms`));
      });
      answer().then(resolve, reject);
      return promise.finally(() => {
        asked.over = true;
        timer.abort(DONE);
        signal.removeEventListener('abort', giveUp);
        closed.signal.removeEventListener('abort', giveUp);
        process?.onExit.delete(breakOff);
      });
    };

    const refusing =
      (when: AsksForUser): typeof call =>
      (signal, work, callMs) =>
        call(
          signal,
          (node, asked) => {
            refuseNameless(when);
            return work(node, asked);
          },
          callMs,
        );
    const tell = refusing('always');
    const change = refusing('for-changes');

    return {
      status: (signal) => tell(signal, async (node) => statusOf(node)),
      clusterVersion: (signal) =>
        call(signal, async (node) => (node.leader === null ? null : versions.ofCluster(node.data))),
      confirmQuorum: (signal) =>
        call(signal, async (node, asked) => {
          await confirm(refuseLearner(node), asked);
          return { needsUser: loopback && asksForUser !== 'no' };
        }),
      members: (signal) => tell(signal, async (node) => membersOf(refuseLearner(node))),
      alarms: (signal) =>
        tell(signal, async (node, asked) => {
          await confirm(refuseLearner(node), asked);
          return alarmsOf(node.data.store);
        }),
      memberAddLearner: (peerUrl, signal) =>
        change(signal, (node) => addLearner(refuseLearner(node), peerUrl)),
      memberRemove: (memberId, signal) => change(signal, (node) => remove(refuseLearner(node), memberId)),
      memberPromote: (memberId, signal) => change(signal, (node) => promote(refuseLearner(node), memberId)),
      moveLeader: (memberId, signal) =>
        tell(signal, async (node) => {
          if (node.role !== 'leader') throw new EtcdError('not-leader', 'etcdserver: not leader');
          if (memberId === node.data.memberId) return;
          if (!raft.transferLeadership(node, memberId)) {
            throw new EtcdError('other', 'etcdserver: bad leader transferee');
          }
        }),
      defragment: (signal) => change(signal, async (node) => await defragment(node), LONG_CALL_MS),
      compact: (revision, _physical, signal) =>
        tell(signal, async (node) => {
          await proposed(refuseLearner(node), { kind: 'compact', revision: Number(revision) });
        }),
      disarm: (memberId, alarm, signal) =>
        tell(signal, async (node) => {
          await proposed(refuseLearner(node), { kind: 'alarm', memberId, alarm, raised: false });
        }),
      raiseAlarm: (memberId, alarm, signal) =>
        call(signal, async (node) => {
          await proposed(refuseLearner(node), { kind: 'alarm', memberId, alarm, raised: true });
        }),
      hashKv: (revision, signal) =>
        change(signal, async (node) => {
          const { store } = refuseLearner(node).data;
          const asked = Number(revision);
          if (asked > store.revision) throw refused('future-revision');
          if (asked <= store.compactRevision && asked < store.revision) throw refused('compacted');
          return { hash: hashOf(store, asked), compactRevision: String(store.compactRevision) };
        }),
      keySizes: (from, countMax, signal) =>
        change(signal, async (node) => {
          if (hasAlarm(node.data.store, 'CORRUPT')) throw refused('corrupt-cluster');
          return keySizesOf(node, Buffer.from(from).toString(), countMax);
        }),
      put: (key, value, signal) =>
        call(signal, async (node) => {
          refuseWithoutSpace(refuseLearner(node), key, value);
          await proposed(node, { kind: 'put', key, value });
        }),
      delete: (key, signal) =>
        call(signal, async (node) => {
          await proposed(refuseLearner(node), { kind: 'delete', key });
        }),
      close: () => closed.abort(),
    };
  };

  const keysUnder = (host: string, path: string): string[] => {
    const top = directoryKey(host, path);
    return [...directories.keys()].filter((key) => key === top || key.startsWith(`${top}/`));
  };

  const statusOf = (node: RaftNode): EtcdStatus => ({
    version: versions.ofMember(node.data),
    clusterId: node.data.clusterId,
    memberId: node.data.memberId,
    leaderId: node.leader?.data.memberId ?? null,
    isLearner: node.data.members.get(node.data.memberId)?.isLearner ?? false,
    raftTerm: String(node.data.term),
    raftIndex: String(node.data.commit),
    raftAppliedIndex: String(node.data.applied),
    revision: String(node.data.store.revision),
    dbSizeBytes: node.data.store.fileBytes,
    dbSizeInUseBytes: inUseOf(node.data.store),
    errors: [
      ...(node.leader === null ? ['etcdserver: no leader'] : []),
      ...alarmsOf(node.data.store).map(
        ({ memberId, alarm }) => `memberID:${BigInt(`0x${memberId}`)} alarm:${alarm} `,
      ),
    ],
  });

  /** Rewrites the database; nobody is answered meanwhile. Raft goes on. */
  const defragment = async (node: RaftNode): Promise<void> => {
    const { data } = node;
    observer.defragmenting(node);
    rewriting.add(data);
    await clock.sleep(random.between(50, 1_500));
    // Killed in the middle of it, the old file is what there is.
    rewriting.delete(data);
    if (!node.stopped) data.store.fileBytes = inUseOf(data.store);
  };

  /** The member that is asked judges by its own file, and tells the cluster. */
  const refuseWithoutSpace = (node: RaftNode, key: string, value: string): void => {
    const process = [...running].find((one) => one.node === node);
    if (process === undefined || !exceedsQuota(node.data.store, key, value, process.commandLine.quotaBytes))
      return;
    const { memberId } = node.data;
    void raft.propose(node, { kind: 'alarm', memberId, alarm: 'NOSPACE', raised: true });
    throw refused('no-space');
  };

  const keySizesOf = (node: RaftNode, from: string, countMax: number): KeySizes => {
    const { values } = node.data.store;
    const after = [...values.keys()].filter((key) => key >= from).toSorted();
    const page = after.slice(0, countMax);
    return {
      keys: page.map((key) => ({
        key: Uint8Array.from(Buffer.from(key)),
        bytes: key.length + (values.get(key)?.length ?? 0),
      })),
      more: page.length < after.length,
    };
  };

  const membersOf = (node: RaftNode): EtcdMember[] =>
    [...node.data.members.values()].map((member) => ({
      id: member.id,
      name: member.name,
      peerUrls: [member.peerUrl],
      clientUrls: [...member.clientUrls],
      isLearner: member.isLearner,
    }));

  const refuseLearner = (node: RaftNode): RaftNode => {
    if (node.data.members.get(node.data.memberId)?.isLearner === true) {
      throw new EtcdError('refused-on-learner', 'etcdserver: rpc not supported for learner');
    }
    return node;
  };

  /** Asks again and again until the caller has given up. */
  const confirm = async (node: RaftNode, asked: Asked): Promise<void> => {
    while (!asked.over) {
      const index = await raft.readIndex(node);
      while (index !== null && !asked.over && node.data.applied < index) await clock.sleep(1);
      if (index !== null) return;
      await clock.sleep(100);
    }
  };

  const proposed = async (node: RaftNode, payload: Payload): Promise<void> => {
    const refusal = await raft.propose(node, payload);
    if (refusal !== null) throw refused(refusal);
  };

  const connectedLongEnough = (node: RaftNode, memberId: string): boolean => {
    const sinceMs =
      memberId === node.data.memberId ? node.startedAtMs : raft.connectedSinceMs(node, memberId);
    return sinceMs !== null && clock.monotonicMs() - sinceMs >= CONNECTED_MS_MIN;
  };

  const addLearner = async (node: RaftNode, peerUrl: string): Promise<{ memberId: string }> => {
    // etcd's own start does not count for the server that is asked.
    const others = votersOf(node.data).filter((id) => id !== node.data.memberId);
    if (!others.every((id) => connectedLongEnough(node, id))) throw refused('unhealthy-cluster');
    const memberId = memberIdOf(peerUrl, String(Math.floor(clock.wallMs() / 1000)));
    await proposed(node, { kind: 'add', memberId, peerUrl, isLearner: true });
    return { memberId };
  };

  const remove = async (node: RaftNode, memberId: string): Promise<void> => {
    const member = node.data.members.get(memberId);
    if (member === undefined) throw refused('member-not-found');
    if (!member.isLearner) refuseUnsafeRemoval(node, memberId);
    await proposed(node, { kind: 'remove', memberId });
  };

  const refuseUnsafeRemoval = (node: RaftNode, memberId: string) => {
    const voters = votersOf(node.data);
    const rest = voters.filter((id) => id !== memberId);
    const started = rest.filter((id) => node.data.members.get(id)?.name !== '').length;
    if (node.data.members.size > 1 && started < quorumOf(rest.length)) {
      throw refused('unhealthy-cluster');
    }
    const down = memberId !== node.data.memberId && raft.connectedSinceMs(node, memberId) === null;
    if (down) return;
    const active = voters.filter((id) => id === node.data.memberId || connectedLongEnough(node, id)).length;
    if (active - 1 < 1 + Math.floor((voters.length - 1) / 2)) throw refused('unhealthy-cluster');
  };

  const promote = async (node: RaftNode, memberId: string): Promise<void> => {
    const { leader } = node;
    if (leader === null) throw new EtcdError('no-leader', 'etcdserver: no leader');
    if (leader !== node) await clock.sleep(options.latencyMs(node.host, leader.host));
    const member = leader.data.members.get(memberId);
    if (member === undefined) throw refused('member-not-found');
    if (!member.isLearner) throw refused('not-a-learner');
    const learner = raft.nodeOf(leader.data.clusterId, memberId);
    const match = leader.progress.get(memberId)?.match ?? 0;
    const ready = learner !== null && match >= LEARNER_READY_RATIO * leader.data.log.length;
    if (!ready) throw refused('learner-not-ready');
    observer.promotionGranted(leader, learner);
    await proposed(leader, { kind: 'promote', memberId });
  };

  return {
    processes,
    connect,
    hasData: (host, path) => directories.has(directoryKey(host, path)),
    copyOf: (host, path) =>
      new Map(keysUnder(host, path).map((key) => [key, copyOfData(directories.get(key) as DataDirectory)])),
    restore: (copy) => {
      for (const [key, data] of copy) directories.set(key, copyOfData(data));
    },
    dataUnder: (host, path) => keysUnder(host, path).map((key) => directories.get(key) as DataDirectory),
    erase: (host, path) => {
      for (const key of keysUnder(host, path)) directories.delete(key);
    },
    askForUser: (when) => {
      asksForUser = when;
    },
    networkChanged: raft.review,
    running,
    leaderOf: (clusterId) => {
      const leaders = [...raft.nodes].filter(
        (node) => node.role === 'leader' && node.data.clusterId === clusterId,
      );
      return leaders.toSorted((left, right) => right.data.term - left.data.term)[0] ?? null;
    },
  };
}

/** An etcd as it is started. */
interface StartedProgram {
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly args: readonly string[];
}

const DOWNGRADE = 'invalid downgrade; server version is lower than determined cluster version';

/** A question to a server: its asker may have given up. */
interface Asked {
  over: boolean;
}

function bootstrapEntry(member: { readonly id: string; readonly url: string }, position: number): Entry {
  return {
    index: position + 1,
    term: 1,
    payload: { kind: 'add', memberId: member.id, peerUrl: member.url, isLearner: false },
    committedAtMs: 0,
  };
}

const REFUSALS: Partial<Record<Refusal, string>> = {
  'unhealthy-cluster': 'etcdserver: unhealthy cluster',
  'member-not-found': 'etcdserver: member not found',
  'member-exists': 'etcdserver: member ID already exist',
  'peer-url-exists': 'etcdserver: Peer URLs already exists',
  'too-many-learners': 'etcdserver: too many learner members in cluster',
  'learner-not-ready': 'etcdserver: can only promote a learner member which is in sync with leader',
  'not-a-learner': 'etcdserver: can only promote a learner member',
  'no-space': 'etcdserver: mvcc: database space exceeded',
  'corrupt-cluster': 'etcdserver: corrupt cluster',
  compacted: 'etcdserver: mvcc: required revision has been compacted',
  'future-revision': 'etcdserver: mvcc: required revision is a future revision',
};

function refused(refusal: Refusal): EtcdError {
  return new EtcdError(refusal, REFUSALS[refusal] ?? 'etcdserver: request refused');
}

/** As etcd derives it: the first eight bytes of SHA-1 over the peer URL and the token, or the time of an add. */
function memberIdOf(peerUrl: string, salt: string): string {
  return idOf(createHash('sha1').update(peerUrl).update(salt).digest());
}

function clusterIdOf(sortedMemberIds: readonly string[]): string {
  const hash = createHash('sha1');
  for (const id of sortedMemberIds) hash.update(Buffer.from(id.padStart(16, '0'), 'hex'));
  return idOf(hash.digest());
}

function idOf(digest: Buffer): string {
  return digest.readBigUInt64BE(0).toString(16);
}

function compareIds(left: string, right: string): number {
  return left.padStart(16, '0') < right.padStart(16, '0') ? -1 : 1;
}

function portsOf(commandLine: EtcdCommandLine): readonly number[] {
  return [commandLine.peerPort, commandLine.clientPort];
}

function directoryKey(host: string, path: string): string {
  return `${host}:${path.replace(/\/+$/, '')}`;
}
