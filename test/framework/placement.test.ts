import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agentOffersOf } from '../../src/framework/agent-offers.ts';
import type { SchedulerConfig } from '../../src/framework/config.ts';
import { describeRequirements } from '../../src/framework/judgement.ts';
import {
  explainUnplaced,
  type Match,
  matchOffers,
  needOf,
  offeredSeats,
  withCapacity,
} from '../../src/framework/offers.ts';
import { poolsOf } from '../../src/framework/resources.ts';
import { offeredNameShare } from '../../src/framework/seat-resources.ts';
import { parseEvent } from '../../src/mesos/parse-event.ts';
import type { Offer, Operation, Resource } from '../../src/mesos/wire.ts';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import type { Want } from '../../src/reconcile/decision.ts';
import { CONFIG, offer, offers, ROLE, RUN, record, seat } from './fixtures.ts';

const places: readonly Want[] = [0, 1, 2].map((at) => ({
  kind: 'place',
  slot: `etcd-${at}`,
  run: RUN,
  reason: 'new',
}));

const AROUND = { masterRegion: null, seen: new Map() };

function match(
  wants: readonly Want[],
  list: readonly Offer[],
  ours: ClusterRecord = record(),
  shunned: ReadonlyMap<string, ReadonlySet<number>> = new Map(),
): Match {
  return matchOffers({
    wants,
    record: ours,
    offers: agentOffersOf(list, ROLE),
    config: CONFIG,
    schedulerKey: 'a2V5',
    shunned,
    around: AROUND,
    freshId: 'fresh',
    wallMs: 1000,
  });
}

const operationsOf = (result: Match): readonly Operation[] =>
  result.accepts.flatMap(({ call }) => (call.type === 'ACCEPT' ? call.accept.operations : []));

/** What an operation takes, or gives back, of one resource name, by amount. */
function amount(resources: readonly Resource[], name: string): number {
  return resources
    .filter((resource) => resource.name === name)
    .reduce((sum, one) => sum + (one.scalar?.value ?? countPorts(one)), 0);
}
const countPorts = (one: Resource): number =>
  (one.ranges?.range ?? []).reduce((sum, { begin, end }) => sum + end - begin + 1, 0);

function launchedOn(result: Match): readonly Resource[] {
  const launch = operationsOf(result).find((operation) => operation.type === 'LAUNCH');
  return launch?.type === 'LAUNCH' ? (launch.launch.task_infos[0]?.resources ?? []) : [];
}
/** What Mesos would offer once the task is over: all that was reserved, alike pieces as one, and the volume. */
function reservedBy(result: Match): readonly Resource[] {
  const reserve = operationsOf(result).find((operation) => operation.type === 'RESERVE');
  const reserved = reserve?.type === 'RESERVE' ? reserve.reserve.resources : [];
  return launchedOn(result).map((one) =>
    one.name === 'cpus' || one.name === 'mem'
      ? { ...one, scalar: { value: amount(reserved, one.name) } }
      : one,
  );
}

