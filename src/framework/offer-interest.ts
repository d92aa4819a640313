import type { Call } from '../mesos/wire.ts';

/**
 * Whether offers are asked for, held or given back: REVIVE when something new is wanted, SUPPRESS when nothing
 * is, and no offer kept without a use. Pure.
 */
export interface InterestState {
  readonly subscription: number;
  readonly suppressed: boolean;
  /** What was wanted when offers were last asked for. */
  readonly keys: ReadonlySet<string>;
  readonly revivedAtMs: number;
  /** Since when nothing is wanted; `null` while something is. */
  readonly idleSinceMs: number | null;
}

export interface InterestInput {
  readonly nowMs: number;
  /** Counts subscriptions; a new one starts with offers flowing and no filters. */
  readonly subscription: number;
  /** Names of what is wanted of offers and was not found in the present ones. */
  readonly wanted: ReadonlySet<string>;
  /** Offers in hand that nothing was taken from. */
  readonly unused: readonly string[];
  /** Those of them that hold the place of a member which will soon want it back. */
  readonly kept: ReadonlySet<string>;
  /** Uniform in [0, 1). */
  readonly random: number;
}

export interface InterestResult {
  readonly state: InterestState;
  readonly calls: readonly Call[];
  /** Offers that the calls give back. */
  readonly declined: readonly string[];
  readonly wakeMs: number;
}

export const NO_INTEREST: InterestState = {
  subscription: 0,
  suppressed: false,
  keys: new Set(),
  revivedAtMs: 0,
  idleSinceMs: null,
};

/** Seconds for which an offer that does not fit now is not made again while something is wanted. */
const REFUSE_WANTED_S = 5;
/** Seconds for which an offer is not made again while nothing is wanted, up to a quarter more. */
const REFUSE_IDLE_S = 3600;
/** Offers are not given back the moment nothing is wanted: the next step may want them. */
const IDLE_HOLD_MS = 1_000;
/** After a subscription offers flow for this long, so that reservations nobody knows of are seen. */
const LOOK_AROUND_MS = 5_000;
const REVIVE_APART_MS = 200;
/** A want that stays unmet asks again: a REVIVE may have been lost. */
const REVIVE_AGAIN_MS = 30_000;

export function nextInterest(before: InterestState, input: InterestInput): InterestResult {
  const state = before.subscription === input.subscription ? before : freshState(input);
  const declinable = input.unused.filter((id) => !input.kept.has(id));
  return input.wanted.size > 0 ? whileWanted(state, input, declinable) : whileIdle(state, input, declinable);
}

function freshState(input: InterestInput): InterestState {
  return {
    subscription: input.subscription,
    suppressed: false,
    keys: input.wanted,
    revivedAtMs: input.nowMs,
    idleSinceMs: input.nowMs + LOOK_AROUND_MS - IDLE_HOLD_MS,
  };
}

function whileWanted(state: InterestState, input: InterestInput, unused: readonly string[]): InterestResult {
  const { nowMs, wanted } = input;
  const news = state.suppressed || [...wanted].some((key) => !state.keys.has(key));
  const sinceMs = nowMs - state.revivedAtMs;
  const due = news ? sinceMs >= REVIVE_APART_MS : sinceMs >= REVIVE_AGAIN_MS;
  const calls: Call[] = unused.length === 0 ? [] : [declineCall(unused, REFUSE_WANTED_S)];
  if (due) calls.push({ type: 'REVIVE' });
  return {
    state: {
      ...state,
      suppressed: state.suppressed && !due,
      // What is not wanted any more is news when it is wanted again; what waits for its REVIVE stays news.
      keys: due ? wanted : new Set([...state.keys].filter((key) => wanted.has(key))),
      revivedAtMs: due ? nowMs : state.revivedAtMs,
      idleSinceMs: null,
    },
    calls,
    declined: unused,
    wakeMs: due ? REVIVE_AGAIN_MS : Math.max(1, (news ? REVIVE_APART_MS : REVIVE_AGAIN_MS) - sinceMs),
  };
}

function whileIdle(state: InterestState, input: InterestInput, unused: readonly string[]): InterestResult {
  const idleSinceMs = state.idleSinceMs ?? input.nowMs;
  const waitMs = idleSinceMs + IDLE_HOLD_MS - input.nowMs;
  const next = { ...state, keys: new Set<string>(), idleSinceMs };
  if (waitMs > 0) return { state: next, calls: [], declined: [], wakeMs: waitMs };
  const calls: Call[] =
    unused.length === 0 ? [] : [declineCall(unused, REFUSE_IDLE_S * (1 + input.random / 4))];
  if (!state.suppressed) calls.push({ type: 'SUPPRESS' });
  return {
    state: { ...next, suppressed: true },
    calls,
    declined: unused,
    wakeMs: Number.POSITIVE_INFINITY,
  };
}

function declineCall(offerIds: readonly string[], refuseSeconds: number): Call {
  return {
    type: 'DECLINE',
    decline: {
      offer_ids: offerIds.map((value) => ({ value })),
      filters: { refuse_seconds: Math.round(refuseSeconds) },
    },
  };
}
