import type { ReservationInfo, Resource } from '../mesos/wire.ts';
import type { ClusterRecord, Seat } from '../protocol/record.ts';
import type { OfferRequirement } from '../protocol/view.ts';
import type { AgentOffer } from './agent-offers.ts';
import type { FixedPorts, MemberResources, StorageConfig } from './config.ts';
import { amountRequirement, isMet, ruleRequirement } from './judgement.ts';
import { seatsOf } from './mesos-view.ts';
import { NAME_SHARE } from './name-share.ts';
import {
  atLeast,
  countPorts,
  hasPort,
  lowestPorts,
  minusPorts,
  minusScalar,
  type Pool,
  portsResource,
  rounded,
  type ScalarName,
  scalarResource,
} from './resources.ts';

/** How a seat is cut out of what an agent offers, and what of it is missing where it cannot be. Pure. */

/** All that one new seat is to have. */
export interface SeatNeed {
  /** The member's own share. */
  readonly resources: MemberResources;
  readonly storage: StorageConfig;
  readonly ports: FixedPorts;
  /** Only agents that offer something reserved for this role are taken; `null`: any. */
  readonly preReservedRole: string | null;
}

/** A part of a seat, as it is offered, and the reservations that it has already. */
export interface Piece {
  /** Whose task runs on it. */
  readonly of: 'member' | 'name';
  /** Which volume is made on it; `null` on what is no disk of a volume. */
  readonly volume: 'data' | 'wal' | null;
  readonly resource: Resource;
  readonly reservations: readonly ReservationInfo[];
}

/** A place that was found. */
export interface Placement {
  readonly offer: AgentOffer;
  readonly ports: Seat['ports'];
  readonly pieces: readonly Piece[];
  /** The offer without what this place takes. */
  readonly rest: AgentOffer;
}

export interface CutInput {
  readonly record: ClusterRecord;
  readonly need: SeatNeed;
  readonly role: string;
  readonly shunned: ReadonlyMap<string, ReadonlySet<number>>;
}

const PORT_NAMES = ['peer', 'client', 'supervisor'] as const;
export const SEAT_PORTS = PORT_NAMES.length;
/** The requirement of that many ports, whichever they are. */
const PORTS = 'ports';

/** What is reserved of cpus and memory: the member's share and, where anything is, the name task's. */
export function reservedShare({ resources, storage }: Pick<SeatNeed, 'resources' | 'storage'>): {
  readonly cpus: number;
  readonly memMb: number;
} {
  const { cpus, memMb } = resources;
  if (storage.kind === 'sandbox') return { cpus, memMb };
  return { cpus: rounded(cpus + NAME_SHARE.cpus), memMb: memMb + NAME_SHARE.memMb };
}

/** The most of it that one pool has: a member's share is cut from one. */
export function most(pools: readonly Pool[], name: ScalarName): number {
  return Math.max(0, ...pools.map((pool) => pool[name]));
}

/** What a seat needs of this agent, and what there is of it. */
export function requirementsOf(offer: AgentOffer, input: CutInput): readonly OfferRequirement[] {
  const { need } = input;
  const share = reservedShare(need);
  return [
    amountRequirement('cpus', { needed: share.cpus, offered: most(offer.pools, 'cpus') }),
    amountRequirement('mem', { needed: share.memMb, offered: most(offer.pools, 'mem'), unit: 'MB' }),
    ...diskRequirements(offer, need),
    ...portRequirements(offer, input),
    ...preReservation(offer, need),
  ];
}

/** How many such seats what is scarcest has room for. */
export function roomOf(requirements: readonly OfferRequirement[]): number {
  const ratios = requirements.map(({ requirement, needed, offered }) =>
    requirement === PORTS || typeof needed === 'string' || typeof offered === 'string'
      ? Number.POSITIVE_INFINITY
      : offered / needed,
  );
  return Math.min(...ratios);
}

/** Where a role is named above ours, only agents that offer something reserved for it are meant. */
function preReservation(offer: AgentOffer, { preReservedRole }: SeatNeed): readonly OfferRequirement[] {
  if (preReservedRole === null) return [];
  const held = [...offer.pools, ...offer.mounts].some(({ reservations }) =>
    reservations.some(({ role }) => role === preReservedRole),
  );
  const needed = `something reserved for role ${preReservedRole}`;
  return [ruleRequirement('reservation', { ok: held, needed, offered: held ? needed : 'nothing of it' })];
}