describe('placing', () => {
  it('reserves, creates and launches in one ACCEPT an agent, all slots in one pass', () => {
    const result = match(places, offers(3));
    expect(result.unmatched).toEqual([]);
    expect(result.record.seats.map(({ slot, hostname, ports }) => [slot, hostname, ports.peer])).toEqual([
      ['etcd-0', 'agent-1', 31_000],
      ['etcd-1', 'agent-2', 31_000],
      ['etcd-2', 'agent-3', 31_000],
    ]);
    expect(result.accepts.map(({ call }) => call)).toMatchSnapshot();
  });

  it('puts one member on a host and says why the rest waits', () => {
    const result = match(places, offers(2));
    expect(result.record.seats).toHaveLength(2);
    expect(result.unmatched).toEqual([places[2]]);
    const why = result.judged
      .filter(({ slot }) => slot === 'etcd-2')
      .map(({ judgement }) => describeRequirements(judgement.requirements));
    expect(why).toEqual(
      [1, 2].map(
        (at) => `hostname UNIQUE: a host without a member is needed, this is agent-${at} with etcd-${at - 1}`,
      ),
    );
  });

  it('takes the host of a lost place again, but none of its ports', () => {
    const lost = seat({ lost: { cause: 'agent-gone', message: 'gone' } });
    const result = match([places[0] as Want], [offer({ agent: 'S2' })], record({ seats: [lost] }));
    expect(result.record.seats[1]).toMatchObject({
      agentId: 'S2',
      ports: { peer: 31_003, client: 31_004, supervisor: 31_005 },
    });
  });

  it('keeps ports apart on agents that share an address', () => {
    const shared = offers(3).map((one, at) =>
      offer({ id: `O${at}`, agent: `S${at}`, hostname: one.hostname }),
    );
    const ports = match(places, shared).record.seats.flatMap((one) => Object.values(one.ports));
    expect(new Set(ports).size).toBe(9);
  });

  it('spreads over zones before it looks for room', () => {
    const list = [
      offer({ id: 'O1', agent: 'S1', hostname: 'a', zone: 'z1', cpus: 64 }),
      offer({ id: 'O2', agent: 'S2', hostname: 'b', zone: 'z1', cpus: 32 }),
      offer({ id: 'O3', agent: 'S3', hostname: 'c', zone: 'z2', cpus: 1 }),
    ];
    expect(match(places.slice(0, 2), list).record.seats.map((one) => one.zone)).toEqual(['z1', 'z2']);
  });

  it('takes an agent on which a task did not come up lately only where there is no other', () => {
    const [, second] = offers(2);
    const list = [offer({ cpus: 64 }), second as Offer];
    const placed = (shunned: ReadonlyMap<string, ReadonlySet<number>>) =>
      match(places.slice(0, 2), list, record(), shunned).record.seats.map((one) => [
        one.hostname,
        one.ports.peer,
      ]);
    expect(placed(new Map())).toEqual([
      ['agent-1', 31_000],
      ['agent-2', 31_000],
    ]);
    // And there on other ports: somebody may hold one of those.
    expect(placed(new Map([['S1', new Set([31_002])]]))).toEqual([
      ['agent-2', 31_000],
      ['agent-1', 31_003],
    ]);
  });

  it('takes doubtful ports where there are no others', () => {
    const list = [offer({ ports: [{ begin: 31_000, end: 31_002 }] })];
    const shunned = new Map([['S1', new Set([31_002])]]);
    const [only] = match(places.slice(0, 1), list, record(), shunned).record.seats;
    expect(only?.ports).toEqual({ peer: 31_000, client: 31_001, supervisor: 31_002 });
  });

  it('refines what a role above ours has reserved, and reserves nothing twice', () => {
    const above = [{ type: 'STATIC', role: 'etcd-role' }] as const;
    const config = { ...CONFIG, framework: { ...CONFIG.framework, role: 'etcd-role/etcd' } };
    const input = {
      wants: places.slice(0, 1),
      record: record(),
      offers: agentOffersOf([offer({ reservations: above })], config.framework.role),
      config,
      schedulerKey: 'a2V5',
      shunned: new Map(),
      around: AROUND,
      freshId: 'fresh',
      wallMs: 0,
    };
    const reserve = operationsOf(matchOffers(input)).find((operation) => operation.type === 'RESERVE');
    const stacks =
      reserve?.type === 'RESERVE' ? reserve.reserve.resources.map((one) => one.reservations) : [];
    expect(stacks).toHaveLength(6);
    for (const stack of stacks) {
      expect(stack?.map(({ type, role }) => [type, role])).toEqual([
        ['STATIC', 'etcd-role'],
        ['DYNAMIC', 'etcd-role/etcd'],
      ]);
    }
    const same = match(places.slice(0, 1), [offer({ reservations: [{ type: 'STATIC', role: ROLE }] })]);
    expect(operationsOf(same).map((operation) => operation.type)).toEqual(['CREATE', 'LAUNCH']);
  });

  it('leaves MOUNT disks and labelled reservations of others alone', () => {
    const mount: Resource = {
      name: 'disk',
      type: 'SCALAR',
      scalar: { value: 50_000 },
      disk: { source: { type: 'MOUNT', mount: { root: '/d' } } },
    };
    const labelled: Resource = {
      name: 'cpus',
      type: 'SCALAR',
      scalar: { value: 64 },
      reservations: [{ type: 'DYNAMIC', role: ROLE, labels: { labels: [{ key: 'who', value: 'else' }] } }],
    };
    const result = match(places.slice(0, 1), [offer({ disk: 10, cpus: 0.1, more: [mount, labelled] })]);
    expect(result.accepts).toEqual([]);
    expect(describeRequirements(result.judged[0]?.judgement.requirements ?? [])).toBe(
      'cpus: 0.51 needed, 0.1 free, 0.41 missing; disk: 1024 MB needed, 10 MB free, 1014 MB missing',
    );
  });

  it('never takes more than is offered, shares no host and no port (property)', () => {
    const shape = fc.record({
      cpus: fc.integer({ min: 0, max: 3000 }).map((value) => value / 1000),
      mem: fc.integer({ min: 0, max: 1000 }),
      disk: fc.integer({ min: 0, max: 4000 }),
      begin: fc.integer({ min: 31_000, max: 31_010 }),
      width: fc.integer({ min: 0, max: 7 }),
      hole: fc.integer({ min: 1, max: 4 }),
      host: fc.integer({ min: 1, max: 4 }),
      sameIp: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(shape, { maxLength: 7 }), (shapes) => {
        const list = shapes.map((one, at) =>
          offer({
            id: `O${at}`,
            agent: `S${at}`,
            hostname: `host-${one.host}`,
            ip: one.sameIp ? '10.0.0.1' : `10.0.1.${at}`,
            cpus: one.cpus,
            mem: one.mem,
            disk: one.disk,
            ports: [
              { begin: one.begin, end: one.begin + one.width },
              { begin: one.begin + one.width + one.hole + 1, end: one.begin + one.width + one.hole + 2 },
            ],
          }),
        );
        const result = match(places, list);
        for (const { call } of result.accepts) expectContained(call, list);
        const { seats } = result.record;
        expect(new Set(seats.map((one) => one.hostname)).size).toBe(seats.length);
        const addresses = seats.flatMap((one) =>
          Object.values(one.ports).map((port) => `${one.host}:${port}`),
        );
        expect(new Set(addresses).size).toBe(seats.length * 3);
        expect(result.accepts.length + result.unmatched.length).toBe(3);
      }),
    );
  });
});

