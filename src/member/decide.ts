import { unreachable } from '../base/assert.ts';
import type { ProcessExit } from '../base/ports.ts';
import type { AlarmName, EtcdStatus } from '../etcd/port.ts';
import { compareUint64 } from '../protocol/identifiers.ts';
import type { EtcdMember, LogPosition, MemberStatus, SupervisorPhase } from '../protocol/member-status.ts';
import type { Order, OrderProblem } from '../protocol/orders.ts';
import type { StoredIdentity } from './volume.ts';

/**
 * The supervisor's decisions, pure: what an order means for the data it finds, what an exit of etcd means, what
 * a look at etcd says of the data. Acting on them is `supervisor.ts`.
 */
export type DataProblem = NonNullable<MemberStatus['dataProblem']>;
export type DataState = 'absent' | 'empty' | 'present';

export interface MemberView {
  readonly slot: string;
  readonly cluster: string;
  /** What this member tells its peers. */
  readonly peerUrl: string;
  readonly identity: StoredIdentity | null;
  /** Of the identity's epoch. */
  readonly data: DataState;
  /** What the volume says was reported to others. */
  readonly floor: LogPosition | null;
  readonly etcd: 'down' | 'running' | 'backing-off';
  /** Found earlier and not overcome. */
  readonly dataProblem: DataProblem | null;
}

export interface InitialMember {
  readonly name: string;
  readonly peerUrl: string;
}

/** What carrying out an admitted order comes to. */
export type Work =
  | { readonly kind: 'nothing'; readonly message: string }
  | {
      readonly kind: 'refuse';
      readonly problem: OrderProblem;
      readonly message: string;
      /** What the refusal has shown about the data. */
      readonly dataProblem: DataProblem | null;
    }
  /** End etcd if it runs, make an empty directory, then store the identity. */
  | { readonly kind: 'create-data'; readonly identity: StoredIdentity }
  /** Store the identity, which says `started`, and only then start etcd. */
  | {
      readonly kind: 'start';
      readonly identity: StoredIdentity;
      readonly mode: 'bootstrap' | 'join' | 'resume';
      readonly initialCluster: readonly InitialMember[];
      /** Without the check of its data against its peers', until it ends. */
      readonly unchecked: boolean;
    }
  /** It waits for its next try already: make it now. */
  | { readonly kind: 'retry-now' }
  | { readonly kind: 'stop'; readonly graceMs: number }
  | { readonly kind: 'member-add'; readonly peerUrl: string; readonly voters: readonly string[] }
  | {
      readonly kind: 'member-remove' | 'member-promote';
      readonly memberId: string;
      readonly voters: readonly string[];
    }
  | { readonly kind: 'move-leader'; readonly memberId: string }
  | { readonly kind: 'defragment'; readonly run: string; readonly limitMs: number }
  | { readonly kind: 'measure-space'; readonly limitMs: number }
  | { readonly kind: 'compact' | 'hash-kv'; readonly revision: string }
  | { readonly kind: 'disarm'; readonly memberId: string; readonly alarm: AlarmName };

/** What an order that was admitted means for this member. */
export function workFor(view: MemberView, order: Order): Work {
  switch (order.kind) {
    case 'fence':
      return { kind: 'nothing', message: 'fenced' };
    case 'prepare':
      return prepare(view, order);
    case 'start':
      return start(view, order);
    case 'stop':
      return view.etcd === 'down'
        ? { kind: 'nothing', message: 'etcd does not run' }
        : { kind: 'stop', graceMs: order.args.graceMs };
    case 'member-add':
      return ask(view, order) ?? { kind: order.kind, ...order.args };
    case 'member-remove':
    case 'member-promote':
      return ask(view, order) ?? { kind: order.kind, ...order.args };
    case 'move-leader':
      return ask(view, order) ?? { kind: order.kind, ...order.args };
    case 'defragment':
      return ask(view, order) ?? { kind: order.kind, ...order.args };
    case 'measure-space':
      return ask(view, order) ?? { kind: order.kind, ...order.args };
    case 'compact':
    case 'hash-kv':
      return ask(view, order) ?? { kind: order.kind, ...order.args };
    case 'disarm':
      return ask(view, order) ?? { kind: order.kind, ...order.args };
    default:
      return unreachable(order);
  }
}

