import type { KeyObject } from 'node:crypto';
import { describeError } from '../base/errors.ts';
import { type Clock, type Logger, ProcessError, type Processes } from '../base/ports.ts';
import { type EtcdStart, etcdArguments } from '../etcd/arguments.ts';
import { saysDiffers, saysDiskFull } from '../etcd/log-line.ts';
import type { EtcdClient } from '../etcd/port.ts';
import type { EtcdVersion } from '../etcd/versions.ts';
import { clientUrlOf, type Launch, PROTOCOL_VERSION, peerUrlOf } from '../protocol/launch.ts';
import { type MemberStatus, NOTHING_DONE, type SpaceDone } from '../protocol/member-status.ts';
import type { Order, OrderProblem, Receipt, SignedOrder } from '../protocol/orders.ts';
import { compareFences, receiptOf } from './admission.ts';
import { askEtcd, type ClusterWork } from './cluster-work.ts';
import { SETPRIV, underDeathPact } from './death-pact.ts';
import {
  type DataProblem,
  type ExitDecision,
  judgeData,
  judgeLook,
  type MemberView,
  phaseOf,
  type Work,
  workFor,
} from './decide.ts';
import { createHoldings, type Trouble } from './holdings.ts';
import { createOrderLine } from './order-line.ts';
import { describeHolder, type Orphans } from './orphan-port.ts';
import { createProber, type Look, type Prober, UNSETTLED_MS } from './prober.ts';
import { createRunner, type LastExit } from './runner.ts';
import { askAboutSpace, type SpaceWork, withDone } from './space-work.ts';
import { createStatusBoard, type StatusDraft } from './status-board.ts';
import { type Fence, type MemberVolume, type StoredIdentity, VolumeError } from './volume.ts';

/** Owns one etcd process and its data: does what schedulers order, keeps etcd up, tells how it is. */
export interface Supervisor {
  /**
   * Sweeps orphans, opens the volume, then serves until `signal` aborts; then ends etcd and resolves.
   * Nothing that is found wrong ends it: that is told in the status. Rejects only when what was left running
   * cannot be ended.
   */
  run(signal: AbortSignal): Promise<void>;
  /**
   * Resolves when nobody who is ours holds the ports any more and the volume was read: a status from before
   * would tell of an empty volume. Rejects as `run` does.
   */
  readonly ready: Promise<void>;
  status(): MemberStatus;
  /** The status once its sequence is another than `after`, or after `waitMs`. */
  waitStatus(after: number, waitMs: number, signal: AbortSignal): Promise<MemberStatus>;
  /** Carries out one order. Orders are carried out one at a time, in the order of their arrival. */
  order(signed: SignedOrder): Promise<Receipt>;
}

export interface SupervisorOptions {
  readonly launch: Launch;
  /** From the launch's `schedulerKey`. */
  readonly schedulerKey: KeyObject;
  readonly clock: Clock;
  readonly processes: Processes;
  readonly volume: MemberVolume;
  readonly orphans: Orphans;
  /** A client of the etcd at that URL; closed by the supervisor. */
  readonly etcd: (url: string) => EtcdClient | Promise<EtcdClient>;
  readonly log: Logger;
  /** Every line that etcd writes. */
  readonly etcdLog: (line: string) => void;
  /** Version and short hash of this code. */
  readonly build: string;
  readonly etcdVersion: EtcdVersion;
  /** Known defects of that version, for people. */
  readonly warnings: readonly string[];
  /** Addresses to bind, see `listenHosts`. */
  readonly listenHosts: readonly string[];
  /** The sandbox, absolute. */
  readonly workDirectory: string;
  /** What of the environment etcd gets, see `etcdEnvironment`. */
  readonly environment: Readonly<Record<string, string>>;
}

/** How long etcd gets to end when a new directory takes its place, and when the task is killed. */
const STOP_GRACE_MS = 8_000;
/** A volume that could not be opened is tried again after this. */
const VOLUME_RETRY_MS = 5_000;