/** The seat, cut to size; `null` where something is missing. */
export function cutSeat(offer: AgentOffer, input: CutInput): Placement | null {
  const { need, role } = input;
  const found = findPorts(offer, input);
  const disks = cutDisks(offer, need, role);
  if (found.ports === null || disks === null) return null;
  let { pools } = disks;
  const pieces: Piece[] = [];
  const share = reservedShare(need);
  for (const [name, amount, total] of [
    ['cpus', need.resources.cpus, share.cpus],
    ['mem', need.resources.memMb, share.memMb],
  ] as const) {
    // Both from one pool: then they are reserved alike, and either is found by its amount.
    const source = pools.find((pool) => atLeast(pool[name], total));
    if (source === undefined) return null;
    const { reservations } = source;
    const piece = (of: Piece['of'], value: number): Piece => ({
      of,
      volume: null,
      resource: scalarResource(name, value, role, reservations),
      reservations,
    });
    pools = pools.map((pool) => (pool === source ? minusScalar(pool, name, total) : pool));
    pieces.push(piece('member', amount));
    if (total > amount) pieces.push(piece('name', rounded(total - amount)));
  }
  pieces.push(...disks.pieces);
  for (const { reservations, ports } of found.from) {
    pools = pools.map((pool) => (pool.reservations === reservations ? minusPorts(pool, ports) : pool));
    const resource = portsResource(ports, role, reservations);
    pieces.push({ of: 'member', volume: null, resource, reservations });
  }
  return { offer, ports: found.ports, pieces, rest: { ...offer, pools, mounts: disks.mounts } };
}

// ---- disks ----

interface DiskNeed {
  readonly volume: 'data' | 'wal';
  readonly diskMb: number;
  readonly type: StorageConfig['diskType'];
}

function disksOf({ resources, storage }: SeatNeed): readonly DiskNeed[] {
  const { diskType, wal } = storage;
  return [
    { volume: 'data', diskMb: resources.diskMb, type: diskType },
    ...(wal === null ? [] : [{ volume: 'wal', diskMb: wal.diskMb, type: wal.diskType } as const]),
  ];
}

/** Mesos gives a MOUNT disk whole: the smallest that is large enough is the least waste. */
function cutDisks(
  offer: AgentOffer,
  need: SeatNeed,
  role: string,
): { pieces: readonly Piece[]; pools: readonly Pool[]; mounts: AgentOffer['mounts'] } | null {
  let { pools, mounts } = offer;
  const pieces: Piece[] = [];
  const isVolume = need.storage.kind === 'persistent';
  // The smaller one first: then the larger finds what fits it wherever both fit at all.
  for (const disk of disksOf(need).toSorted((a, b) => a.diskMb - b.diskMb)) {
    const volume = isVolume ? disk.volume : null;
    if (disk.type === 'mount') {
      const mount = mounts
        .filter(({ sizeMb }) => atLeast(sizeMb, disk.diskMb))
        .toSorted((a, b) => a.sizeMb - b.sizeMb)[0];
      if (mount === undefined) return null;
      mounts = mounts.filter((other) => other !== mount);
      const { resource, reservations } = mount;
      pieces.push({ of: 'member', volume, resource, reservations });
      continue;
    }
    const cut = cutScalar(pools, 'disk', disk.diskMb, role);
    if (cut === null) return null;
    pools = cut.pools;
    pieces.push({
      of: 'member',
      volume,
      resource: cut.resource,
      reservations: cut.resource.reservations ?? [],
    });
  }
  return { pieces, pools, mounts };
}

function diskRequirements(offer: AgentOffer, need: SeatNeed): readonly OfferRequirement[] {
  const largestMountMb = Math.max(0, ...offer.mounts.map(({ sizeMb }) => sizeMb));
  const amounts = disksOf(need).map(({ volume, type, diskMb }) => {
    const what = volume === 'data' ? 'disk' : 'log disk';
    const [name, offered] =
      type === 'mount' ? [`MOUNT ${what}`, largestMountMb] : [what, most(offer.pools, 'disk')];
    return amountRequirement(name, { needed: diskMb, offered, unit: 'MB' });
  });
  if (amounts.length === 1 || !isMet(amounts) || cutDisks(offer, need, '') !== null) return amounts;
  const both = { ok: false, needed: 'room for both beside each other', offered: 'room for either' };
  return [...amounts, ruleRequirement('disk and log disk', both)];
}

