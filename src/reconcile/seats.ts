import type { ClusterRecord, Seat } from '../protocol/record.ts';

/** How the record changes when Mesos gives, runs again or takes back a seat. Pure. */

/** A seat as placement makes it: everything but what only time tells. */
export type PlacedSeat = Omit<
  Seat,
  'nameTask' | 'taskEnd' | 'launches' | 'launchedAtMs' | 'quickEnds' | 'data' | 'absentMs' | 'lost' | 'paused'
>;

/** Adds a seat whose task is about to be launched for the first time. */
export function seatPlaced(record: ClusterRecord, placed: PlacedSeat, atMs: number): ClusterRecord {
  const seat: Seat = {
    ...placed,
    nameTask: null,
    taskEnd: null,
    launches: 1,
    launchedAtMs: atMs,
    quickEnds: 0,
    data: null,
    absentMs: 0,
    lost: null,
    paused: null,
  };
  return { ...record, seats: [...record.seats, seat] };
}

/** Gives a seat its next task: same reservation, volume and ports. */
export function seatRelaunched(
  record: ClusterRecord,
  seatId: string,
  {
    task,
    run,
    resources,
    atMs,
  }: {
    readonly task: string;
    readonly run: Seat['pinned'];
    /** Absent: what it has. */
    readonly resources?: Seat['resources'] | undefined;
    readonly atMs: number;
  },
): ClusterRecord {
  return {
    ...record,
    seats: record.seats.map((seat) =>
      seat.id === seatId
        ? {
            ...seat,
            task,
            taskEnd: null,
            launches: seat.launches + 1,
            launchedAtMs: atMs,
            absentMs: 0,
            pinned: run,
            resources: resources ?? seat.resources,
          }
        : seat,
    ),
  };
}

/** Gives a seat its next name task. */
export function nameLaunched(
  record: ClusterRecord,
  seatId: string,
  task: string,
  atMs: number,
): ClusterRecord {
  const nameTask = { task, launchedAtMs: atMs };
  return {
    ...record,
    seats: record.seats.map((seat) => (seat.id === seatId ? { ...seat, nameTask } : seat)),
  };
}

/** What is on its volume is not of our cluster: only an operator may destroy it (S8). */
export function isKept(seat: Seat): boolean {
  return seat.lost?.cause === 'foreign-data';
}

/** It was given up of our own will: its member votes and serves until its successor does, or it is removed. */
export function mayServe({ lost }: Pick<Seat, 'lost'>): boolean {
  return lost !== null && SERVING.has(lost.cause);
}
const SERVING: ReadonlySet<NonNullable<Seat['lost']>['cause']> = new Set(['maintenance', 'moved', 'surplus']);

/** Forgets a leaving seat: nothing of it is reserved any more, or its agent is gone with all it held. */
export function seatReleased(record: ClusterRecord, seatId: string): ClusterRecord {
  const leaving = record.leaving.filter((entry) => entry.seat.id !== seatId);
  return leaving.length === record.leaving.length ? record : { ...record, leaving };
}