const NEVER = new AbortController().signal;

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { launch, clock, log } = options;
  const board = createStatusBoard(clock);
  const booted = Promise.withResolvers<void>();
  booted.promise.catch(() => {});
  const owner = {
    volumeId: launch.volume.id,
    walVolumeId: launch.wal?.id ?? null,
    cluster: launch.cluster,
    slot: launch.slot,
  };
  const holdings = createHoldings({ volume: options.volume, owner, clock, log });
  const peerUrl = peerUrlOf(launch);

  /** What was found wrong with the data, beyond the volume itself; overcome only by other data. */
  let dataTrouble: Trouble | null = null;
  /** How etcd ended last, until it serves again. */
  let exitTrouble: string | null = null;
  let portTrouble: string | null = null;
  let watched: { readonly prober: Prober; readonly client: EtcdClient } | null = null;
  let busy: MemberStatus['busy'] = null;
  let space: SpaceDone = NOTHING_DONE;
  let closing = false;

  const runner = createRunner({
    clock,
    processes: options.processes,
    onLine: options.etcdLog,
    onStarted: (pid, ended) => void watch(pid, ended),
    onEnded: async (exit, decision) => await noteEnd(exit, decision),
    mayRestart: async () => await mayRestart(),
    onChange: () => publish(),
  });
  const line = createOrderLine({
    clock,
    cluster: launch.cluster,
    task: launch.task,
    schedulerKey: options.schedulerKey,
    fence: () => holdings.fence,
    carryOut: async (order, fence) => await carryOut(order, fence),
  });

  // ---- what there is to say ----

  const view = (): MemberView => ({
    slot: launch.slot,
    cluster: launch.cluster,
    peerUrl,
    identity: holdings.identity,
    data: holdings.data,
    floor: holdings.floor,
    etcd: runner.state,
    dataProblem: dataTrouble?.dataProblem ?? null,
  });

  const draft = (): StatusDraft => {
    const trouble = holdings.trouble ?? dataTrouble;
    return {
      protocol: PROTOCOL_VERSION,
      build: options.build,
      cluster: launch.cluster,
      slot: launch.slot,
      seat: launch.seat,
      task: launch.task,
      phase: phaseOf(view(), holdings.trouble !== null),
      problem: trouble?.message ?? portTrouble ?? exitTrouble ?? holdings.writeTrouble,
      dataProblem: trouble?.dataProblem ?? null,
      fence: holdings.fence ?? { epoch: 0, generation: 0 },
      identity: holdings.identity === null ? null : publicIdentity(holdings.identity),
      floor: holdings.floor,
      etcd: etcdOf(),
      probe: watched?.prober.probe() ?? null,
      needsUser: watched?.prober.needsUser() ?? null,
      warnings: [...options.warnings],
      busy,
      differs: runner.state === 'backing-off' && saysDiffers(runner.lastExit?.line ?? ''),
      space,
    };
  };

  /** `null` until one was started. */
  const etcdOf = (): MemberStatus['etcd'] => {
    const { pid, restarts, lastExit, servesPeers } = runner;
    if (runner.state === 'down' && lastExit === null) return null;
    return { version: options.etcdVersion.text, pid, restarts, lastExit, servesPeers };
  };

  const publish = (): void => board.publish(draft());
  const status = (): MemberStatus => {
    publish();
    return { ...draft(), sequence: board.sequence };
  };

  const setDataTrouble = (next: Trouble): void => {
    if (dataTrouble?.message !== next.message) log.error('data unusable', { ...next });
    dataTrouble = next;
  };

  // ---- volume and ports ----

  const openVolume = async (): Promise<void> => {
    await holdings.open();
    const found = holdings.trouble === null ? judgeData(view()) : null;
    if (found !== null)
      setDataTrouble({ dataProblem: found, message: describeData(found, holdings.identity) });
    publish();
  };

  const sweep = async (signal: AbortSignal): Promise<void> => {
    const { killed, foreign } = await options.orphans.sweep(signal);
    for (const { pid, command } of killed) log.warn('orphan killed', { pid, command });
    portTrouble = foreign.length === 0 ? null : foreign.map(describeHolder).join('; ');
    if (portTrouble !== null) log.error('port taken', { problem: portTrouble });
  };

  // ---- etcd ----

  const watch = async (pid: number, ended: AbortSignal): Promise<void> => {
    log.info('etcd started', { pid, restarts: runner.restarts });
    void awaitLog(ended);
    const client = await options.etcd(`http://127.0.0.1:${launch.ports.client}`);
    const prober = createProber({
      clock,
      client,
      onLook: async (look) => await noteLook(look),
      onRefused: noteServing,
      onChange: publish,
    });
    const mine = { prober, client };
    if (!ended.aborted) watched = mine;
    await prober.run(ended);
    client.close();
    if (watched === mine) watched = null;
  };

  /** Notes the log as soon as etcd has written one, long before it serves. */
  const awaitLog = async (ended: AbortSignal): Promise<void> => {
    while (!holdings.logSeen && holdings.trouble === null && !ended.aborted) {
      await holdings.lookAtData();
      if (!holdings.logSeen) await clock.sleep(UNSETTLED_MS, ended);
    }
  };

  const noteServing = (): void => {
    runner.noteServing();
    exitTrouble = null;
    portTrouble = null;
  };

  const noteLook = async (look: Look): Promise<void> => {
    noteServing();
    const verdict = judgeLook(view(), look);
    switch (verdict.kind) {
      case 'learned':
        await holdings.learn(verdict.identity);
        break;
      case 'rolled-back':
        setDataTrouble({ dataProblem: 'data-rolled-back', message: verdict.message });
        break;
      case 'foreign':
        setDataTrouble({ dataProblem: 'data-foreign', message: verdict.message });
        runner.stop(STOP_GRACE_MS).catch((error: unknown) => log.error('etcd not ended', { error }));
        return;
      case 'fine':
        break;
    }
    const { leaderId, raftTerm, raftIndex } = look.status;
    if (leaderId !== null) await holdings.notePosition({ term: raftTerm, index: raftIndex });
  };

  const noteEnd = async (exit: LastExit, decision: ExitDecision): Promise<void> => {
    log.warn('etcd ended', { code: exit.code, signal: exit.signal, line: exit.line, next: decision.kind });
    await holdings.lookAtData();
    if (decision.kind === 'removed') await holdings.markRemoved();
    if (decision.kind !== 'restart') return;
    const how = exit.code === null ? `by ${exit.signal ?? 'no signal'}` : `with code ${exit.code}`;
    const full = saysDiskFull(exit.line)
      ? 'the disk under its volume is full: free space there, or give it a larger one; '
      : '';
    exitTrouble = `${full}etcd ended ${how}: ${exit.line}`;
  };

  /** The log that was there must still be there; and who took our port meanwhile is worth naming. */
  const mayRestart = async (): Promise<boolean> => {
    const { identity } = holdings;
    await holdings.lookAtData();
    if (identity === null || holdings.trouble !== null) return false;
    if (holdings.logSeen && holdings.data !== 'present') {
      setDataTrouble({ dataProblem: 'data-missing', message: describeData('data-missing', identity) });
      return false;
    }
    if (runner.lastExit?.line.includes('address already in use') === true) {
      await sweep(NEVER).catch((error: unknown) => log.error('sweep failed', { error }));
    }
    return true;
  };

  // ---- orders ----

  const carryOut = async (order: Order, fence: Fence): Promise<Receipt> => {
    const about = { order: order.kind, id: order.id };
    try {
      const receipt = await tryToCarryOut(order, fence);
      log.info('order carried out', { ...about, outcome: receipt.outcome, problem: receipt.problem });
      return receipt;
    } catch (error) {
      log.error('order failed', { ...about, error });
      if (error instanceof VolumeError) await openVolume();
      return receiptOf(order.id, 'failed', failureOf(error), describeError(error));
    } finally {
      publish();
    }
  };

  const tryToCarryOut = async (order: Order, fence: Fence): Promise<Receipt> => {
    if (closing) return receiptOf(order.id, 'failed', 'not-running', 'the supervisor is ending');
    if (holdings.trouble !== null) await openVolume();
    const { trouble } = holdings;
    if (trouble !== null) return receiptOf(order.id, 'refused', refusalOf(trouble), trouble.message);
    if (holdings.fence === null || compareFences(fence, holdings.fence) !== 0)
      await holdings.raiseFence(fence);
    return await act(order, workFor(view(), order));
  };

  const act = async (order: Order, work: Work): Promise<Receipt> => {
    const done = (message: string) => receiptOf(order.id, 'done', null, message);
    switch (work.kind) {
      case 'nothing':
        return done(work.message);
      case 'refuse':
        if (work.dataProblem !== null)
          setDataTrouble({ dataProblem: work.dataProblem, message: work.message });
        return receiptOf(order.id, 'refused', work.problem, work.message);
      case 'create-data':
        await runner.stop(STOP_GRACE_MS);
        await holdings.createData(work.identity);
        dataTrouble = null;
        exitTrouble = null;
        return done(`prepared epoch ${order.epoch}, attempt ${order.attempt}`);
      case 'start':
        await start(work);
        return done('etcd runs');
      case 'retry-now':
        runner.retryNow();
        return done('etcd is being started again');
      case 'stop':
        await runner.stop(work.graceMs);
        return done('etcd has ended');
      case 'member-add':
      case 'member-remove':
      case 'member-promote':
      case 'move-leader':
        return await changeCluster(order, work);
      case 'defragment':
      case 'compact':
      case 'disarm':
      case 'hash-kv':
      case 'measure-space':
        return await workOnSpace(order, work);
    }
  };

  const start = async (work: Work & { kind: 'start' }): Promise<void> => {
    if (portTrouble !== null) await sweep(NEVER);
    if (portTrouble !== null) throw new ProcessError('start-failed', portTrouble);
    await holdings.storeIdentity(work.identity);
    const state = work.mode === 'bootstrap' ? 'new' : 'existing';
    const { initialCluster, unchecked } = work;
    const first = commandLine(work.identity, { state, initialCluster, unchecked });
    const own = [{ name: launch.slot, peerUrl }];
    const later = commandLine(work.identity, { state: 'existing', initialCluster: own, unchecked: false });
    if (closing) throw new ProcessError('start-failed', 'the supervisor is ending');
    // A pause before the next try with the order before this one.
    if (runner.state !== 'down') await runner.stop(STOP_GRACE_MS);
    await runner.start({
      command: SETPRIV,
      args: underDeathPact(launch.etcdBinary, first),
      laterArgs: underDeathPact(launch.etcdBinary, later),
      cwd: options.workDirectory,
      env: options.environment,
    });
  };

  const commandLine = (
    { epoch, token }: StoredIdentity,
    cluster: Pick<EtcdStart, 'state' | 'initialCluster' | 'unchecked'>,
  ): readonly string[] =>
    etcdArguments({
      version: options.etcdVersion,
      name: launch.slot,
      dataDirectory: options.volume.dataDirectory(epoch),
      logDirectory: options.volume.logDirectory(epoch),
      listenHosts: options.listenHosts,
      peerPort: launch.ports.peer,
      clientPort: launch.ports.client,
      peerUrl,
      clientUrl: clientUrlOf(launch),
      token,
      options: launch.etcd,
      ...cluster,
    });

  const changeCluster = async (order: Order, work: ClusterWork): Promise<Receipt> => {
    if (watched === null) return receiptOf(order.id, 'failed', 'not-running', 'etcd does not answer yet');
    const { client, prober } = watched;
    try {
      return await askEtcd({ clock, client, id: order.id }, work);
    } finally {
      prober.noteChange();
    }
  };

  const workOnSpace = async (order: Order, work: SpaceWork): Promise<Receipt> => {
    if (watched === null) return receiptOf(order.id, 'failed', 'not-running', 'etcd does not answer yet');
    if (work.kind === 'defragment' && work.run === space.defragmented) {
      return receiptOf(order.id, 'done', null, 'this run was done before');
    }
    const { client, prober } = watched;
    busy = work.kind === 'defragment' ? 'defragmenting' : null;
    publish();
    try {
      const receipt = await askAboutSpace({ clock, client, id: order.id }, work);
      if (receipt.outcome === 'done') space = withDone(space, work, receipt);
      return receipt;
    } finally {
      busy = null;
      prober.noteChange();
    }
  };

  // ---- its life ----

  const boot = async (signal: AbortSignal): Promise<void> => {
    try {
      await sweep(signal);
    } catch (error) {
      booted.reject(error);
      throw error;
    }
    await openVolume();
    booted.resolve();
    const { phase, identity, fence, problem } = draft();
    log.info('supervisor ready', {
      phase,
      fence,
      epoch: identity?.epoch,
      started: identity?.started,
      problem,
    });
  };

  return {
    ready: booted.promise,
    status,
    async waitStatus(after, waitMs, signal) {
      publish();
      await board.wait(after, waitMs, signal);
      return status();
    },
    async order(signed) {
      await booted.promise;
      return await line.take(signed);
    },
    async run(signal) {
      await boot(signal);
      while (!signal.aborted) {
        await clock.sleep(VOLUME_RETRY_MS, signal);
        if (holdings.trouble !== null && runner.state === 'down' && !signal.aborted)
          await line.between(openVolume);
      }
      closing = true;
      await runner.stop(STOP_GRACE_MS);
      log.info('supervisor ends');
    },
  };
}

function publicIdentity(identity: StoredIdentity): NonNullable<MemberStatus['identity']> {
  const { epoch, attempt, token, started, clusterId, memberId } = identity;
  return { epoch, attempt, token, started, clusterId, memberId };
}

function describeData(problem: DataProblem, identity: StoredIdentity | null): string {
  if (problem === 'data-missing') {
    return `etcd was started on epoch ${identity?.epoch ?? 0} before, and its log is not there`;
  }
  return `the volume holds data of cluster ${identity?.cluster ?? 'unknown'}, slot ${identity?.slot ?? 'unknown'}`;
}

function refusalOf({ dataProblem }: Trouble): OrderProblem {
  return dataProblem === 'volume-missing' || dataProblem === 'data-foreign' ? dataProblem : 'volume-error';
}

function failureOf(error: unknown): OrderProblem {
  if (error instanceof VolumeError) return error.code === 'missing' ? 'volume-missing' : 'volume-error';
  return 'etcd-refused';
}
