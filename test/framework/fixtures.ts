import type { SchedulerConfig } from '../../src/framework/config.ts';
import { placementRulesOf } from '../../src/framework/placement-rules.ts';
import type { Offer, Range, ReservationInfo, Resource } from '../../src/mesos/wire.ts';
import { type ClusterRecord, type Disruption, newRecord, type Seat } from '../../src/protocol/record.ts';

/** Values that the framework's tests are made of. */

export const ROLE = 'etcd-role';

export const CONFIG: SchedulerConfig = {
  framework: {
    name: 'etcd',
    user: 'nobody',
    role: ROLE,
    preReservedRole: null,
    principal: 'etcd-principal',
    failoverTimeoutMs: 604_800_000,
  },
  masterTimeoutMs: 60_000,
  placement: placementRulesOf([]),
  storage: { kind: 'persistent', diskType: 'root', wal: null },
  ports: { peer: null, client: null, supervisor: null },
  spec: {
    size: 3,
    bootstrapWindowMs: 5_000,
    unreachableTimeoutMs: 1_200_000,
    volumeTimeoutMs: 900_000,
    launchTimeoutMs: 300_000,
    killGraceMs: 10_000,
    compactKeepRevisions: 10_000,
    artifact: 'checkout',
    kept: new Map(),
    etcd: { heartbeatIntervalMs: 100, electionTimeoutMs: 1000, quotaBytes: 2 ** 31, snapshotCount: 10_000 },
    resources: { cpus: 0.5, memMb: 256, diskMb: 1024 },
    updateStrategy: 'serial',
    updateStepTimeoutMs: 600_000,
  },
  artifact: { kind: 'checkout', node: '/opt/node', entry: '/opt/etcd-mesos.js', etcdBinary: '/usr/bin/etcd' },
  bootstrap: 'auto',
  uninstall: null,
};

/** What members of these tests run. */
export const RUN: Seat['pinned'] = { artifact: CONFIG.spec.artifact, etcd: CONFIG.spec.etcd };

/** A restart of the member on {@link seat}, as an operator asked, that was begun. */
export function disruption(changes: Partial<Disruption> = {}): Disruption {
  return {
    id: 'd-1',
    kind: 'restart',
    slot: 'etcd-0',
    seat: 'etcd-0-seat',
    task: 'etcd-0__one',
    by: 'alice',
    reason: 'pod restart',
    openedAtMs: 1,
    forced: false,
    handoverMs: 0,
    heir: null,
    begun: true,
    ...changes,
  };
}

export function seat(changes: Partial<Seat> = {}): Seat {
  return {
    id: 'etcd-0-seat',
    slot: 'etcd-0',
    agentId: 'S1',
    agentAddress: '10.0.0.1:5051',
    hostname: 'agent-1',
    zone: null,
    region: null,
    attributes: {},
    host: '10.0.0.1',
    ports: { peer: 31_000, client: 31_001, supervisor: 31_002 },
    volumeId: 'etcd-0-seat',
    storage: 'persistent',
    wal: null,
    nameShare: null,
    nameTask: null,
    resources: CONFIG.spec.resources,
    task: 'etcd-0__one',
    taskEnd: null,
    launches: 1,
    launchedAtMs: 0,
    quickEnds: 0,
    pinned: RUN,
    data: null,
    absentMs: 0,
    lost: null,
    paused: null,
    ...changes,
  };
}

export function record(changes: Partial<ClusterRecord> = {}): ClusterRecord {
  return {
    ...newRecord({
      cluster: 'cluster-1',
      framework: { name: 'etcd', id: 'framework-1' },
      size: 3,
      token: 'token',
      openedAtMs: 0,
    }),
    ...changes,
  };
}

export interface OfferShape {
  readonly id?: string;
  readonly agent?: string;
  readonly hostname?: string;
  readonly ip?: string;
  readonly port?: number;
  readonly zone?: string;
  readonly cpus?: number;
  readonly mem?: number;
  readonly disk?: number;
  readonly ports?: readonly Range[];
  readonly reservations?: readonly ReservationInfo[];
  readonly more?: readonly Resource[];
}

/** An offer of one agent; what is not given is plenty. */
export function offer(shape: OfferShape = {}): Offer {
  const { id = 'O1', agent = 'S1', hostname = 'agent-1', ip = '10.0.0.1', port = 5051, reservations } = shape;
  const common = {
    allocation_info: { role: ROLE },
    ...(reservations === undefined ? {} : { reservations }),
  };
  const scalar = (name: string, value: number): Resource => ({
    name,
    type: 'SCALAR',
    scalar: { value },
    ...common,
  });
  return {
    id: { value: id },
    framework_id: { value: 'framework-1' },
    agent_id: { value: agent },
    hostname,
    url: { scheme: 'http', address: { hostname, ip, port }, path: '/slave(1)' },
    ...(shape.zone === undefined
      ? {}
      : { domain: { fault_domain: { region: { name: 'r1' }, zone: { name: shape.zone } } } }),
    resources: [
      scalar('cpus', shape.cpus ?? 4),
      scalar('mem', shape.mem ?? 4096),
      scalar('disk', shape.disk ?? 10_240),
      {
        name: 'ports',
        type: 'RANGES',
        ranges: { range: shape.ports ?? [{ begin: 31_000, end: 31_099 }] },
        ...common,
      },
      ...(shape.more ?? []),
    ],
    allocation_info: { role: ROLE },
  };
}

/** The offers of `count` agents on hosts of their own. */
export function offers(count: number): readonly Offer[] {
  return Array.from({ length: count }, (_, at) =>
    offer({ id: `O${at + 1}`, agent: `S${at + 1}`, hostname: `agent-${at + 1}`, ip: `10.0.0.${at + 1}` }),
  );
}
