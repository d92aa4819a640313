import { RE2JS } from 're2js';
import { describeConstraint, type PlacementConstraint } from '../protocol/placement-constraint.ts';
import type { OfferRequirement } from '../protocol/view.ts';
import { type AgentTraits, fieldValue } from './agent-traits.ts';
import { ruleRequirement } from './judgement.ts';

/** Where members may go: placement constraints with Marathon's meaning, and what holds without them. Pure. */
export interface PlacementRules {
  /** What is in force, the default for hosts included. */
  readonly constraints: readonly PlacementConstraint[];
  /** Attributes that they name. */
  readonly attributes: readonly string[];
  /** Agents of other regions than the master's are wanted, or not, by a constraint. */
  readonly namesRegion: boolean;
  /** No host ever gets a second member. */
  readonly isOnePerHost: boolean;
}

const ONE_PER_HOST: PlacementConstraint = { field: 'hostname', operator: 'UNIQUE', parameter: null };

/** Whether it says how many members may share a value of its field. */
function isCounting({ operator }: PlacementConstraint): boolean {
  return ['UNIQUE', 'MAX_PER', 'CLUSTER', 'GROUP_BY'].includes(operator);
}

/**
 * The rules that the given constraints make. One member goes on a host unless a constraint counts members by host:
 * who asks for racks has not asked for two members that die together.
 */
export function placementRulesOf(given: readonly PlacementConstraint[]): PlacementRules {
  const hosts = given.filter((one) => one.field === 'hostname' && isCounting(one));
  const constraints = hosts.length > 0 ? given : [...given, ONE_PER_HOST];
  return {
    constraints,
    attributes: [...new Set(constraints.map(({ field }) => field).filter((field) => !isBuiltIn(field)))],
    namesRegion: constraints.some(({ field }) => field === '@region'),
    isOnePerHost: constraints.some(
      ({ field, operator, parameter }) =>
        field === 'hostname' && (operator === 'UNIQUE' || (operator === 'MAX_PER' && parameter === '1')),
    ),
  };
}

const isBuiltIn = (field: string): boolean => field === 'hostname' || field.startsWith('@');

/** A member that is somewhere, or about to be. */
export interface Standing extends AgentTraits {
  readonly slot: string;
}

/** By field: values that offers have shown lately on agents that would do otherwise. */
export type SeenValues = ReadonlyMap<string, ReadonlySet<string>>;

/** What placing needs to know beside the offers in hand and the record. */
export interface Surroundings {
  /** The master's own region; `null` where it tells of none. */
  readonly masterRegion: string | null;
  readonly seen: SeenValues;
}

/** Judges agents against rules, given where the other members are. */
export interface PlacementJudge {
  /** One requirement for each constraint that asks nothing of other agents. */
  direct(traits: AgentTraits): readonly OfferRequirement[];
  /** One for each GROUP_BY without a count: the values that there are must be known, from the record and offers. */
  spread(seen: SeenValues): (traits: AgentTraits) => readonly OfferRequirement[];
  /** Members that share a host, and those in the same groups: fewer is better. */
  crowding(traits: AgentTraits): { readonly host: number; readonly groups: number };
}

export function placementJudge(rules: PlacementRules, standing: readonly Standing[]): PlacementJudge {
  const spreading = rules.constraints.filter(isOpenGroup);
  const direct = rules.constraints
    .filter((one) => !isOpenGroup(one))
    .map((one) => onceAValue(one.field, checkOf(one, tallyOf(one.field, standing))));
  const groups = rules.constraints
    .filter(({ operator }) => operator === 'GROUP_BY')
    .map(({ field }) => tallyOf(field, standing));
  const hosts = tallyOf('hostname', standing);
  return {
    direct: (traits) => direct.map((check) => check(traits)),
    spread: (seen) => {
      const checks = spreading.map((one) => {
        const values = seen.get(one.field) ?? new Set();
        return onceAValue(one.field, openGroupCheck(one, tallyOf(one.field, standing), values));
      });
      return (traits) => checks.map((check) => check(traits));
    },
    crowding: (traits) => ({
      host: slotsAt(hosts, traits).length,
      groups: groups.reduce((sum, tally) => sum + slotsAt(tally, traits).length, 0),
    }),
  };
}

/** GROUP_BY without a count: over how many values it spreads is learned. */
export function isOpenGroup({ operator, parameter }: PlacementConstraint): boolean {
  return operator === 'GROUP_BY' && parameter === null;
}

/** Where the other members are, by the value of one field. */
interface Tally {
  readonly field: string;
  readonly slots: ReadonlyMap<string, readonly string[]>;
  /** Members for which the value is not known, or that have none. */
  readonly without: readonly string[];
}

function tallyOf(field: string, standing: readonly Standing[]): Tally {
  const known = standing.filter((one) => fieldValue(one, field) !== null);
  const slots = Map.groupBy(known, (one) => fieldValue(one, field) ?? '');
  return {
    field,
    slots: new Map([...slots].map(([value, members]) => [value, members.map(({ slot }) => slot)])),
    without: standing.filter((one) => !known.includes(one)).map(({ slot }) => slot),
  };
}

function slotsAt(tally: Tally, traits: AgentTraits): readonly string[] {
  const value = fieldValue(traits, tally.field);
  return value === null ? [] : (tally.slots.get(value) ?? []);
}

type Check = (traits: AgentTraits) => OfferRequirement;

