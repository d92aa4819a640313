import type { PrefixReport } from '../protocol/orders.ts';
import type { ClusterRecord, Seat } from '../protocol/record.ts';
import type { Observation } from '../reconcile/observation.ts';
import { FRESH_MS } from '../reconcile/observation.ts';
import type { OrderDesk } from './orders.ts';

/** What reading all keys came to: which member was asked, and its report or why there is none. */
export type SpaceMeasurement =
  | { readonly slot: string; readonly report: PrefixReport }
  | { readonly slot: string | null; readonly problem: string };

/** The keys are read for this long at most; then what was read is told. Within what a client of the API waits. */
const MEASURE_MS = 6_000;

/** Has one member that serves, and does not lead if another does, measure the prefixes of its keys. Changes nothing. */
export async function measurePrefixes(
  desk: OrderDesk,
  record: ClusterRecord | null,
  seen: Observation | null,
): Promise<SpaceMeasurement> {
  const seat = record === null || seen === null ? undefined : askedOf(record, seen);
  if (record === null || seat === undefined) {
    const problem = 'no member serves whose supervisor knows how: those of an older release do not';
    return { slot: null, problem };
  }
  const { slot } = seat;
  const { number: epoch, attempt } = record.epoch;
  const body = { kind: 'measure-space', args: { limitMs: MEASURE_MS } } as const;
  const action = { kind: 'order', seat, body, epoch, attempt, reason: 'an operator asks' } as const;
  const receipt = await desk.ask(action, { cluster: record.cluster, generation: record.generation });
  if (typeof receipt === 'string') return { slot, problem: receipt };
  if (receipt.finding?.kind === 'measure-space') return { slot, report: receipt.finding };
  return { slot, problem: receipt.message };
}

function askedOf(record: ClusterRecord, seen: Observation): Seat | undefined {
  const able = record.seats.flatMap((seat) => {
    const view = seen.members.get(seat.id);
    const status = view?.status ?? null;
    if (view === undefined || status === null || view.ageMs > FRESH_MS || view.failingMs > 0) return [];
    const { probe } = status;
    if (seat.lost !== null || status.task !== seat.task || status.protocol < 2) return [];
    if (probe === null || probe.isLearner || status.busy !== null) return [];
    return [{ seat, leads: probe.leaderId === probe.memberId }];
  });
  return able.toSorted((one, other) => Number(one.leads) - Number(other.leads))[0]?.seat;
}
