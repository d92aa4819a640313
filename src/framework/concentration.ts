import type { ClusterRecord } from '../protocol/record.ts';
import type { ViewWarning } from '../protocol/view.ts';
import type { StoryPart } from './story.ts';

/** Zones and hosts whose loss alone takes the members' majority. Pure. */
export function concentrationsOf(record: ClusterRecord): readonly ViewWarning[] {
  if (record.size === 1) return [];
  const majority = Math.floor(record.size / 2) + 1;
  const kept = record.seats.filter((seat) => seat.lost === null);
  const zones = crowded(
    kept.map(({ zone }) => zone),
    majority,
  );
  const hosts = crowded(
    kept.map(({ hostname }) => hostname),
    majority,
  );
  return [
    ...zones.map(([zone, count]) => warning('zone', zone, count, record.size)),
    ...hosts.map(([host, count]) => warning('host', host, count, record.size)),
  ];
}

/** A line when it becomes so, and one when it is over. */
export function storyOfConcentration(before: ClusterRecord, after: ClusterRecord): readonly StoryPart[] {
  const was = concentrationsOf(before);
  const is = concentrationsOf(after);
  const had = new Set(was.map(keyOf));
  const has = new Set(is.map(keyOf));
  return [
    ...is
      .filter((one) => !had.has(keyOf(one)))
      .map((one) => ({ slot: null, text: 'a majority stands in one place', reason: one.message })),
    ...was
      .filter((one) => !has.has(keyOf(one)))
      .map((one) => ({ slot: null, text: 'no majority stands in one place any more', reason: one.message })),
  ];
}

function crowded(
  places: readonly (string | null)[],
  majority: number,
): readonly (readonly [string, number])[] {
  const known = places.filter((place) => place !== null);
  return [...Map.groupBy(known, (place) => place)]
    .map(([place, members]) => [place, members.length] as const)
    .filter(([, count]) => count >= majority);
}

function warning(kind: 'zone' | 'host', name: string, count: number, size: number): ViewWarning {
  return {
    code: `${kind}-holds-majority`,
    message: `${kind} ${name} holds ${count} of ${size} members: with it their majority is lost`,
  };
}

const keyOf = ({ code, message }: ViewWarning): string => `${code} ${message}`;
