import type { KeyObject } from 'node:crypto';
import { withDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import { type Clock, type Logger, ProcessError, type Processes } from '../base/ports.ts';
import { type EtcdStart, etcdArguments } from '../etcd/arguments.ts';
import type { EtcdClient } from '../etcd/port.ts';
import type { EtcdVersion } from '../etcd/versions.ts';
import { clientUrlOf, type Launch, PROTOCOL_VERSION, peerUrlOf } from '../protocol/launch.ts';
import type { LogPosition, MemberStatus } from '../protocol/member-status.ts';
import type { Order, Receipt, SignedOrder } from '../protocol/orders.ts';
import { openOrder } from '../protocol/signature.ts';
import { admit, compareFences, type RememberedOrder, receiptOf } from './admission.ts';
import { askEtcd, type ClusterWork } from './cluster-work.ts';
import { SETPRIV, underDeathPact } from './death-pact.ts';
import {
  type DataProblem,
  type DataState,
  type ExitDecision,
  isBehind,
  judgeData,
  judgeLook,
  type MemberView,
  phaseOf,
  raiseFloor,
  type Work,
  workFor,
} from './decide.ts';
import { describeHolder, type Orphans } from './orphan-port.ts';
import { createProber, type Look, type Prober, UNSETTLED_MS } from './prober.ts';
import { createRunner, type LastExit } from './runner.ts';
import { createSerial } from './serial.ts';
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

/** Receipts that are remembered, so that an order asked twice is answered twice and carried out once. */
export const RECEIPTS_MAX = 64;
/** Orders that wait for their turn. */
export const ORDERS_WAITING_MAX = 16;
/** How long etcd gets to end when a new directory takes its place, and when the task is killed. */
export const STOP_GRACE_MS = 8_000;
/** The floor is stored at most this often while it rises with every write. */
export const FLOOR_MS = 2_000;
/** An order is answered in this time; its own limits (a stop's grace, a call to etcd) are shorter. */
export const ORDER_MS_MAX = 630_000;
/** A volume that could not be opened for a passing reason is tried again after this. */
export const VOLUME_RETRY_MS = 5_000;

interface Trouble {
  readonly dataProblem: DataProblem | null;
  readonly message: string;
}

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { launch, clock, volume, log } = options;
  const board = createStatusBoard(clock);
  const booted = Promise.withResolvers<void>();
  booted.promise.catch(() => {});
  /** One order after the other; and one write to the volume after the other, whoever wants it. */
  const inTurn = createSerial();
  const written = createSerial();
  const peerUrl = peerUrlOf(launch);

  let volumeTrouble: Trouble | null = null;
  /** About etcd's data, its process, or the ports; what is about the volume stands before it. */
  let trouble: Trouble | null = null;
  let writeTrouble: string | null = null;
  let identity: StoredIdentity | null = null;
  let data: DataState = 'absent';
  /** An etcd log was seen in the identity's directory: from then on it must be there (S5). */
  let logSeen = false;
  let floor: LogPosition | null = null;
  let floorStoredAtMs = Number.NEGATIVE_INFINITY;
  let fence: Fence | null = null;
  let counter = 0;
  let prober: Prober | null = null;
  let client: EtcdClient | null = null;
  let waiting = 0;
  let closing = false;
  const remembered = new Map<string, RememberedOrder>();
  const underWay = new Map<string, Promise<Receipt>>();

  const runner = createRunner({
    clock,
    processes: options.processes,
    onLine: options.etcdLog,
    onStarted: (pid, ended) => void watch(pid, ended),
    onEnded: async (exit, decision) => await ended(exit, decision),
    mayRestart: async () => await mayRestart(),
    onChange: () => publish(),
  });

  // ---- what there is to say ----

  const view = (): MemberView => ({
    slot: launch.slot,
    cluster: launch.cluster,
    peerUrl,
    identity,
    data,
    floor,
    etcd: runner.state,
    dataProblem: trouble?.dataProblem ?? null,
  });

  const draft = (): StatusDraft => ({
    protocol: PROTOCOL_VERSION,
    build: options.build,
    cluster: launch.cluster,
    slot: launch.slot,
    seat: launch.seat,
    task: launch.task,
    phase: phaseOf(view(), volumeTrouble !== null),
    problem: volumeTrouble?.message ?? trouble?.message ?? writeTrouble,
    dataProblem: volumeTrouble?.dataProblem ?? trouble?.dataProblem ?? null,
    fence: fence ?? { epoch: 0, generation: 0 },
    identity: identity === null ? null : publicIdentity(identity),
    floor,
    etcd:
      runner.state === 'down' && runner.lastExit === null
        ? null
        : {
            version: options.etcdVersion.text,
            pid: runner.pid,
            restarts: runner.restarts,
            lastExit: runner.lastExit,
          },
    probe: prober?.probe() ?? null,
    warnings: [...options.warnings],
  });

  const publish = (): void => board.publish(draft());
  const status = (): MemberStatus => {
    publish();
    return { ...draft(), sequence: board.sequence };
  };

  // ---- the volume ----

  const openVolume = async (): Promise<void> => {
    try {
      await volume.open({ volumeId: launch.volume.id, cluster: launch.cluster, slot: launch.slot });
      fence = await volume.readFence();
      identity = await volume.readIdentity();
      floor = identity === null ? null : await volume.readFloor(identity.epoch);
      await lookAtData();
      volumeTrouble = null;
      const found = judgeData(view());
      if (found !== null) trouble = { dataProblem: found, message: describeData(found, identity) };
    } catch (error) {
      volumeTrouble = volumeTroubleOf(error);
      log.error('volume unusable', { error, dataProblem: volumeTrouble.dataProblem });
    }
    publish();
  };

  const lookAtData = async (): Promise<void> => {
    data = identity === null ? 'absent' : await volume.dataState(identity.epoch);
    logSeen ||= data === 'present';
  };

  const storeIdentity = async (next: StoredIdentity): Promise<void> => {
    await volume.writeIdentity(next);
    identity = next;
  };

  /** What is told to others is stored before. A volume that takes no writes only keeps the floor from rising. */
  const storeFloor = async (at: LogPosition): Promise<void> => {
    if (clock.monotonicMs() - floorStoredAtMs < FLOOR_MS) return;
    await written(async () => {
      if (identity === null || runner.state !== 'running') return;
      const next = raiseFloor(floor, at);
      if (floor !== null && !isBehind(floor, next)) return;
      floorStoredAtMs = clock.monotonicMs();
      await volume.writeFloor(identity.epoch, next);
      floor = next;
      writeTrouble = null;
    }).catch((error: unknown) => noteWriteTrouble('floor not stored', error));
  };

  /** The volume takes no writes: told, and etcd serves on as long as it can itself. */
  const noteWriteTrouble = (event: string, error: unknown): void => {
    writeTrouble = describeError(error);
    log.warn(event, { error });
  };

  // ---- etcd ----

  const watch = async (pid: number, ended: AbortSignal): Promise<void> => {
    log.info('etcd started', { pid, restarts: runner.restarts });
    void awaitLog(ended);
    const mine = await options.etcd(`http://127.0.0.1:${launch.ports.client}`);
    if (ended.aborted) {
      mine.close();
      return;
    }
    const own = createProber({
      clock,
      client: mine,
      onLook: async (look) => await seen(look),
      onChange: publish,
    });
    client = mine;
    prober = own;
    await own.run(ended);
    mine.close();
    if (prober === own) {
      prober = null;
      client = null;
    }
  };

  /** Notes the log as soon as etcd has written one, long before it serves. */
  const awaitLog = async (ended: AbortSignal): Promise<void> => {
    while (!logSeen && !ended.aborted) {
      await lookAtData().catch(() => {});
      if (!logSeen) await clock.sleep(UNSETTLED_MS, ended);
    }
  };

  const seen = async (look: Look): Promise<void> => {
    runner.noteServing();
    if (trouble !== null && trouble.dataProblem === null) trouble = null;
    const verdict = judgeLook(view(), look);
    if (verdict.kind === 'learned') {
      await written(async () => {
        const { epoch, attempt } = verdict.identity;
        if (identity?.epoch === epoch && identity.attempt === attempt) await storeIdentity(verdict.identity);
      }).catch((error: unknown) => noteWriteTrouble('identity not stored', error));
    } else if (verdict.kind === 'rolled-back') {
      setTrouble({ dataProblem: 'data-rolled-back', message: verdict.message });
    } else if (verdict.kind === 'foreign') {
      setTrouble({ dataProblem: 'data-foreign', message: verdict.message });
      void runner.stop(STOP_GRACE_MS).catch((error: unknown) => log.error('etcd not stopped', { error }));
      return;
    }
    if (look.status.leaderId !== null) {
      await storeFloor({ term: look.status.raftTerm, index: look.status.raftIndex });
    }
  };

  const setTrouble = (next: Trouble): void => {
    if (trouble?.message !== next.message) log.error('member in trouble', { ...next });
    trouble = next;
  };

  const ended = async (exit: LastExit, decision: ExitDecision): Promise<void> => {
    log.warn('etcd ended', { code: exit.code, signal: exit.signal, line: exit.line, next: decision.kind });
    if (identity !== null) await lookAtData().catch(() => {});
    if (decision.kind === 'removed' && identity !== null) {
      const removed = { ...identity, removed: true };
      // Even if the volume takes no writes now: this process never starts it again.
      identity = removed;
      await written(async () => await volume.writeIdentity(removed)).catch((error: unknown) =>
        noteWriteTrouble('removal not stored', error),
      );
    } else if (decision.kind === 'restart') {
      const how = exit.code === null ? `signal ${exit.signal ?? 'unknown'}` : `code ${exit.code}`;
      if (trouble?.dataProblem == null)
        trouble = { dataProblem: null, message: `etcd ended with ${how}: ${exit.line}` };
    }
  };

  /** The log that was there must still be there; and who took our port meanwhile is worth naming. */
  const mayRestart = async (): Promise<boolean> => {
    if (identity === null) return false;
    try {
      await lookAtData();
    } catch (error) {
      volumeTrouble = volumeTroubleOf(error);
      return false;
    }
    if (logSeen && data !== 'present') {
      setTrouble({ dataProblem: 'data-missing', message: describeData('data-missing', identity) });
      return false;
    }
    if (runner.lastExit?.line.includes('address already in use') === true)
      await sweep(new AbortController().signal);
    return true;
  };

  const sweep = async (signal: AbortSignal): Promise<void> => {
    const report = await options.orphans.sweep(signal);
    for (const { pid, command } of report.killed) log.warn('orphan killed', { pid, command });
    const [holder] = report.foreign;
    if (holder === undefined) return;
    setTrouble({ dataProblem: trouble?.dataProblem ?? null, message: describeHolder(holder) });
  };

  // ---- orders ----

  const order = async (signed: SignedOrder): Promise<Receipt> => {
    const opened = openOrder(signed, options.schedulerKey);
    if ('problem' in opened) return receiptOf('', 'refused', opened.problem, opened.message);
    const key = `${opened.order.id} ${opened.order.counter}`;
    const same = underWay.get(key);
    if (same !== undefined) return await same;
    if (waiting >= ORDERS_WAITING_MAX) {
      return receiptOf(opened.order.id, 'failed', 'timeout', `${waiting} orders wait already`);
    }
    waiting += 1;
    const { order: next } = opened;
    const work = inTurn(async () => await handle(next)).finally(() => {
      waiting -= 1;
      underWay.delete(key);
      publish();
    });
    // Whoever asked hears in time; the next order still waits until this one has ended.
    const receipt = withDeadline(clock, ORDER_MS_MAX, new AbortController().signal, () => work).catch(
      (error: unknown) => receiptOf(next.id, 'failed', 'timeout', describeError(error)),
    );
    underWay.set(key, receipt);
    return await receipt;
  };

  const handle = async (next: Order): Promise<Receipt> => {
    await booted.promise;
    const admission = admit({ cluster: launch.cluster, task: launch.task, fence, counter, remembered }, next);
    if (admission.kind === 'answer') return admission.receipt;
    if (closing) return receiptOf(next.id, 'failed', 'not-running', 'the supervisor is ending');
    if (volumeTrouble !== null) await openVolume();
    const problem = volumeTrouble as Trouble | null;
    if (problem !== null) return receiptOf(next.id, 'refused', orderProblemOf(problem), problem.message);
    try {
      await raiseFence(admission.fence);
      counter = next.counter;
      const receipt = await carryOut(next, workFor(view(), next));
      remember(next, receipt);
      log.info('order carried out', {
        order: next.kind,
        id: next.id,
        outcome: receipt.outcome,
        problem: receipt.problem,
      });
      return receipt;
    } catch (error) {
      log.error('order failed', { order: next.kind, id: next.id, error });
      if (error instanceof VolumeError) await openVolume();
      const receipt = receiptOf(next.id, 'failed', failureOf(error), describeError(error));
      remember(next, receipt);
      return receipt;
    }
  };

  const raiseFence = async (next: Fence): Promise<void> => {
    if (fence !== null && compareFences(next, fence) === 0) return;
    await written(async () => await volume.writeFence(next));
    fence = next;
    counter = 0;
  };

  const remember = (next: Order, receipt: Receipt): void => {
    remembered.delete(next.id);
    remembered.set(next.id, { counter: next.counter, receipt });
    for (const oldest of remembered.keys()) {
      if (remembered.size <= RECEIPTS_MAX) break;
      remembered.delete(oldest);
    }
  };

  const carryOut = async (next: Order, work: Work): Promise<Receipt> => {
    const done = (message: string) => receiptOf(next.id, 'done', null, message);
    switch (work.kind) {
      case 'nothing':
        return done(work.message);
      case 'refuse':
        if (work.dataProblem !== null) setTrouble({ dataProblem: work.dataProblem, message: work.message });
        return receiptOf(next.id, 'refused', work.problem, work.message);
      case 'create-data':
        await runner.stop(STOP_GRACE_MS);
        await createData(work.identity);
        return done(`prepared epoch ${next.epoch}, attempt ${next.attempt}`);
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
        return await changeCluster(next, work);
    }
  };

  const createData = async (next: StoredIdentity): Promise<void> => {
    await written(async () => {
      await volume.createData(next);
      identity = next;
      floor = null;
      floorStoredAtMs = Number.NEGATIVE_INFINITY;
      trouble = null;
      logSeen = false;
      await lookAtData();
    });
  };

  const start = async (work: Work & { kind: 'start' }): Promise<void> => {
    if (trouble !== null) {
      trouble = null;
      await sweep(new AbortController().signal);
      const found = trouble as Trouble | null;
      if (found !== null) throw new ProcessError('start-failed', found.message);
    }
    await written(async () => await storeIdentity(work.identity));
    const first = commandLine(work.identity, {
      state: work.mode === 'bootstrap' ? 'new' : 'existing',
      initialCluster: work.initialCluster,
    });
    const later = commandLine(work.identity, {
      state: 'existing',
      initialCluster: [{ name: launch.slot, peerUrl }],
    });
    if (closing) throw new ProcessError('start-failed', 'the supervisor is ending');
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
    cluster: Pick<EtcdStart, 'state' | 'initialCluster'>,
  ): readonly string[] =>
    etcdArguments({
      version: options.etcdVersion,
      name: launch.slot,
      dataDirectory: volume.dataDirectory(epoch),
      listenHosts: options.listenHosts,
      peerPort: launch.ports.peer,
      clientPort: launch.ports.client,
      peerUrl,
      clientUrl: clientUrlOf(launch),
      token,
      options: launch.etcd,
      ...cluster,
    });

  const changeCluster = async (next: Order, work: ClusterWork): Promise<Receipt> => {
    if (client === null) return receiptOf(next.id, 'failed', 'not-running', 'etcd does not answer yet');
    try {
      return await askEtcd({ clock, client, id: next.id }, work);
    } finally {
      prober?.noteChange();
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
    const { phase, identity: found, problem } = draft();
    log.info('supervisor ready', { phase, fence, epoch: found?.epoch, started: found?.started, problem });
  };

  return {
    ready: booted.promise,
    status,
    async waitStatus(after, waitMs, signal) {
      publish();
      await board.wait(after, waitMs, signal);
      return status();
    },
    order,
    async run(signal) {
      await boot(signal);
      while (!signal.aborted) {
        await clock.sleep(VOLUME_RETRY_MS, signal);
        if (volumeTrouble !== null && runner.state === 'down' && !signal.aborted) await inTurn(openVolume);
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
  if (problem === 'data-missing')
    return `etcd was started on epoch ${identity?.epoch ?? 0} before, and its log is not there`;
  return `the volume holds data of cluster ${identity?.cluster ?? 'unknown'}, slot ${identity?.slot ?? 'unknown'}`;
}

function volumeTroubleOf(error: unknown): Trouble {
  const message = describeError(error);
  if (!(error instanceof VolumeError)) return { dataProblem: null, message };
  switch (error.code) {
    case 'missing':
      return { dataProblem: 'volume-missing', message };
    case 'foreign':
      return { dataProblem: 'data-foreign', message };
    case 'corrupt':
      return { dataProblem: 'corrupt', message };
    case 'full':
    case 'io':
      // May pass: a disk that is full or hiccups is no reason to give the data up.
      return { dataProblem: null, message };
  }
}

function orderProblemOf(trouble: Trouble) {
  if (trouble.dataProblem === 'volume-missing' || trouble.dataProblem === 'data-foreign')
    return trouble.dataProblem;
  return 'volume-error';
}

function failureOf(error: unknown) {
  if (error instanceof VolumeError) return error.code === 'missing' ? 'volume-missing' : 'volume-error';
  return 'etcd-refused';
}
