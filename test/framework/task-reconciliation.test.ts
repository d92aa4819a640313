import { describe, expect, it } from 'vitest';
import { EMPTY_VIEW, type MesosView } from '../../src/framework/mesos-view.ts';
import { evidenceOf } from '../../src/framework/task-evidence.ts';
import {
  ASK_ALL_MS,
  type AskingState,
  NOT_ASKED,
  nextAsking,
} from '../../src/framework/task-reconciliation.ts';
import type { TaskState } from '../../src/mesos/wire.ts';
import { record, seat } from './fixtures.ts';

const ours = record({ seats: [seat()] });
const TASK = 'etcd-0__one';

function viewOf(said: { readonly state: TaskState; readonly byAgent?: boolean } | null): MesosView {
  const subscribed = { ...EMPTY_VIEW, subscribed: true, subscriptions: 1 };
  if (said === null) return subscribed;
  const status = {
    task_id: { value: TASK },
    state: said.state,
    source: said.byAgent === true ? 'SOURCE_AGENT' : 'SOURCE_MASTER',
  } as const;
  const evidence = evidenceOf(status, 0);
  if (evidence === null) throw new Error(`${said.state} says nothing`);
  return { ...subscribed, answered: new Set([TASK]), tasks: new Map([[TASK, evidence]]) };
}

/** At which times, in milliseconds, the task is asked about by name after the first look at all. */
function askedAt(view: MesosView, untilMs: number): readonly number[] {
  let state: AskingState = NOT_ASKED;
  const times: number[] = [];
  for (let nowMs = 0; nowMs <= untilMs; nowMs += 500) {
    const next = nextAsking(state, { view, record: ours, nowMs, launchedAtMs: new Map() });
    state = next.state;
    if (nowMs > 0 && next.calls.length > 0) times.push(nowMs);
  }
  return times;
}

describe('a task', () => {
  it('that nothing was said of is asked for again, with a patience that ends at five seconds', () => {
    expect(askedAt(viewOf(null), 20_000)).toEqual([1_000, 3_000, 7_000, 12_000, 17_000]);
  });

  it.each<TaskState>(['TASK_UNREACHABLE', 'TASK_UNKNOWN', 'TASK_LOST', 'TASK_GONE'])(
    'that is said to be away (%s) is asked for again: nobody says that it is back',
    (state) => {
      expect(askedAt(viewOf({ state }), 20_000)).toEqual([1_000, 3_000, 7_000, 12_000, 17_000]);
    },
  );

  it('that runs, or whose end its agent has seen, is asked for with all others now and then', () => {
    expect(askedAt(viewOf({ state: 'TASK_RUNNING' }), ASK_ALL_MS - 500)).toEqual([]);
    expect(askedAt(viewOf({ state: 'TASK_FAILED', byAgent: true }), ASK_ALL_MS - 500)).toEqual([]);
    expect(askedAt(viewOf({ state: 'TASK_RUNNING' }), ASK_ALL_MS)).toEqual([ASK_ALL_MS]);
  });

  it('that was back is asked for soon when it goes away once more', () => {
    let state: AskingState = NOT_ASKED;
    const asks = (view: MesosView, nowMs: number): boolean => {
      const next = nextAsking(state, { view, record: ours, nowMs, launchedAtMs: new Map() });
      state = next.state;
      return next.calls.length > 0;
    };
    for (let nowMs = 0; nowMs <= 20_000; nowMs += 500) asks(viewOf({ state: 'TASK_UNREACHABLE' }), nowMs);
    expect(asks(viewOf({ state: 'TASK_RUNNING' }), 30_000)).toBe(false);
    expect(asks(viewOf({ state: 'TASK_UNREACHABLE' }), 40_000)).toBe(true);
    expect(asks(viewOf({ state: 'TASK_UNREACHABLE' }), 42_000)).toBe(true);
  });
});
