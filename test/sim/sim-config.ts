import { assert } from '../../src/base/assert.ts';
import type { SchedulerConfig } from '../../src/framework/config.ts';
import { placementRulesOf } from '../../src/framework/placement-rules.ts';
import type { AgentDescription } from '../../src/local/messages.ts';
import type { Resource } from '../../src/mesos/wire.ts';
import { readPin, writePin } from '../../src/protocol/artifact-pin.ts';
import { type EtcdOptions, etcdOptions } from '../../src/protocol/etcd-options.ts';
import type { Spec } from '../../src/reconcile/observation.ts';
import { USUAL_VERSION } from './model-versions.ts';
import { workDirectoryOf } from './sim-mesos.ts';

/* What agents and schedulers of a simulated world are given. */

/** `mount`: on MOUNT disks of agents whose every resource is reserved for a role above the scheduler's. */
export type SimStorage = 'persistent' | 'sandbox' | 'mount';
const ROLE_ABOVE = 'public';

export const UNREACHABLE_TIMEOUT_MS = 20_000;

export function describeAgent(host: string, index: number, storage: SimStorage): AgentDescription {
  const disks = [3_000, 5_000].map((value, at): Resource => {
    const root = `${workDirectoryOf(host)}/disks/${at}`;
    return {
      name: 'disk',
      type: 'SCALAR',
      scalar: { value },
      disk: { source: { type: 'MOUNT', mount: { root } } },
    };
  });
  const plain: readonly Resource[] = [
    { name: 'cpus', type: 'SCALAR', scalar: { value: 4 } },
    { name: 'mem', type: 'SCALAR', scalar: { value: 8192 } },
    { name: 'disk', type: 'SCALAR', scalar: { value: 20_000 } },
    { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 31_000, end: 31_099 }] } },
  ];
  const reservations = [{ type: 'STATIC', role: ROLE_ABOVE }] as const;
  return {
    hostname: `agent-${index + 1}.example`,
    ip: host,
    port: 5051,
    resources:
      storage === 'mount' ? [...plain, ...disks].map((resource) => ({ ...resource, reservations })) : plain,
    attributes: [],
    domain: null,
  };
}

/** Options with which a scheduler of a simulated life may be started anew. */
export type SimOptions = Partial<Pick<Spec, 'artifact' | 'etcd' | 'resources' | 'updateStrategy'>>;

export const KEEP_REVISIONS = 5;

/** etcd's options in simulated lives: a quota that can be reached. */
export function simEtcdOptions(changes: Partial<EtcdOptions> = {}): EtcdOptions {
  return etcdOptions.parse({ quotaBytes: 16 * 1024 * 1024, ...changes });
}

/** What members run, by its number: builds of the supervisor, with the same etcd unless another is named. */
export function simArtifact(number: number, etcd = USUAL_VERSION): string {
  const etcdBinary = etcd === USUAL_VERSION ? '/usr/bin/etcd' : `/opt/etcd-${etcd}/etcd`;
  return writePin({
    id: `checkout:${number}${etcd === USUAL_VERSION ? '' : `-${etcd}`}`,
    etcd,
    source: { from: 'checkout', node: '/usr/bin/node', entry: '/etcd-mesos.ts', etcdBinary },
  });
}

/** What an agent runs of it. */
function programsOf(artifact: string): SchedulerConfig['artifact'] {
  const { source } = readPin(artifact);
  assert(source?.from === 'checkout', 'members of the simulation run checkouts');
  const { node, entry, etcdBinary } = source;
  return { kind: 'checkout', node, entry, etcdBinary };
}

export function configOf(of: {
  readonly size: number;
  readonly storage: SimStorage;
  readonly changes: SimOptions;
}): SchedulerConfig {
  const { size, storage, changes } = of;
  const onMount = storage === 'mount';
  return {
    framework: {
      name: 'etcd',
      user: 'root',
      role: onMount ? `${ROLE_ABOVE}/etcd` : 'etcd',
      preReservedRole: onMount ? ROLE_ABOVE : null,
      principal: 'etcd',
      failoverTimeoutMs: 28 * 86_400_000,
    },
    masterTimeoutMs: 0,
    placement: placementRulesOf([]),
    storage: {
      kind: storage === 'sandbox' ? 'sandbox' : 'persistent',
      diskType: onMount ? 'mount' : 'root',
      wal: null,
    },
    ports: { peer: null, client: null, supervisor: null },
    spec: {
      size,
      bootstrapWindowMs: 5_000,
      unreachableTimeoutMs: UNREACHABLE_TIMEOUT_MS,
      volumeTimeoutMs: 60_000,
      launchTimeoutMs: 60_000,
      killGraceMs: 10_000,
      compactKeepRevisions: KEEP_REVISIONS,
      artifact: simArtifact(1),
      kept: new Map(),
      etcd: simEtcdOptions(),
      resources: { cpus: 1, memMb: 512, diskMb: 2048 },
      updateStrategy: 'serial',
      updateStepTimeoutMs: 600_000,
      ...changes,
    },
    artifact: programsOf(changes.artifact ?? simArtifact(1)),
    bootstrap: 'auto',
    uninstall: null,
  };
}