function expectContained(call: Match['accepts'][number]['call'], list: readonly Offer[]): void {
  if (call.type !== 'ACCEPT') throw new Error(`not an ACCEPT: ${call.type}`);
  const offered = list.filter((one) => call.accept.offer_ids.some((id) => id.value === one.id.value));
  const pool = poolsOf(
    offered.flatMap((one) => one.resources),
    ROLE,
  )[0];
  const reserve = call.accept.operations.find((operation) => operation.type === 'RESERVE');
  const launch = call.accept.operations.find((operation) => operation.type === 'LAUNCH');
  if (reserve?.type !== 'RESERVE' || launch?.type !== 'LAUNCH' || pool === undefined)
    throw new Error('incomplete');
  const taken = reserve.reserve.resources;
  expect(amount(taken, 'cpus')).toBe(0.51);
  expect(pool.cpus).toBeGreaterThanOrEqual(0.51);
  expect(pool.mem).toBeGreaterThanOrEqual(amount(taken, 'mem'));
  expect(pool.disk).toBeGreaterThanOrEqual(amount(taken, 'disk'));
  const ports = taken.flatMap((one) => one.ranges?.range ?? []);
  for (const { begin, end } of ports) {
    expect(pool.ports.some((range) => range.begin <= begin && range.end >= end)).toBe(true);
  }
  expect(amount(taken, 'ports')).toBe(3);
  const { resources = [] } = launch.launch.task_infos[0] ?? {};
  for (const name of ['disk', 'ports']) expect(amount(resources, name)).toBe(amount(taken, name));
  expect(amount(resources, 'cpus')).toBe(0.5);
  expect(amount(resources, 'mem')).toBe(amount(taken, 'mem') - 32);
}