function prepare(view: MemberView, order: Order & { kind: 'prepare' }): Work {
  const { identity } = view;
  const fresh: StoredIdentity = {
    slot: view.slot,
    cluster: view.cluster,
    epoch: order.epoch,
    attempt: order.attempt,
    token: order.args.token,
    started: false,
    removed: false,
    clusterId: null,
    memberId: null,
  };
  if (identity === null || order.epoch > identity.epoch) return { kind: 'create-data', identity: fresh };
  if (order.epoch < identity.epoch || order.attempt < identity.attempt) return wrongEpoch(identity);
  if (order.attempt > identity.attempt) {
    if (identity.clusterId === null) return { kind: 'create-data', identity: fresh };
    // S5: an epoch that has formed is never begun again over its members' data.
    return refuse('already-started', `epoch ${identity.epoch} has formed, its data is kept`);
  }
  if (identity.token !== order.args.token) {
    return refuse('wrong-epoch', 'this attempt was prepared with another cluster token');
  }
  if (identity.started) return refuse('already-started', 'etcd was started on this attempt’s data before');
  if (view.data === 'present') return refuse('not-empty', 'the directory holds an etcd log nobody started');
  if (view.data === 'absent') return { kind: 'create-data', identity: fresh };
  return { kind: 'nothing', message: 'prepared already' };
}

type StartArgs = (Order & { kind: 'start' })['args'];

function start(view: MemberView, order: Order & { kind: 'start' }): Work {
  const { identity } = view;
  const { args } = order;
  if (identity === null) {
    if (args.mode !== 'resume') return refuse('not-prepared', 'no data directory was prepared');
    return refuse('data-missing', 'the volume holds no data to resume on', 'data-missing');
  }
  if (order.epoch !== identity.epoch || order.attempt !== identity.attempt) return wrongEpoch(identity);
  if (identity.removed)
    return refuse('removed', 'the cluster removed this member: its data is never used again');
  const foreign = foreignTo(identity, args);
  if (foreign !== null) return refuse('data-foreign', foreign, 'data-foreign');
  if (view.etcd === 'running') return { kind: 'nothing', message: 'etcd runs already' };
  // One that never joined is held by etcd against the list that it is given: a newer order brings a newer list.
  const joinsAnew = view.etcd === 'backing-off' && args.mode === 'join' && view.data === 'empty';
  if (view.etcd === 'backing-off' && !joinsAnew && args.unchecked !== true) return { kind: 'retry-now' };
  const started: StoredIdentity = {
    ...identity,
    started: true,
    clusterId: identity.clusterId ?? args.clusterId,
    memberId: identity.memberId ?? args.memberId,
  };
  return args.mode === 'resume'
    ? resume(view, identity, started, args)
    : first(view, joinsAnew ? { ...identity, started: false } : identity, started, args);
}

function resume(
  view: MemberView,
  identity: StoredIdentity,
  started: StoredIdentity,
  { floor, unchecked }: StartArgs,
): Work {
  if (!identity.started) {
    // Whoever says that it reported a position speaks of data that this volume does not know.
    const lost = floor === null ? null : 'data-missing';
    return refuse('data-missing', 'etcd was never started on this volume’s data', lost);
  }
  if (view.data !== 'present') {
    return refuse('data-missing', 'etcd was started here before, and its log is not there', 'data-missing');
  }
  if (floor !== null && isBehind(view.floor, floor)) {
    const known = view.floor === null ? 'nothing' : `term ${view.floor.term}, index ${view.floor.index}`;
    const message = `the volume knows of ${known}, but term ${floor.term}, index ${floor.index} was reported`;
    return refuse('data-rolled-back', message, 'data-rolled-back');
  }
  if (view.dataProblem !== null) {
    return refuse(REFUSAL_OF[view.dataProblem], `the data is unfit: ${view.dataProblem}`);
  }
  // Alone in the list and `existing`: should the log vanish, this command line can form no cluster.
  const initialCluster = [ownEntry(view)];
  return { kind: 'start', identity: started, mode: 'resume', initialCluster, unchecked: unchecked === true };
}

