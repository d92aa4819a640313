import type { MasterInfo } from '../mesos/wire.ts';
import { describeConstraint } from '../protocol/placement-constraint.ts';
import { traitsOf } from './agent-offers.ts';
import { fieldValue } from './agent-traits.ts';
import type { SlotJudgement } from './offers.ts';
import { isOpenGroup, type PlacementRules, type Surroundings } from './placement-rules.ts';

/** By field and value: when an offer last showed it. */
export type ValueSightings = ReadonlyMap<string, ReadonlyMap<string, number>>;

/**
 * Milliseconds for which a value counts as there: while a place is looked for, an agent with room makes an offer
 * every few seconds, so one that is gone or full is soon not waited for.
 */
export const SEEN_MS = 120_000;

export function surroundingsOf(
  master: MasterInfo | null,
  sightings: ValueSightings,
  nowMs: number,
): Surroundings {
  const recent = [...sightings].map(([field, values]) => {
    const present = [...values].filter(([, atMs]) => nowMs - atMs <= SEEN_MS);
    return [field, new Set(present.map(([value]) => value))] as const;
  });
  return { masterRegion: master?.domain?.fault_domain?.region.name ?? null, seen: new Map(recent) };
}

/** Adds what was on offer on agents that a constraint of groups alone may have kept from being taken. */
export function withSightings(
  before: ValueSightings,
  judged: readonly SlotJudgement[],
  rules: PlacementRules,
  nowMs: number,
): ValueSightings {
  const open = rules.constraints.filter(isOpenGroup);
  if (open.length === 0 || judged.length === 0) return before;
  const excused = new Set(open.map(describeConstraint));
  const next = new Map([...before].map(([field, values]) => [field, new Map(values)] as const));
  for (const { judgement } of judged) {
    if (!judgement.requirements.every(({ ok, requirement }) => ok || excused.has(requirement))) continue;
    for (const { field } of open) {
      const value = fieldValue(traitsOf(judgement.offer), field);
      if (value === null) continue;
      const values = next.get(field) ?? new Map<string, number>();
      next.set(field, values.set(value, nowMs));
    }
  }
  return new Map([...next].map(([field, values]) => [field, forgotten(values, nowMs)]));
}

function forgotten(values: ReadonlyMap<string, number>, nowMs: number): ReadonlyMap<string, number> {
  return new Map([...values].filter(([, atMs]) => nowMs - atMs <= SEEN_MS));
}