describe('what is asked for in particular', () => {
  const mount = (root: string, value: number, more: Partial<Resource> = {}): Resource => ({
    name: 'disk',
    type: 'SCALAR',
    scalar: { value },
    allocation_info: { role: ROLE },
    disk: { source: { type: 'MOUNT', mount: { root } } },
    ...more,
  });
  const placedWith = (changes: Partial<SchedulerConfig>, list: readonly Offer[], ours = record()): Match =>
    matchOffers({
      wants: places.slice(0, 1),
      record: ours,
      offers: agentOffersOf(list, (changes.framework ?? CONFIG.framework).role),
      config: { ...CONFIG, ...changes },
      around: AROUND,
      schedulerKey: 'a2V5',
      shunned: new Map(),
      freshId: 'fresh',
      wallMs: 0,
    });
  const why = (result: Match) => result.judged.map((one) => describeRequirements(one.judgement.requirements));
  const onMount = { storage: { kind: 'persistent', diskType: 'mount', wal: null } } as const;

  it('takes the smallest MOUNT disk that is large enough, whole, and never parts of the root disk', () => {
    const list = [offer({ more: [mount('/d1', 5000), mount('/d2', 1024), mount('/d3', 1000)] })];
    const result = placedWith(onMount, list);
    const disks = operationsOf(result).flatMap((operation) =>
      operation.type === 'RESERVE'
        ? operation.reserve.resources.filter(({ name }) => name === 'disk')
        : operation.type === 'CREATE'
          ? operation.create.volumes
          : [],
    );
    expect(disks.map(({ scalar, disk }) => [scalar?.value, disk])).toEqual([
      [1024, { source: { type: 'MOUNT', mount: { root: '/d2' } } }],
      [
        1024,
        {
          source: { type: 'MOUNT', mount: { root: '/d2' } },
          persistence: { id: 'etcd-0-fresh', principal: 'etcd-principal' },
          volume: { mode: 'RW', container_path: 'etcd-volume' },
        },
      ],
    ]);
    expect(why(placedWith(onMount, [offer({ more: [mount('/d3', 1000)] })]))).toEqual([
      'MOUNT disk: 1024 MB needed, 1000 MB free, 24 MB missing',
    ]);
    const taken = mount('/d1', 5000, {
      disk: { source: { type: 'MOUNT', mount: { root: '/d1' } }, persistence: { id: 'another' } },
    });
    expect(placedWith(onMount, [offer({ more: [taken] })]).accepts).toEqual([]);
  });

  it('gives a MOUNT disk back with its source, and finds it again by its volume', () => {
    const placed = placedWith(onMount, [offer({ more: [mount('/d1', 5000)] })]);
    const back = offer({ id: 'O2', cpus: 0, mem: 0, more: reservedBy(placed) });
    const [seatId = ''] = placed.record.seats.map(({ id }) => id);
    expect(offeredSeats(agentOffersOf([back], ROLE), placed.record, ROLE).get(seatId)).toEqual({
      volume: true,
      complete: true,
    });
    const leaving = placed.record.seats.map((one) => ({ seat: one, reason: 'r', sinceMs: 0 }));
    const want: Want = { kind: 'release', seat: seatId, reason: 'r' };
    const [destroy, unreserve] = operationsOf(
      match([want], [back], { ...placed.record, seats: [], leaving }),
    );
    expect(destroy?.type === 'DESTROY' ? destroy.destroy.volumes[0]?.disk?.source : null).toEqual({
      type: 'MOUNT',
      mount: { root: '/d1' },
    });
    const disks = unreserve?.type === 'UNRESERVE' ? unreserve.unreserve.resources : [];
    expect(disks.find(({ name }) => name === 'disk')?.disk).toEqual({
      source: { type: 'MOUNT', mount: { root: '/d1' } },
    });
  });

  const withLog = {
    storage: { kind: 'persistent', diskType: 'root', wal: { diskMb: 512, diskType: 'root' } },
  } as const;

  it('makes a second volume for the log, and asks for both back', () => {
    const placed = placedWith(withLog, [offer()]);
    const create = operationsOf(placed).find((operation) => operation.type === 'CREATE');
    const volumes = create?.type === 'CREATE' ? create.create.volumes : [];
    expect(
      volumes.map(({ scalar, disk }) => [scalar?.value, disk?.persistence?.id, disk?.volume?.container_path]),
    ).toEqual([
      [512, 'etcd-0-fresh-wal', 'etcd-wal'],
      [1024, 'etcd-0-fresh', 'etcd-volume'],
    ]);
    expect(placed.record.seats[0]?.wal).toEqual({ volumeId: 'etcd-0-fresh-wal', diskMb: 512 });
    const whole = reservedBy(placed);
    const seen = (more: readonly Resource[]) =>
      offeredSeats(agentOffersOf([offer({ id: 'O2', cpus: 0, more })], ROLE), placed.record, ROLE).get(
        'etcd-0-fresh',
      );
    expect(seen(whole)).toEqual({ volume: true, complete: true });
    const logBare = whole.map((one) =>
      one.disk?.persistence?.id === 'etcd-0-fresh-wal' ? (({ disk: _, ...rest }) => rest)(one) : one,
    );
    expect(seen(logBare)).toEqual({ volume: false, complete: false });
    const noLog = whole.filter((one) => one.disk?.persistence?.id !== 'etcd-0-fresh-wal');
    expect(seen(noLog)).toEqual({ volume: true, complete: false });
  });

  it('puts database and log beside each other where both have room', () => {
    const both = {
      storage: { kind: 'persistent', diskType: 'mount', wal: { diskMb: 512, diskType: 'mount' } },
    } as const;
    const roots = (result: Match) =>
      operationsOf(result).flatMap((operation) =>
        operation.type === 'CREATE'
          ? operation.create.volumes.map(({ disk }) => disk?.source?.mount?.root)
          : [],
      );
    const small = [mount('/big', 4000), mount('/small', 600)];
    expect(roots(placedWith(both, [offer({ more: small })]))).toEqual(['/small', '/big']);
    expect(why(placedWith(both, [offer({ more: [mount('/big', 4000)] })]))).toEqual([
      'disk and log disk: room for both beside each other is needed, this is room for either',
    ]);
    expect(why(placedWith(withLog, [offer({ disk: 1200 })]))[0]).toContain('disk and log disk');
  });

  it('takes fixed ports where they are offered, and says which are not', () => {
    const ports = { peer: 2380, client: 2379, supervisor: null };
    const list = [
      offer({
        ports: [
          { begin: 2379, end: 2380 },
          { begin: 31_000, end: 31_009 },
        ],
      }),
    ];
    const placed = placedWith({ ports }, list);
    expect(placed.record.seats[0]?.ports).toEqual({ peer: 2380, client: 2379, supervisor: 31_000 });
    expect(amount(launchedOn(placed), 'ports')).toBe(3);
    expect(
      why(
        placedWith({ ports }, [
          offer({
            ports: [
              { begin: 2379, end: 2379 },
              { begin: 31_000, end: 31_009 },
            ],
          }),
        ]),
      ),
    ).toEqual(['port 2380: a free port is needed, this is not offered']);
    const old = seat({
      ports: { peer: 2380, client: 1, supervisor: 2 },
      lost: { cause: 'data', message: 'd' },
    });
    expect(why(placedWith({ ports }, list, record({ seats: [old] })))).toEqual([
      'port 2380: a free port is needed, this is that of another member there',
    ]);
  });

  it('reserves nothing for a sandbox, and launches on what is offered', () => {
    const storage = { kind: 'sandbox', diskType: 'root', wal: null } as const;
    const placed = placedWith({ storage }, [offer()]);
    expect(operationsOf(placed).map(({ type }) => type)).toEqual(['LAUNCH']);
    const resources = launchedOn(placed);
    expect(resources.map(({ name }) => name)).toEqual(['cpus', 'mem', 'disk', 'ports']);
    expect(resources.every((one) => one.reservations === undefined && one.disk === undefined)).toBe(true);
    expect(placed.record.seats[0]).toMatchObject({ storage: 'sandbox', nameShare: null, wal: null });
  });

  it('goes only where something is reserved for the role above, and refines that first', () => {
    const role = 'slave_public/etcd-role';
    const framework = { ...CONFIG.framework, role, preReservedRole: 'slave_public' };
    const above = [{ type: 'STATIC', role: 'slave_public' }] as const;
    expect(why(placedWith({ framework }, [offer()]))).toEqual([
      'reservation: something reserved for role slave_public is needed, this is nothing of it',
    ]);
    const cpus = { name: 'cpus', type: 'SCALAR', scalar: { value: 1 }, reservations: above } as const;
    const partly = placedWith({ framework }, [offer({ more: [cpus] })]);
    const reserve = operationsOf(partly).find((operation) => operation.type === 'RESERVE');
    const stacks = reserve?.type === 'RESERVE' ? reserve.reserve.resources : [];
    expect(
      stacks.map(({ name, reservations = [] }) => [name, ...reservations.map((one) => one.role)]),
    ).toEqual([
      ['cpus', 'slave_public', role],
      ['cpus', 'slave_public', role],
      ['mem', role],
      ['mem', role],
      ['disk', role],
      ['ports', role],
    ]);
    const theirs = {
      ...cpus,
      reservations: [
        { type: 'DYNAMIC', role: 'slave_public', labels: { labels: [{ key: 'a', value: 'b' }] } },
      ],
    } as const;
    expect(placedWith({ framework }, [offer({ more: [theirs] })]).accepts).toEqual([]);
  });
});

