import type { ClusterRecord, Seat } from './record.ts';

/*
 * Between the schemas of the cluster record. An older one is read; and the previous one is written for as long as
 * it can say all there is to say, since the release that wrote it may be put back.
 */

/** A parsed record of an older schema in the form of the present one; any other value as it is. */
export function migrated(json: unknown, version: unknown): unknown {
  if (!isObject(json)) return json;
  if (version === 1) return from2(from1(json));
  return version === 2 ? from2(json) : json;
}

/** Schema 1 had no name tasks, log volumes, sandbox storage, regions, attributes and uninstall. */
function from1(old: Fields): Fields {
  const added = {
    storage: 'persistent',
    wal: null,
    nameShare: null,
    nameTask: null,
    region: null,
    attributes: {},
  };
  return { ...withSeats(old, (seat) => ({ ...seat, ...added })), schemaVersion: 2, uninstall: null };
}

/** Schema 2 knew nothing of an operator's operations, and of archives. */
function from2(old: Fields): Fields {
  const added = { paused: null };
  return {
    ...withSeats(old, (seat) => ({ ...seat, ...added })),
    schemaVersion: 3,
    sizeOption: null,
    scaling: null,
    disruption: null,
    rollout: null,
    plans: { paused: [], forced: [] },
    space: null,
    archive: null,
    upgradeFull: null,
  };
}

/** The record in schema 2 if that can hold it: no operation is under way, and there is no archive. */
export function inOldestSchema(record: ClusterRecord): Fields {
  const { sizeOption, scaling, disruption, rollout, plans, space, archive, upgradeFull, ...rest } = record;
  const isUntold = plans.paused.length + plans.forced.length === 0;
  const isAtRest =
    [sizeOption, scaling, disruption, rollout, space, archive, upgradeFull].every((one) => one === null) &&
    isUntold;
  const seats = [...record.seats, ...record.leaving.map(({ seat }) => seat)];
  if (!isAtRest || seats.some((seat) => seat.paused !== null || isNewLoss(seat))) return record;
  return { ...withSeats(rest, ({ paused: _, ...seat }) => seat), schemaVersion: 2 };
}

function isNewLoss({ lost }: Seat): boolean {
  return lost?.cause === 'moved' || lost?.cause === 'surplus';
}

type Fields = Readonly<Record<string, unknown>>;

/** Changes every seat, those that are leaving too. What is malformed stays as it is, for the parser to find. */
function withSeats(record: Fields, change: (seat: Fields) => Fields): Fields {
  const changed = (seat: unknown): unknown => (isObject(seat) ? change(seat) : seat);
  const { seats, leaving } = record;
  return {
    ...record,
    seats: Array.isArray(seats) ? seats.map(changed) : seats,
    leaving: Array.isArray(leaving)
      ? leaving.map((entry: unknown) =>
          isObject(entry) ? { ...entry, seat: changed(entry['seat']) } : entry,
        )
      : leaving,
  };
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