/** Ten thousand agents have few racks: what is said of one is made once. */
function onceAValue(field: string, check: Check): Check {
  const made = new Map<string | null, OfferRequirement>();
  return (traits) => {
    const value = fieldValue(traits, field);
    const known = made.get(value) ?? check(traits);
    made.set(value, known);
    return known;
  };
}

/** What a constraint says of the value that an agent has. */
interface Verdict {
  readonly ok: boolean;
  readonly needed: string;
}

function checkOf(constraint: PlacementConstraint, tally: Tally): Check {
  const { field, operator, parameter } = constraint;
  switch (operator) {
    case 'UNIQUE':
      return counting(constraint, tally, (count) => ({
        ok: count === 0,
        needed: `a ${nameOf(field)} without a member`,
      }));
    case 'MAX_PER':
      return counting(constraint, tally, (count) => ({
        ok: count < Number(parameter),
        needed: `a ${nameOf(field)} with fewer than ${parameter} members`,
      }));
    case 'GROUP_BY':
      return counting(constraint, tally, (count) => groupVerdict(field, Number(parameter), count, tally));
    case 'CLUSTER':
      return counting(constraint, tally, (count, value) => clusterVerdict(constraint, count, value, tally));
    case 'LIKE':
    case 'UNLIKE':
      return matching(constraint, matcherOf(parameter ?? ''), `${nameOf(field)} that matches ${parameter}`);
    case 'IS':
    case 'IS_NOT':
      return matching(constraint, (value) => isSame(value, parameter ?? ''), `${nameOf(field)} ${parameter}`);
  }
}

/** Only an agent that has the field can satisfy what counts by it. */
function counting(
  constraint: PlacementConstraint,
  tally: Tally,
  judge: (count: number, value: string) => Verdict,
): Check {
  return (traits) => {
    const value = fieldValue(traits, constraint.field);
    const slots = slotsAt(tally, traits);
    const { ok, needed } = judge(slots.length, value ?? '');
    return ruleRequirement(describeConstraint(constraint), {
      ok: ok && value !== null,
      needed,
      offered: value === null ? `without ${nameOf(constraint.field)}` : withSlots(value, slots),
    });
  };
}

/** The whole value must match, or must not; what has no value does not match. */
function matching(constraint: PlacementConstraint, matches: (value: string) => boolean, what: string): Check {
  const isNegated = constraint.operator === 'UNLIKE' || constraint.operator === 'IS_NOT';
  return (traits) => {
    const value = fieldValue(traits, constraint.field);
    return ruleRequirement(describeConstraint(constraint), {
      ok: (value !== null && matches(value)) !== isNegated,
      needed: `${isNegated ? 'no' : 'a'} ${what}`,
      offered: value ?? `without ${nameOf(constraint.field)}`,
    });
  };
}

function matcherOf(pattern: string): (value: string) => boolean {
  const compiled = RE2JS.compile(pattern);
  return (value) => compiled.matches(value);
}

/** As texts, and as numbers where both are: an attribute of 10 is 10.0. */
function isSame(value: string, parameter: string): boolean {
  const isNumber = (text: string): boolean => /^-?\d+(\.\d+)?$/.test(text);
  return (
    value === parameter || (isNumber(value) && isNumber(parameter) && Number(value) === Number(parameter))
  );
}

/** Until there are as many groups as were asked for only a new one will do; then those with the fewest. */
function groupVerdict(field: string, groups: number, count: number, tally: Tally): Verdict {
  const least = Math.min(...[...tally.slots.values()].map((slots) => slots.length));
  if (tally.slots.size < groups) {
    return { ok: count === 0, needed: `a ${nameOf(field)} without a member, one of ${groups}` };
  }
  return { ok: count === 0 || count === least, needed: fewest(field, least) };
}

function openGroupCheck(constraint: PlacementConstraint, tally: Tally, seen: ReadonlySet<string>): Check {
  const values = new Set([...tally.slots.keys(), ...seen]);
  const counts = [...values].map((value) => tally.slots.get(value)?.length ?? 0);
  const least = counts.length === 0 ? 0 : Math.min(...counts);
  return counting(constraint, tally, (count) => ({
    ok: count <= least,
    needed: fewest(constraint.field, least),
  }));
}

const fewest = (field: string, least: number): string =>
  least === 0
    ? `a ${nameOf(field)} without a member, as there is one,`
    : `a ${nameOf(field)} with no more than ${least} members, as another has,`;

/**
 * All members share one value. A given one is all that counts, so that members can be moved to another one by one;
 * where none is given the first member chooses.
 */
function clusterVerdict(
  { field, parameter }: PlacementConstraint,
  count: number,
  value: string,
  tally: Tally,
): Verdict {
  if (parameter !== null) return { ok: value === parameter, needed: `${nameOf(field)} ${parameter}` };
  const others = [...tally.slots.values()].reduce((sum, slots) => sum + slots.length, tally.without.length);
  const unknown = tally.without.length === 0 ? '' : ` (that of ${tally.without.join(', ')} is not known)`;
  const [common] = tally.slots.keys();
  return { ok: count === others, needed: `${nameOf(field)} ${common ?? 'for all'}${unknown}` };
}

const nameOf = (field: string): string => (field === 'hostname' ? 'host' : field.replace(/^@/, ''));
const withSlots = (value: string, slots: readonly string[]): string =>
  slots.length === 0 ? value : `${value} with ${slots.join(', ')}`;