describe('offers as a real master makes them (18)', () => {
  const trace = readFileSync(
    new URL('../data/mesos-traces/18-mount-disks-zones-and-prereserved-roles.jsonl', import.meta.url),
    'utf8',
  );
  const lines = trace.trim().split('\n');
  const event = lines.map((line) => JSON.parse(line) as { event?: { type: string; offers: object } });
  const [recorded] = event.flatMap((line) => (line.event?.type === 'OFFERS' ? [line.event] : []));
  const parsed = parseEvent(new TextEncoder().encode(JSON.stringify(recorded)));
  const list = parsed.type === 'OFFERS' ? parsed.offers.offers : [];
  const ofRole = (role: string) => list.filter((one) => one.allocation_info?.role === role);

  it('give a MOUNT disk as it is offered, field by field', () => {
    const [offered] = agentOffersOf(ofRole('etcd'), 'etcd');
    expect(offered?.mounts).toEqual([
      {
        resource: ofRole('etcd')[0]?.resources.find(({ disk }) => disk !== undefined),
        reservations: [],
        sizeMb: 5000,
      },
    ]);
    expect(offered?.pools).toMatchObject([{ cpus: 4, mem: 4096, disk: 10_240 }]);
  });

  it('show what is reserved for a role to those below it, and to no others', () => {
    const reserved = ofRole('storage');
    expect(agentOffersOf(reserved, 'storage/etcd')[0]?.pools).toMatchObject([
      { cpus: 1, reservations: [{ type: 'STATIC', role: 'storage' }] },
    ]);
    expect(agentOffersOf(reserved, 'storages')[0]?.pools).toEqual([]);
    expect(agentOffersOf(reserved, 'etcd')[0]?.pools).toEqual([]);
  });
});

