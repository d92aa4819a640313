import type { ContainerInfo, TaskInfo } from '../mesos/wire.ts';

/**
 * What of Mesos the local one does not do, in one table: it is what the machines refuse by, and what
 * `docs/local-mesos-limits.md` shows. Nothing here is passed over in silence.
 */
export interface Unsupported {
  /** What it is in Mesos. */
  readonly what: string;
  /** What one gets who asks for it. */
  readonly answer: string;
  /** Types of scheduler calls that it takes. */
  readonly calls?: readonly string[];
  /** Types of operations in an ACCEPT. */
  readonly operations?: readonly string[];
  /** Fields of a TaskInfo. */
  readonly taskFields?: readonly string[];
}

const NOT_IMPLEMENTED = '501 with its name; nothing of the request is done';
const TASK_ERROR = 'TASK_ERROR, REASON_TASK_INVALID, with its name';

const UNSUPPORTED: readonly Unsupported[] = [
  {
    what: 'Volumes that grow and shrink, disks of resource providers (CSI)',
    answer: NOT_IMPLEMENTED,
    operations: ['GROW_VOLUME', 'SHRINK_VOLUME', 'CREATE_DISK', 'DESTROY_DISK'],
  },
  {
    what: 'Executors of the framework’s own, and what is said to them: SHUTDOWN, MESSAGE, `TaskInfo.executor`, `.data`',
    answer: `${NOT_IMPLEMENTED}; the fields: ${TASK_ERROR}`,
    calls: ['SHUTDOWN', 'MESSAGE'],
    taskFields: ['executor', 'data'],
  },
  {
    what: 'REQUEST',
    answer: NOT_IMPLEMENTED,
    calls: ['REQUEST'],
  },
  {
    what:
      'Containers and images, networks: `TaskInfo.container`, but for SANDBOX_PATH volumes of type PARENT in a ' +
      'LAUNCH_GROUP; `ExecutorInfo.container.network_infos`',
    answer: TASK_ERROR,
    taskFields: ['container'],
  },
  {
    what: 'Limits, `max_completion_time`',
    answer: TASK_ERROR,
    taskFields: ['limits', 'max_completion_time'],
  },
  {
    what: 'The URIs of a task group, fetched when its executor has it',
    answer:
      'They are fetched before; if one cannot be, all tasks of the group get TASK_FAILED, SOURCE_AGENT, ' +
      'REASON_CONTAINER_LAUNCH_FAILED',
  },
  { what: 'A `CommandInfo.user` other than the framework’s', answer: TASK_ERROR },
  {
    what:
      'Operator calls other than GET_HEALTH, GET_VERSION, GET_AGENTS, GET_FRAMEWORKS, GET_TASKS, MARK_AGENT_GONE, ' +
      'TEARDOWN, DRAIN_AGENT, DEACTIVATE_AGENT, REACTIVATE_AGENT and those of maintenance: quota, weights, ' +
      'reservations by operators, the event stream and the rest',
    answer: NOT_IMPLEMENTED,
  },
  {
    what: 'HTTP endpoints other than `/api/v1`, `/api/v1/scheduler`, `/state`, `/slaves`, `/tasks`, `/redirect`, `/version` and `/health`',
    answer: '404',
  },
  { what: 'protobuf in place of JSON', answer: NOT_IMPLEMENTED },
  {
    what: 'Frameworks without the capabilities MULTI_ROLE and RESERVATION_REFINEMENT',
    answer: 'ERROR on the stream, which names the capability; the stream ends',
  },
  {
    what: 'A registry on disk for a master that is alone',
    answer:
      'A master that is started anew has a new id, accepts agents and frameworks that come back, and has forgotten ' +
      'which agents were marked gone, unreachable or drained, and the maintenance; several masters share a directory ' +
      'in place of a replicated log',
  },
  {
    what: 'Authentication of agents; ACLs of other actions than those of `--acls` here',
    answer: 'Agents need not say who they are; a master with ACLs that it does not know does not start',
  },
  {
    what: 'Isolation',
    answer:
      'As under `posix/*`: cpus, memory and disk are accounted for, not enforced; tasks run as the agent’s user',
  },
  {
    what: 'URIs of `ftp:`, `hdfs:`, `s3:` and the like',
    answer: 'TASK_FAILED, REASON_CONTAINER_LAUNCH_FAILED',
  },
  { what: 'TLS, addresses other than loopback', answer: 'Refused when the master or agent is started' },
];

const namesOf = (field: 'calls' | 'operations' | 'taskFields'): ReadonlySet<string> =>
  new Set(UNSUPPORTED.flatMap((entry) => entry[field] ?? []));

/** Types of scheduler calls that Mesos has and the local one has not. */
export const UNSUPPORTED_CALLS = namesOf('calls');
/** Types of operations that Mesos has and the local one has not. */
export const UNSUPPORTED_OPERATIONS = namesOf('operations');
const UNSUPPORTED_TASK_FIELDS = namesOf('taskFields');

/** The first field of a task that is not done; `null` where there is none. `inGroup`: launched by LAUNCH_GROUP. */
export function unsupportedFieldOf(task: TaskInfo, inGroup: boolean): string | null {
  const done = inGroup && hasParentPathsOnly(task.container);
  const fields = Object.keys(task).filter((field) => UNSUPPORTED_TASK_FIELDS.has(field));
  return fields.find((field) => !(done && field === 'container')) ?? null;
}

/** What a task of a group may say of its container: which directories of its executor's sandbox it sees. */
function hasParentPathsOnly(container: ContainerInfo | undefined): boolean {
  if (container === undefined) return true;
  const { type, volumes = [], ...rest } = container;
  if (type !== 'MESOS' || Object.keys(rest).length > 0) return false;
  return volumes.every(({ source }) => source?.sandbox_path?.type === 'PARENT');
}

/** `docs/local-mesos-limits.md`. */
export function renderUnsupported(): string {
  return [
    '# What the local Mesos does not do',
    '',
    '`etcd-mesos local` speaks the Mesos v1 API as recorded conversations with a real Mesos 1.12 have it, runs real',
    'processes, and is for development and trial. What it leaves out of Mesos is here; whoever asks for it is told.',
    'This page is made from the sources by `npm run docs`.',
    '',
    '| in Mesos | here |',
    '| --- | --- |',
    ...UNSUPPORTED.map(({ what, answer }) => `| ${what} | ${answer} |`),
    '',
  ].join('\n');
}