function first(view: MemberView, identity: StoredIdentity, started: StoredIdentity, args: StartArgs): Work {
  if (identity.started) return refuse('already-started', 'etcd was started on this attempt’s data before');
  if (view.data === 'absent') return refuse('not-prepared', 'the prepared directory is not there');
  if (view.data === 'present') return refuse('not-empty', 'the directory holds an etcd log nobody started');
  const own = args.initialCluster.find((member) => member.name === view.slot);
  if (own?.peerUrl !== view.peerUrl) {
    const named = own === undefined ? 'nothing' : own.peerUrl;
    return refuse(
      'malformed',
      `the initial cluster names ${named} for ${view.slot}, it is at ${view.peerUrl}`,
    );
  }
  const { mode, initialCluster } = args;
  return { kind: 'start', identity: started, mode, initialCluster, unchecked: false };
}

const REFUSAL_OF: Readonly<Record<DataProblem, OrderProblem>> = {
  'data-missing': 'data-missing',
  'data-foreign': 'data-foreign',
  'data-rolled-back': 'data-rolled-back',
  'volume-missing': 'volume-missing',
  corrupt: 'volume-error',
};

/** What an order to act on the cluster needs; `null` when it may go on. */
function ask(view: MemberView, order: Order): Work | null {
  const { identity } = view;
  if (identity === null || view.etcd !== 'running') return refuse('not-running', 'etcd does not run here');
  return order.epoch === identity.epoch && order.attempt === identity.attempt ? null : wrongEpoch(identity);
}

function foreignTo(identity: StoredIdentity, args: StartArgs): string | null {
  if (identity.token !== args.token) return 'the data was prepared with another cluster token';
  for (const key of ['clusterId', 'memberId'] as const) {
    if (args[key] !== null && identity[key] !== null && args[key] !== identity[key]) {
      return `the data has ${key} ${identity[key]}, not ${args[key]}`;
    }
  }
  return null;
}

function wrongEpoch(identity: StoredIdentity): Work {
  return refuse('wrong-epoch', `the volume holds epoch ${identity.epoch}, attempt ${identity.attempt}`);
}

function refuse(problem: OrderProblem, message: string, dataProblem: DataProblem | null = null): Work {
  return { kind: 'refuse', problem, message, dataProblem };
}

/**
 * S4: whether what the volume knows lies before what was reported. Terms and commit indexes of one member never
 * fall, so either being lower is proof. This catches a volume that was put back from an older copy, since the
 * floor is stored on the volume before it is reported; a log that was cut by itself, under a newer floor file,
 * is found after the start by {@link judgeLook}.
 */
export function isBehind(known: LogPosition | null, reported: LogPosition): boolean {
  if (known === null) return true;
  return compareUint64(known.term, reported.term) < 0 || compareUint64(known.index, reported.index) < 0;
}

/** The higher of both, each part by itself. */
export function raiseFloor(floor: LogPosition | null, seen: LogPosition): LogPosition {
  if (floor === null) return seen;
  return {
    term: compareUint64(floor.term, seen.term) < 0 ? seen.term : floor.term,
    index: compareUint64(floor.index, seen.index) < 0 ? seen.index : floor.index,
  };
}

/** What a supervisor finds on its volume when it starts, or after something has changed there. */
export function judgeData(view: MemberView): DataProblem | null {
  const { identity } = view;
  if (identity === null) return null;
  if (identity.cluster !== view.cluster || identity.slot !== view.slot) return 'data-foreign';
  return identity.started && !identity.removed && view.data !== 'present' ? 'data-missing' : null;
}