// ---- ports ----

interface FoundPorts {
  readonly ports: Seat['ports'] | null;
  readonly from: readonly {
    readonly reservations: Pool['reservations'];
    readonly ports: readonly number[];
  }[];
  readonly problems: readonly OfferRequirement[];
}

/**
 * The ports for a seat: those that are fixed, and others for the rest; none that another seat at the same address
 * has, even one that is on its way out.
 */
function findPorts(offer: AgentOffer, { record, need, shunned }: CutInput): FoundPorts {
  const taken = new Set(
    seatsOf(record)
      .filter((seat) => seat.host === offer.agent.host)
      .flatMap((seat) => Object.values(seat.ports)),
  );
  const fixed = PORT_NAMES.flatMap((name) => need.ports[name] ?? []);
  const problems = fixed.flatMap((port) => {
    const problem = (offered: string) =>
      ruleRequirement(`port ${port}`, { ok: false, needed: 'a free port', offered });
    if (taken.has(port)) return [problem('that of another member there')];
    return offer.pools.some((pool) => hasPort(pool.ports, port)) ? [] : [problem('not offered')];
  });
  if (problems.length > 0) return { ports: null, from: [], problems };
  const any = PORT_NAMES.filter((name) => need.ports[name] === null);
  const doubtful = shunned.get(offer.agent.id);
  const used = [...taken, ...fixed];
  const avoided = doubtful === undefined ? [new Set(used)] : [new Set([...used, ...doubtful]), new Set(used)];
  const free = any.length === 0 ? { pool: null, ports: [] } : freePorts(offer.pools, any.length, avoided);
  if (free === null) return { ports: null, from: [], problems };
  const chosen = { ...need.ports } as Record<(typeof PORT_NAMES)[number], number>;
  for (const [at, name] of any.entries()) chosen[name] = free.ports[at] ?? 0;
  const byPool = new Map<Pool, number[]>(free.pool === null ? [] : [[free.pool, [...free.ports]]]);
  for (const port of fixed) {
    const pool = offer.pools.find((one) => hasPort(one.ports, port));
    if (pool !== undefined) byPool.set(pool, [...(byPool.get(pool) ?? []), port]);
  }
  const from = [...byPool].map(([{ reservations }, ports]) => ({ reservations, ports }));
  return { ports: chosen, from, problems };
}

function freePorts(
  pools: readonly Pool[],
  count: number,
  avoided: readonly ReadonlySet<number>[],
): { readonly pool: Pool; readonly ports: readonly number[] } | null {
  for (const avoid of avoided) {
    for (const pool of pools) {
      const ports = lowestPorts(pool.ports, count, avoid);
      if (ports !== null) return { pool, ports };
    }
  }
  return null;
}

function portRequirements(offer: AgentOffer, input: CutInput): readonly OfferRequirement[] {
  const free = Math.max(0, ...offer.pools.map((pool) => countPorts(pool.ports)));
  const { ports, problems } = findPorts(offer, input);
  // Some that are free may be those of a place that is on its way out.
  const offered = ports === null && problems.length === 0 ? Math.min(free, SEAT_PORTS - 1) : free;
  return [amountRequirement(PORTS, { needed: SEAT_PORTS, offered }), ...problems];
}

// ---- cutting ----

/** Takes an amount from the first pool that has it. */
export function cutScalar(
  pools: readonly Pool[],
  name: ScalarName,
  amount: number,
  role: string,
): { resource: Resource; pools: readonly Pool[] } | null {
  const source = pools.find((pool) => atLeast(pool[name], amount));
  if (source === undefined) return null;
  return {
    resource: scalarResource(name, amount, role, source.reservations),
    pools: pools.map((pool) => (pool === source ? minusScalar(pool, name, amount) : pool)),
  };
}

/** Takes given ports from the pool that has them all. */
export function cutPorts(
  pools: readonly Pool[],
  ports: readonly number[],
  role: string,
): { resource: Resource; pools: readonly Pool[] } | null {
  const source = pools.find((pool) => ports.every((port) => hasPort(pool.ports, port)));
  if (source === undefined) return null;
  return {
    resource: portsResource(ports, role, source.reservations),
    pools: pools.map((pool) => (pool === source ? minusPorts(pool, ports) : pool)),
  };
}
