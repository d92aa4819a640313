import type { Attribute } from '../mesos/wire.ts';
import type { ClusterRecord, Seat } from '../protocol/record.ts';

/** What placement constraints may ask of an agent, and what is remembered of it for the seats on it. Pure. */
export interface AgentTraits {
  readonly hostname: string;
  readonly zone: string | null;
  readonly region: string | null;
  /** By name, as text; see {@link attributeText}. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** The value of a constraint's field; `null` where the agent has none. */
export function fieldValue(traits: AgentTraits, field: string): string | null {
  switch (field) {
    case 'hostname':
      return traits.hostname;
    case '@zone':
      return traits.zone;
    case '@region':
      return traits.region;
    default:
      return Object.hasOwn(traits.attributes, field) ? (traits.attributes[field] ?? null) : null;
  }
}

/** Characters of an attribute’s value that count: every seat of the record keeps some. */
const VALUE_CHARS_MAX = 256;

/** The named attributes of an agent; of several with one name the first counts, as for Marathon. */
export function attributesOf(
  attributes: readonly Attribute[],
  names: readonly string[],
): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const attribute = attributes.find((one) => one.name === name);
    if (attribute !== undefined) found[name] = attributeText(attribute).slice(0, VALUE_CHARS_MAX);
  }
  return found;
}

/** `text`, `1.5`, `[1-2,5-7]` or `{a,b}`: numbers with at most three decimals, ranges and items in order. */
export function attributeText(attribute: Attribute): string {
  switch (attribute.type) {
    case 'TEXT':
      return attribute.text?.value ?? '';
    case 'SCALAR':
      return String(Math.round((attribute.scalar?.value ?? 0) * 1000) / 1000);
    case 'RANGES': {
      const ranges = [...(attribute.ranges?.range ?? [])].sort((a, b) => a.begin - b.begin);
      return `[${ranges.map(({ begin, end }) => `${begin}-${end}`).join(',')}]`;
    }
    case 'SET':
      return `{${[...(attribute.set?.item ?? [])].sort().join(',')}}`;
  }
}

/** What an offer says of its agent. */
export interface OfferedTraits {
  readonly agentId: string;
  readonly traits: AgentTraits;
}

/**
 * The record, its seats remembering what offers say of their agents: a constraint may be newer than a seat, and an
 * agent may have been given attributes since.
 */
export function withTraits(record: ClusterRecord, offered: readonly OfferedTraits[]): ClusterRecord {
  const byAgent = new Map(offered.map(({ agentId, traits }) => [agentId, traits]));
  const seats = record.seats.map((seat) => {
    const traits = byAgent.get(seat.agentId);
    return traits === undefined || remembers(seat, traits) ? seat : { ...seat, ...remembered(seat, traits) };
  });
  return seats.every((seat, at) => seat === record.seats[at]) ? record : { ...record, seats };
}

function remembers(seat: Seat, { zone, region, attributes }: AgentTraits): boolean {
  return (
    seat.zone === zone &&
    seat.region === region &&
    Object.entries(attributes).every(([name, value]) => seat.attributes[name] === value)
  );
}

function remembered(seat: Seat, traits: AgentTraits): Pick<Seat, 'zone' | 'region' | 'attributes'> {
  const { zone, region, attributes } = traits;
  return { zone, region, attributes: { ...seat.attributes, ...attributes } };
}