export function phaseOf(view: MemberView, volumeProblem: boolean): SupervisorPhase {
  const { identity } = view;
  if (view.etcd === 'running') return 'running';
  if (identity?.removed === true) return 'removed';
  if (volumeProblem || view.dataProblem !== null) return 'failed';
  if (view.etcd === 'backing-off') return 'backing-off';
  if (identity === null || view.data === 'absent') return 'idle';
  return identity.started ? 'stopped' : 'prepared';
}

/** The first restart follows at once, then these pauses double. */
const RESTART_FIRST_MS = 250;
const RESTART_LAST_MS = 30_000;
/** After serving this long an etcd counts as sound: its next end is a first one. */
const SOUND_MS = 60_000;

export type ExitDecision =
  | { readonly kind: 'removed' }
  | { readonly kind: 'down' }
  | { readonly kind: 'restart'; readonly afterMs: number; readonly failures: number };

/** What to do when etcd has ended (L0). */
export function judgeExit(seen: {
  readonly exit: ProcessExit;
  /** Its log says that the cluster removed it. */
  readonly saidRemoved: boolean;
  /** It was told to end. */
  readonly stopping: boolean;
  /** Milliseconds for which it had served without a break. */
  readonly servedMs: number;
  /** Ends in a row before this one. */
  readonly failures: number;
}): ExitDecision {
  // etcd ends with 0 only when it was removed; a signal it handles is raised again, so it ends by that signal.
  if (seen.exit.code === 0 || seen.saidRemoved) return { kind: 'removed' };
  if (seen.stopping) return { kind: 'down' };
  const failures = seen.servedMs >= SOUND_MS ? 0 : seen.failures;
  const afterMs = failures === 0 ? 0 : Math.min(RESTART_LAST_MS, RESTART_FIRST_MS * 2 ** (failures - 1));
  return { kind: 'restart', afterMs, failures: failures + 1 };
}

export type LookVerdict =
  | { readonly kind: 'fine' }
  /** What etcd says of itself for the first time, to be stored. */
  | { readonly kind: 'learned'; readonly identity: StoredIdentity }
  /** It belongs to another cluster: end it, it must not serve at this address. */
  | { readonly kind: 'foreign'; readonly message: string }
  /** It serves, but its cluster has lost what was reported before. */
  | { readonly kind: 'rolled-back'; readonly message: string };

/**
 * What a look at our own etcd says of its data.
 * @param look.confirmed a linearizable read was answered after the status was taken: its log is caught up, so a
 *   position below the floor is no lag any more.
 */
export function judgeLook(
  view: MemberView,
  look: {
    readonly status: EtcdStatus;
    readonly members: readonly EtcdMember[];
    readonly confirmed: boolean;
  },
): LookVerdict {
  const { identity, floor } = view;
  const { status } = look;
  if (identity === null) return { kind: 'fine' };
  for (const key of ['clusterId', 'memberId'] as const) {
    if (identity[key] !== null && identity[key] !== status[key]) {
      return { kind: 'foreign', message: `etcd says ${key} ${status[key]}, its data is of ${identity[key]}` };
    }
  }
  if (identity.clusterId === null || identity.memberId === null) {
    // What answers must be ours: another etcd may hold the port while ours fails to bind it.
    const own = look.members.find((member) => member.id === status.memberId);
    if (own?.peerUrls.includes(view.peerUrl) === false) return { kind: 'fine' };
    // Ids follow from the command line alone: only a quorum's answer shows that the cluster has formed (S5).
    if (identity.clusterId === null && !look.confirmed) return { kind: 'fine' };
    const { clusterId, memberId } = status;
    return { kind: 'learned', identity: { ...identity, clusterId, memberId } };
  }
  const position = { term: status.raftTerm, index: status.raftIndex };
  if (look.confirmed && floor !== null && isBehind(position, floor)) {
    const message = `term ${position.term}, index ${position.index} is below the reported ${floor.term}, ${floor.index}`;
    return { kind: 'rolled-back', message };
  }
  return { kind: 'fine' };
}

function ownEntry(view: MemberView): InitialMember {
  return { name: view.slot, peerUrl: view.peerUrl };
}
