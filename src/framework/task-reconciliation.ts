import type { Call } from '../mesos/wire.ts';
import type { ClusterRecord } from '../protocol/record.ts';
import type { TaskEvidence } from '../reconcile/observation.ts';
import { type MesosView, type RecordedTask, tasksOf } from './mesos-view.ts';

/**
 * When the master is asked about our tasks: all of them on every subscription, those it has not answered for or
 * says to be away again with growing patience, and all of them now and then. Pure.
 */
export interface AskingState {
  readonly subscription: number;
  /** Monotonic. */
  readonly nextAllMs: number;
  readonly nextOpenMs: number;
  readonly openWaitMs: number;
}
export const NOT_ASKED: AskingState = { subscription: 0, nextAllMs: 0, nextOpenMs: 0, openWaitMs: 0 };

/** Everything is asked for again this often. */
export const ASK_ALL_MS = 600_000;
const ASK_OPEN_FIRST_MS = 1_000;
/** Patience with absence counts only what was said lately, so this is far below any such timeout. */
const ASK_OPEN_LAST_MS = 5_000;
/** A launch that nothing was heard of for this long is asked for. */
const SILENT_LAUNCH_MS = 10_000;

export function nextAsking(
  before: AskingState,
  input: {
    readonly view: MesosView;
    readonly record: ClusterRecord;
    readonly nowMs: number;
    /** By task id: when it was sent for launch, monotonic. */
    readonly launchedAtMs: ReadonlyMap<string, number>;
  },
): { readonly state: AskingState; readonly calls: readonly Call[]; readonly wakeMs: number } {
  const { view, record, nowMs } = input;
  if (!view.subscribed) return { state: before, calls: [], wakeMs: Number.POSITIVE_INFINITY };
  const tasks = tasksOf(record);
  if (before.subscription !== view.subscriptions || nowMs >= before.nextAllMs) {
    const state = {
      subscription: view.subscriptions,
      nextAllMs: nowMs + ASK_ALL_MS,
      nextOpenMs: nowMs + ASK_OPEN_FIRST_MS,
      openWaitMs: ASK_OPEN_FIRST_MS,
    };
    const known = tasks.filter((one) => !isOnItsWay(one, input));
    const explicit = known.length === 0 ? [] : [reconcileCall(known)];
    return { state, calls: [reconcileCall([]), ...explicit], wakeMs: ASK_OPEN_FIRST_MS };
  }
  const open = tasks.filter((one) => isOpen(one, input));
  if (open.length === 0) {
    return {
      state: { ...before, openWaitMs: ASK_OPEN_FIRST_MS },
      calls: [],
      wakeMs: before.nextAllMs - nowMs,
    };
  }
  if (nowMs < before.nextOpenMs) return { state: before, calls: [], wakeMs: before.nextOpenMs - nowMs };
  const openWaitMs = Math.min(ASK_OPEN_LAST_MS, before.openWaitMs * 2);
  const state = { ...before, nextOpenMs: nowMs + openWaitMs, openWaitMs };
  return { state, calls: [reconcileCall(open)], wakeMs: openWaitMs };
}

/** Asked about a task whose launch has yet to arrive, a master says that it is gone. */
function isOnItsWay(
  { task }: RecordedTask,
  input: { view: MesosView; nowMs: number; launchedAtMs: ReadonlyMap<string, number> },
): boolean {
  const launchedAtMs = input.launchedAtMs.get(task);
  if (launchedAtMs === undefined || input.view.tasks.has(task)) return false;
  return input.nowMs - launchedAtMs < SILENT_LAUNCH_MS;
}

/**
 * An answer is owed: nothing was said in this subscription, or nothing at all since the launch; or the newest word
 * is that the task is away, which nobody takes back by himself. A master that was restarted without its registry
 * denies the tasks of agents that are on their way back, and does not say so when they are there.
 */
function isOpen(
  { task }: RecordedTask,
  input: { view: MesosView; nowMs: number; launchedAtMs: ReadonlyMap<string, number> },
): boolean {
  if (!input.view.answered.has(task)) return true;
  const evidence = input.view.tasks.get(task);
  if (evidence !== undefined) return isAway(evidence);
  return input.nowMs - (input.launchedAtMs.get(task) ?? 0) >= SILENT_LAUNCH_MS;
}

function isAway(evidence: TaskEvidence): boolean {
  if (evidence.kind !== 'over') return evidence.kind === 'unreachable';
  // That a drained agent is gone for good is told of its tasks, and only when it is asked for.
  return evidence.end.standing === 'asserted' || evidence.end.reason === 'REASON_AGENT_DRAINING';
}

function reconcileCall(tasks: readonly RecordedTask[]): Call {
  return {
    type: 'RECONCILE',
    reconcile: {
      tasks: tasks.map(({ task, agentId }) => ({ task_id: { value: task }, agent_id: { value: agentId } })),
    },
  };
}
