import type { CommandInfo, Resource, TaskInfo } from '../mesos/wire.ts';
import { LAUNCH_VARIABLE, LAUNCH_VERSION, type Launch } from '../protocol/launch.ts';
import type { Seat } from '../protocol/record.ts';
import { clientCheckOf } from './client-check.ts';
import type { Artifact, FrameworkConfig } from './config.ts';
import { DISCOVERY } from './dns-names.ts';
import { type Ownership, taskLabels } from './labels.ts';
import { memorySharesOf } from './task-memory.ts';

/** Where the seat's volume appears in the sandbox. */
export const VOLUME_PATH = 'etcd-volume';
/** Where its volume for etcd's log does, if it has one. */
export const WAL_VOLUME_PATH = 'etcd-wal';
/** The variable that names the task in the processes of its tree, so that orphans can be found by it. */
export const TASK_VARIABLE = 'ETCD_MESOS_TASK';

export interface TaskSpecInput {
  readonly framework: FrameworkConfig;
  readonly artifact: Artifact;
  readonly owner: Ownership;
  readonly seat: Seat;
  /** Base64 SPKI of the schedulers' public key. */
  readonly schedulerKey: string;
  readonly killGraceMs: number;
  /** Everything that is reserved for the seat, the volume in it. */
  readonly resources: readonly Resource[];
}

/** The Mesos task of a seat: pure, the same input gives the same bytes. */
export function taskInfoOf(input: TaskSpecInput): TaskInfo {
  const { seat } = input;
  return {
    name: DISCOVERY.server,
    task_id: { value: seat.task },
    agent_id: { value: seat.agentId },
    resources: input.resources,
    command: commandOf(input),
    health_check: clientCheckOf(seat.ports.client),
    kill_policy: { grace_period: { nanoseconds: input.killGraceMs * 1_000_000 } },
    labels: taskLabels(input.owner, seat),
    discovery: {
      visibility: 'EXTERNAL',
      name: DISCOVERY.server,
      ports: {
        ports: [{ number: seat.ports.peer, name: 'peer', protocol: 'tcp', visibility: 'EXTERNAL' }],
      },
    },
  };
}

/** What the supervisor of a seat is told. */
export function launchOf(input: TaskSpecInput): Launch {
  const { seat } = input;
  return {
    protocol: LAUNCH_VERSION,
    framework: input.owner.framework,
    cluster: input.owner.cluster,
    slot: seat.slot,
    seat: seat.id,
    task: seat.task,
    schedulerKey: input.schedulerKey,
    volume: { path: VOLUME_PATH, id: seat.volumeId },
    ...(seat.wal === null ? {} : { wal: { path: WAL_VOLUME_PATH, id: seat.wal.volumeId } }),
    ...(seat.storage === 'sandbox' ? { storage: 'sandbox' } : {}),
    host: seat.host,
    ports: seat.ports,
    etcdBinary: input.artifact.kind === 'uri' ? './etcd-mesos/bin/etcd' : input.artifact.etcdBinary,
    etcd: seat.pinned.etcd,
  };
}

function commandOf(input: TaskSpecInput): CommandInfo {
  const { artifact, seat } = input;
  const { supervisorHeapMb, etcdMb } = memorySharesOf(seat.resources.memMb);
  const environment = {
    variables: [
      { name: LAUNCH_VARIABLE, value: JSON.stringify(launchOf(input)) },
      { name: TASK_VARIABLE, value: seat.task },
      // Read by the Go that newer etcds are built with.
      { name: 'GOMEMLIMIT', value: `${etcdMb}MiB` },
    ],
  };
  const heap = `--max-old-space-size=${supervisorHeapMb}`;
  const common = { shell: true, user: input.framework.user, environment };
  if (artifact.kind === 'checkout') {
    return { ...common, value: `exec ${quote(artifact.node)} ${heap} ${quote(artifact.entry)} run-member` };
  }
  return {
    ...common,
    // Fetched as it is: an archive is unpacked only after its bytes were found to be the ones that were meant.
    uris: [{ value: artifact.uri, extract: false, cache: false, output_file: ARCHIVE }],
    value: [
      `{ echo '${artifact.sha256}  ${ARCHIVE}' | sha256sum -c - >&2 || exit ${EXIT_ARTIFACT}; }`,
      `tar -xf ${ARCHIVE}`,
      `rm -f ${ARCHIVE}`,
      `exec ./etcd-mesos/bin/node ${heap} ./etcd-mesos/lib/etcd-mesos.js run-member`,
    ].join(' && '),
  };
}

const ARCHIVE = 'etcd-mesos.tar.gz';
/** With which a task ends whose archive is another than the one that was meant. */
const EXIT_ARTIFACT = 9;

/** One word for `sh`. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
