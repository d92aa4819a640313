import type { Call, InverseOffer, Offer } from '../mesos/wire.ts';
import type { ClusterRecord } from '../protocol/record.ts';
import type { TaskEvidence } from '../reconcile/observation.ts';

/**
 * Maintenance as operators announce it to Mesos: which agents will be away and when, as offers and inverse offers
 * tell, and what is answered to the latter. Pure.
 */
export interface Maintenance {
  /** By agent id; the newest word counts. */
  readonly windows: ReadonlyMap<string, Window>;
  /** Inverse offers that are not answered yet, by id. */
  readonly open: ReadonlyMap<string, OpenQuestion>;
}
interface Window {
  /** Milliseconds since 1970. */
  readonly startMs: number;
  /** `null`: nobody knows when it ends. */
  readonly endMs: number | null;
  /** Monotonic. */
  readonly heardAtMs: number;
}
interface OpenQuestion {
  readonly agentId: string;
  readonly heardAtMs: number;
}
type Unavailability = NonNullable<Offer['unavailability']>;

export const NO_MAINTENANCE: Maintenance = { windows: new Map(), open: new Map() };

/** Maintenance further ahead than this moves no member yet: schedules change. */
export const HORIZON_MS = 24 * 3_600_000;
/**
 * Mesos asks again as long as anything of ours is there. What was not told again for so long was cancelled, though
 * nobody says so of a question that was answered.
 */
const FORGOTTEN_MS = 300_000;
/** An inverse offer is held for as long as it may take to move a member; then Mesos is told that it takes longer. */
const HELD_MS = 60_000;
const ASK_AGAIN_S = 60;
/** For what is accepted or too far ahead. */
const ASK_LATE_S = 3_600;

export function withQuestions(
  before: Maintenance,
  offers: readonly InverseOffer[],
  heardAtMs: number,
): Maintenance {
  const windows = new Map(before.windows);
  const open = new Map(before.open);
  for (const { id, agent_id: agent, unavailability } of offers) {
    if (agent === undefined) continue;
    open.set(id.value, { agentId: agent.value, heardAtMs });
    if (unavailability !== undefined) windows.set(agent.value, windowOf(unavailability, heardAtMs));
  }
  return { windows, open };
}

/** A question that is taken back: the maintenance is cancelled, or asked about anew. */
export function withoutQuestion(before: Maintenance, id: string): Maintenance {
  const question = before.open.get(id);
  if (question === undefined) return before;
  const windows = new Map(before.windows);
  const open = new Map(before.open);
  open.delete(id);
  windows.delete(question.agentId);
  return { windows, open };
}

/** An offer tells of the maintenance of its agent, and by its silence that there is none. */
export function withOffered(before: Maintenance, offers: readonly Offer[], heardAtMs: number): Maintenance {
  const news = offers.filter(
    ({ agent_id: agent, unavailability }) => unavailability !== undefined || before.windows.has(agent.value),
  );
  if (news.length === 0) return before;
  const windows = new Map(before.windows);
  for (const { agent_id: agent, unavailability } of news) {
    if (unavailability === undefined) windows.delete(agent.value);
    else windows.set(agent.value, windowOf(unavailability, heardAtMs));
  }
  return { ...before, windows };
}

/** Questions end with the subscription; the new one brings them again. */
export function withoutQuestions(before: Maintenance): Maintenance {
  return { ...before, open: new Map() };
}

/** By agent id: when the maintenance begins that is near or has begun, milliseconds since 1970. */
export function maintenanceAhead(
  { windows, open }: Maintenance,
  now: { readonly wallMs: number; readonly monotonicMs: number },
): ReadonlyMap<string, number> {
  const asked = new Set([...open.values()].map(({ agentId }) => agentId));
  const ahead = new Map<string, number>();
  for (const [agentId, { startMs, endMs, heardAtMs }] of windows) {
    const isPast = endMs !== null && endMs <= now.wallMs;
    const isForgotten = !asked.has(agentId) && now.monotonicMs - heardAtMs >= FORGOTTEN_MS;
    if (!isPast && !isForgotten && startMs - now.wallMs <= HORIZON_MS) ahead.set(agentId, startMs);
  }
  return ahead;
}

export interface Answers {
  readonly state: Maintenance;
  readonly calls: readonly Call[];
  /** Milliseconds until an answer is due. */
  readonly wakeMs: number;
}

/** An agent on which nothing of ours runs may go; for another the time to move what is there is taken first. */
export function answerQuestions(
  before: Maintenance,
  input: {
    readonly record: ClusterRecord;
    readonly tasks: ReadonlyMap<string, TaskEvidence>;
    readonly wallMs: number;
    readonly monotonicMs: number;
  },
): Answers {
  const accepted: string[] = [];
  const declined = new Map<number, string[]>();
  let wakeMs = Number.POSITIVE_INFINITY;
  for (const [id, { agentId, heardAtMs }] of before.open) {
    const startMs = before.windows.get(agentId)?.startMs ?? input.wallMs;
    const farMs = startMs - input.wallMs - HORIZON_MS;
    const leftMs = heardAtMs + HELD_MS - input.monotonicMs;
    if (!isUsed(agentId, input)) accepted.push(id);
    else if (farMs > 0) put(declined, Math.min(ASK_LATE_S, Math.ceil(farMs / 1000)), id);
    else if (leftMs <= 0) put(declined, ASK_AGAIN_S, id);
    else wakeMs = Math.min(wakeMs, leftMs);
  }
  const answered = new Set([...accepted, ...[...declined.values()].flat()]);
  if (answered.size === 0) return { state: before, calls: [], wakeMs };
  const open = new Map([...before.open].filter(([id]) => !answered.has(id)));
  const calls: Call[] = [...declined].map(([seconds, ids]) => ({
    type: 'DECLINE_INVERSE_OFFERS',
    decline_inverse_offers: answer(ids, seconds),
  }));
  if (accepted.length > 0) {
    calls.push({
      type: 'ACCEPT_INVERSE_OFFERS',
      accept_inverse_offers: answer(accepted, ASK_LATE_S),
    });
  }
  return { state: { ...before, open }, calls, wakeMs };
}

function isUsed(
  agentId: string,
  { record, tasks }: { record: ClusterRecord; tasks: ReadonlyMap<string, TaskEvidence> },
): boolean {
  const mayRun = (task: string): boolean => tasks.get(task)?.kind !== 'over';
  return (
    record.seats.some((seat) => seat.agentId === agentId) ||
    record.leaving.some(({ seat }) => seat.agentId === agentId && mayRun(seat.task))
  );
}

function answer(ids: readonly string[], seconds: number) {
  return {
    inverse_offer_ids: ids.map((value) => ({ value })),
    filters: { refuse_seconds: seconds },
  };
}

function put(map: Map<number, string[]>, key: number, value: string): void {
  map.set(key, [...(map.get(key) ?? []), value]);
}

function windowOf({ start, duration }: Unavailability, heardAtMs: number): Window {
  const startMs = start.nanoseconds / 1e6;
  return { startMs, endMs: duration === undefined ? null : startMs + duration.nanoseconds / 1e6, heardAtMs };
}
