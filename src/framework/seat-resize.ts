import type { ReservationInfo, Resource } from '../mesos/wire.ts';
import type { Seat } from '../protocol/record.ts';
import type { AgentOffer } from './agent-offers.ts';
import { atLeast, minusScalar, rounded, scalarResource } from './resources.ts';
import { fillSeat, labelledFor, sumOf, upTo } from './seat-resources.ts';

/**
 * A seat gets more or fewer processors and memory where it is, between two of its tasks: what is missing is reserved,
 * what is too much is given back. Pure.
 */
export interface ResizedSeat {
  readonly unreserve: readonly Resource[];
  readonly reserve: readonly Resource[];
  /** What its task then runs on. */
  readonly task: readonly Resource[];
  readonly rest: AgentOffer;
}

const SHARES = ['cpus', 'mem'] as const;

/**
 * `null` where there is nothing to change, or the agent has no room.
 * @param offer of the seat's agent.
 */
export function resizedSeat(
  offer: AgentOffer,
  seat: Seat,
  wanted: Pick<Seat['resources'], 'cpus' | 'memMb'>,
  role: string,
): ResizedSeat | null {
  const labelled = labelledFor(offer.resources, seat);
  let { pools } = offer;
  let held = labelled;
  const unreserve: Resource[] = [];
  const reserve: Resource[] = [];
  for (const name of SHARES) {
    const pieces = held.filter((resource) => resource.name === name);
    const reservations = pieces[0]?.reservations ?? [];
    const top = reservations.at(-1);
    // What our role had been given before cannot be labelled; it is taken by its amount.
    if (top === undefined) continue;
    const missing = missingOf(name, { seat, wanted, held: sumOf(pieces, name) });
    if (missing < 0) {
      const given = upTo(pieces, name, -missing);
      unreserve.push(...given);
      const kept = upTo(pieces, name, rounded(sumOf(pieces, name) + missing));
      held = [...held.filter((resource) => resource.name !== name), ...kept];
    } else if (missing > 0) {
      const below = reservations.slice(0, -1);
      const source = pools.find(
        (pool) => isSameReservation(pool.reservations, below) && atLeast(pool[name], missing),
      );
      if (source === undefined) return null;
      pools = pools.map((pool) => (pool === source ? minusScalar(pool, name, missing) : pool));
      const piece = { ...scalarResource(name, missing, role, below), reservations: [...below, top] };
      reserve.push(piece);
      held = [...held, piece];
    }
  }
  if (unreserve.length + reserve.length === 0) return null;
  const filled = fillSeat(held, { ...seat, resources: { ...seat.resources, ...wanted } }, pools, role);
  if (filled === null) return null;
  return { unreserve, reserve, task: filled.task, rest: { ...offer, pools: filled.pools } };
}

/**
 * By how much is it to grow. After a crash the record may be ahead of what is reserved: then that counts. Beside the
 * member's own share that of its name task may be on offer or in use.
 */
function missingOf(
  name: (typeof SHARES)[number],
  {
    seat,
    wanted,
    held,
  }: {
    readonly seat: Seat;
    readonly wanted: Pick<Seat['resources'], 'cpus' | 'memMb'>;
    readonly held: number;
  },
): number {
  const [now, next, share] =
    name === 'cpus'
      ? [seat.resources.cpus, wanted.cpus, seat.nameShare?.cpus ?? 0]
      : [seat.resources.memMb, wanted.memMb, seat.nameShare?.memMb ?? 0];
  const beside = seat.nameTask === null ? share : 0;
  if (!atLeast(held, now)) return Math.max(0, rounded(next + beside - held));
  if (!atLeast(now + share, held)) return rounded(next + share - held);
  return rounded(next - now);
}

function isSameReservation(one: readonly ReservationInfo[], other: readonly ReservationInfo[]): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