describe('a placed seat', () => {
  const placed = match(places.slice(0, 1), offers(1));
  const again = offer({ id: 'O2', cpus: 3.5, more: reservedBy(placed) });
  const seatId = placed.record.seats[0]?.id ?? '';

  it('is launched again on what was reserved for it, and nothing else', () => {
    const want: Want = { kind: 'relaunch', seat: seatId, task: 'etcd-0__two', run: RUN, reason: 'ended' };
    const result = match([want], [again], placed.record);
    expect(operationsOf(result).map((operation) => operation.type)).toEqual(['LAUNCH']);
    expect(launchedOn(result)).toEqual(launchedOn(placed));
    expect(result.record.seats[0]).toMatchObject({ task: 'etcd-0__two', launches: 2, taskEnd: null });
  });

  it('is launched again while its name task holds its share, and leaves that share alone', () => {
    const want: Want = { kind: 'relaunch', seat: seatId, task: 'etcd-0__two', run: RUN, reason: 'ended' };
    const held = offer({ id: 'O2', cpus: 0, mem: 0, more: launchedOn(placed) });
    expect(launchedOn(match([want], [held], placed.record))).toEqual(launchedOn(placed));
    const [one] = placed.record.seats;
    const [whole] = agentOffersOf([again], ROLE);
    if (one === undefined || whole === undefined) throw new Error('nothing placed');
    const share = offeredNameShare(whole, one, ROLE)?.task ?? [];
    expect(share.map(({ name }) => [name, amount(share, name)])).toEqual([
      ['cpus', 0.01],
      ['mem', 32],
    ]);
    expect(share.map(({ reservations }) => reservations)).toEqual(
      [0, 1].map(() => launchedOn(placed)[0]?.reservations),
    );
  });

  it('has a name task launched on the share that is left beside its member', () => {
    const [one] = placed.record.seats;
    const [whole] = agentOffersOf([again], ROLE);
    if (one === undefined || whole === undefined) throw new Error('nothing placed');
    const more = offeredNameShare(whole, one, ROLE)?.task ?? [];
    const want: Want = { kind: 'name', seat: seatId, task: 'etcd-0-client__one', reason: 'serves' };
    const result = match([want], [offer({ id: 'O2', more })], placed.record);
    expect(operationsOf(result).map((operation) => operation.type)).toEqual(['LAUNCH']);
    expect(launchedOn(result)).toEqual(more);
    expect(result.record.seats[0]).toEqual({
      ...one,
      nameTask: { task: 'etcd-0-client__one', launchedAtMs: result.record.seats[0]?.nameTask?.launchedAtMs },
    });
    expect(match([want], [offer({ id: 'O2' })], placed.record).unmatched).toEqual([want]);
  });

  it('that keeps no share has its name task launched on what is free', () => {
    const one = seat({ nameShare: null });
    const want: Want = { kind: 'name', seat: one.id, task: 'etcd-0-client__one', reason: 'serves' };
    const result = match([want], [offer()], record({ seats: [one] }));
    expect(launchedOn(result).map(({ name, scalar }) => [name, scalar?.value])).toEqual([
      ['cpus', 0.01],
      ['mem', 32],
    ]);
    expect(match([want], [offer({ mem: 31 })], record({ seats: [one] })).unmatched).toEqual([want]);
  });

  it('is not taken for offered where only the name task’s share is', () => {
    const [one] = placed.record.seats;
    const [whole] = agentOffersOf([again], ROLE);
    if (one === undefined || whole === undefined) throw new Error('nothing placed');
    const more = offeredNameShare(whole, one, ROLE)?.task ?? [];
    const list = agentOffersOf([offer({ id: 'O2', more })], ROLE);
    expect(offeredSeats(list, placed.record, ROLE).size).toBe(0);
    const leaving = { ...placed.record, seats: [], leaving: [{ seat: one, reason: 'r', sinceMs: 0 }] };
    expect(offeredSeats(list, leaving, ROLE).size).toBe(1);
  });

  it('is not launched without its volume', () => {
    const want: Want = { kind: 'relaunch', seat: seatId, task: 'etcd-0__two', run: RUN, reason: 'ended' };
    const bare = reservedBy(placed).map(({ disk: _, ...rest }) => rest);
    const result = match([want], [offer({ id: 'O2', more: bare })], placed.record);
    expect(result.unmatched).toEqual([want]);
    expect(result.unused).toEqual(['O2']);
    expect(result.record).toEqual(placed.record);
  });

  it('has lost its volume only where its disk is on offer without it', () => {
    const whole = reservedBy(placed);
    const bare = whole.map(({ disk: _, ...rest }) => rest);
    const seen = (more: readonly Resource[]) =>
      offeredSeats(agentOffersOf([offer({ id: 'O2', cpus: 0, more })], ROLE), placed.record, ROLE).get(
        seatId,
      );
    expect(seen(whole)).toEqual({ volume: true, complete: true });
    expect(seen(bare)).toEqual({ volume: false, complete: false });
    expect(seen(whole.filter(({ name }) => name !== 'disk'))).toEqual({ volume: true, complete: false });
    expect(seen([])).toBeUndefined();
  });

  it('is launched again from offers that come in pieces', () => {
    const want: Want = { kind: 'relaunch', seat: seatId, task: 'etcd-0__two', run: RUN, reason: 'ended' };
    const pieces = reservedBy(placed).map((one, at) => offer({ id: `P${at}`, cpus: 0, more: [one] }));
    const [accept] = match([want], pieces, placed.record).accepts;
    expect(accept?.offerIds).toHaveLength(4);
  });

  it('is released whole: the volume destroyed, then everything unreserved', () => {
    const want: Want = { kind: 'release', seat: seatId, reason: 'replaced' };
    const leaving = placed.record.seats.map((one) => ({ seat: one, reason: 'r', sinceMs: 0 }));
    const result = match([want], [again], { ...placed.record, seats: [], leaving });
    const [destroy, unreserve, ...rest] = operationsOf(result);
    expect(rest).toEqual([]);
    expect(destroy).toMatchObject({ type: 'DESTROY', id: { value: `${seatId}:destroy:fresh` } });
    expect(unreserve).toMatchObject({ type: 'UNRESERVE', id: { value: `${seatId}:unreserve:fresh` } });
    const back = unreserve?.type === 'UNRESERVE' ? unreserve.unreserve.resources : [];
    for (const name of ['cpus', 'mem', 'disk', 'ports']) {
      expect(amount(back, name)).toBe(amount(reservedBy(placed), name));
    }
    expect(back.every((one) => one.disk === undefined)).toBe(true);
  });

  it('is released as a stray when the record does not know it', () => {
    const result = match([{ kind: 'release', seat: seatId, reason: 'stray' }], [again]);
    expect(operationsOf(result).map((operation) => operation.type)).toEqual(['DESTROY', 'UNRESERVE']);
  });

  it('makes room for another place in the same ACCEPT', () => {
    const leaving = placed.record.seats.map((one) => ({ seat: one, reason: 'r', sinceMs: 0 }));
    const wants: readonly Want[] = [{ kind: 'release', seat: seatId, reason: 'r' }, places[0] as Want];
    const input = { ...placed.record, seats: [], leaving };
    const result = matchOffers({
      wants,
      record: input,
      offers: agentOffersOf([again], ROLE),
      config: CONFIG,
      schedulerKey: 'a2V5',
      shunned: new Map(),
      around: AROUND,
      freshId: 'next',
      wallMs: 0,
    });
    expect(result.accepts).toHaveLength(1);
    expect(operationsOf(result).map((operation) => operation.type)).toEqual([
      'DESTROY',
      'UNRESERVE',
      'RESERVE',
      'CREATE',
      'LAUNCH',
    ]);
    expect(result.record.seats[0]?.ports.peer).toBe(31_003);
  });
});

describe('why a slot has no place', () => {
  const why = (list: readonly Offer[], ours = record()) =>
    explainUnplaced({
      slot: 'etcd-0',
      capacity: withCapacity(new Map(), agentOffersOf(list, ROLE)),
      need: needOf(CONFIG),
      record: ours,
      rules: CONFIG.placement,
      summary: null,
    });

  it('tells what can never fit from what is only waited for', () => {
    expect(why([])).toMatchObject({ code: 'waits-for-offers' });
    expect(why([offer({ mem: 100 }), offer({ agent: 'S2', mem: 200, hostname: 'big' })])).toEqual({
      code: 'offers-never-fit',
      slot: 'etcd-0',
      message: 'no agent is large enough: memory: 288 MB needed, at most 200 MB on big, 88 MB missing',
    });
    expect(why([offer()], record({ seats: [seat()] }))).toMatchObject({ code: 'no-free-host' });
    expect(why([offer()])).toMatchObject({ code: 'waits-for-offers' });
  });
});
