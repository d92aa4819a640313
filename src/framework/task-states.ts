import type { TaskState } from '../mesos/wire.ts';
import type { TaskEnd } from '../protocol/record.ts';

/**
 * What a status says about a task; design: "what absence means". Only executor and agent can know that a
 * process has ended; what the master says of itself is hearsay, however terminal it sounds. `ignored`: nothing
 * is concluded.
 */
export type Standing = 'alive' | 'unreachable' | TaskEnd['standing'] | 'ignored';

export const SOURCES = ['SOURCE_EXECUTOR', 'SOURCE_AGENT', 'SOURCE_MASTER'] as const;
export type Source = (typeof SOURCES)[number];

/** One meaning: of a state from some sources, for one reason or for all that have no row of their own. */
export interface TaskStateRow {
  readonly state: TaskState;
  readonly sources: readonly Source[];
  /** `none`: the status has no reason. `any`: whatever has no row of its own, `none` too. */
  readonly reason: Reason | 'none' | 'any';
  readonly standing: Standing;
  /** What has happened where Mesos says so. */
  readonly when: string;
  /** What the scheduler does. */
  readonly does: string;
}

const E = ['SOURCE_EXECUTOR'] as const;
const A = ['SOURCE_AGENT'] as const;
const M = ['SOURCE_MASTER'] as const;
const EA = ['SOURCE_EXECUTOR', 'SOURCE_AGENT'] as const;
const ALL = SOURCES;

const WAITS = 'waits for its supervisor, up to `--launch-timeout`';
const NOTHING = 'nothing: it asks the supervisor itself how its member is';
const TAKES_BACK = 'takes back what was only asserted of the task';
const L1 = 'launches it again in place as soon as its reservation is offered (L1); on data it had, or L2';
const NEW_TASK = 'launches it again under a new task id, if not here then elsewhere';
const PATIENCE =
  'asks again every few seconds; L1 if its place is offered whole; L2 after `--unreachable-timeout`; never by itself a ' +
  'reason for a new epoch';

/** Every state that Mesos 1.12 has, from each source that can say it; the first row that fits is the meaning. */
export const TASK_STATE_ROWS: readonly TaskStateRow[] = [
  row('TASK_STAGING', M, 'REASON_RECONCILIATION', 'alive', 'its launch is on its way to the executor', WAITS),
  row('TASK_STAGING', ALL, 'any', 'alive', 'its launch is on its way to the executor', WAITS),

  row('TASK_STARTING', E, 'none', 'alive', 'its executor has it', WAITS),
  row('TASK_STARTING', M, 'REASON_RECONCILIATION', 'alive', 'asked for, it has not run yet', WAITS),
  row('TASK_STARTING', ALL, 'any', 'alive', 'its executor has it', WAITS),

  row('TASK_RUNNING', E, 'none', 'alive', 'its process runs', NOTHING),
  row(
    'TASK_RUNNING',
    E,
    'REASON_TASK_HEALTH_CHECK_STATUS_UPDATED',
    'alive',
    'its health check has succeeded again, or failed once more',
    'shows it; Mesos kills no member for it, the check has no limit of failures',
  ),
  row(
    'TASK_RUNNING',
    E,
    'REASON_TASK_CHECK_STATUS_UPDATED',
    'alive',
    'its check has found something else',
    'nothing: no task of ours has a check',
  ),
  row('TASK_RUNNING', M, 'REASON_RECONCILIATION', 'alive', 'asked for, it runs', TAKES_BACK),
  row('TASK_RUNNING', M, 'REASON_AGENT_REREGISTERED', 'alive', 'its unreachable agent is back', TAKES_BACK),
  row('TASK_RUNNING', ALL, 'any', 'alive', 'its process runs', NOTHING),

  row('TASK_KILLING', E, 'none', 'alive', 'SIGTERM was sent', 'waits for the end'),
  row(
    'TASK_KILLING',
    E,
    'REASON_AGENT_DRAINING',
    'alive',
    'an operator drains its agent',
    'waits for the end',
  ),
  row(
    'TASK_KILLING',
    M,
    'REASON_RECONCILIATION',
    'alive',
    'asked for, it is being killed',
    'waits for the end',
  ),
  row('TASK_KILLING', ALL, 'any', 'alive', 'SIGTERM was sent', 'waits for the end'),

  row('TASK_FINISHED', E, 'none', 'ended', 'its process has exited with 0', L1),
  row('TASK_FINISHED', EA, 'any', 'ended', 'its process has exited with 0', L1),

  row('TASK_FAILED', E, 'none', 'ended', 'its process has exited with another code, or by a signal', L1),
  row(
    'TASK_FAILED',
    A,
    'REASON_CONTAINER_LAUNCH_FAILED',
    'ended',
    'what it needs could not be fetched, or its container not be made',
    `${L1}; with growing pauses, and elsewhere if it never ran here`,
  ),
  row(
    'TASK_FAILED',
    A,
    'REASON_EXECUTOR_TERMINATED',
    'ended',
    'its executor was killed; what that ran may run on',
    `${L1}; the next supervisor ends whatever still holds its directory or ports before it writes`,
  ),
  row(
    'TASK_FAILED',
    A,
    'REASON_EXECUTOR_REGISTRATION_TIMEOUT',
    'ended',
    'its executor did not register in time and was killed; the archive is fetched within that time',
    `${L1}; give agents a longer \`--executor_registration_timeout\` (Mesos has a minute), or a nearer \`--artifact-uri\``,
  ),
  row(
    'TASK_FAILED',
    A,
    'REASON_CONTAINER_LIMITATION_MEMORY',
    'ended',
    'it used more memory than it has',
    `${L1}; give members more memory`,
  ),
  row(
    'TASK_FAILED',
    A,
    'REASON_CONTAINER_LIMITATION_DISK',
    'ended',
    'it used more disk than it has',
    `${L1}; give members more disk`,
  ),
  row('TASK_FAILED', A, 'REASON_CONTAINER_LIMITATION', 'ended', 'it used more than it has', L1),
  row(
    'TASK_FAILED',
    A,
    'REASON_IO_SWITCHBOARD_EXITED',
    'ended',
    'a part of the agent that it needs ended',
    L1,
  ),
  row(
    'TASK_FAILED',
    E,
    'REASON_MAX_COMPLETION_TIME_REACHED',
    'ended',
    'it ran longer than it may',
    `${L1}; no task of ours has such a limit`,
  ),
  row('TASK_FAILED', EA, 'any', 'ended', 'it has ended otherwise than by itself and with 0', L1),

  row('TASK_KILLED', E, 'none', 'ended', 'it was told to end, and has ended', L1),
  row(
    'TASK_KILLED',
    E,
    'REASON_AGENT_DRAINING',
    'ended',
    'an operator drains its agent; its volume is there, but not offered',
    'waits `--volume-timeout` for its place to be offered, then L2: a place that is not offered is not "data gone"',
  ),
  row(
    'TASK_KILLED',
    A,
    'REASON_TASK_KILLED_DURING_LAUNCH',
    'never-ran',
    'killed before its executor had it',
    NEW_TASK,
  ),
  row('TASK_KILLED', EA, 'any', 'ended', 'it was told to end, and has ended', L1),
  row(
    'TASK_KILLED',
    M,
    'REASON_TASK_KILLED_DURING_LAUNCH',
    'never-ran',
    'killed before its agent had it',
    NEW_TASK,
  ),
  row(
    'TASK_KILLED',
    M,
    'REASON_FRAMEWORK_REMOVED',
    'asserted',
    'our framework was removed; sent before the task is killed',
    'the stream ends with it: the next framework adopts what is left',
  ),

  row('TASK_FINISHED', M, 'REASON_RECONCILIATION', 'asserted', 'asked for, it has ended', PATIENCE),
  row('TASK_FAILED', M, 'REASON_RECONCILIATION', 'asserted', 'asked for, it has ended', PATIENCE),
  row('TASK_KILLED', M, 'REASON_RECONCILIATION', 'asserted', 'asked for, it has ended', PATIENCE),
  row('TASK_FINISHED', M, 'any', 'asserted', 'the master has not seen it end', PATIENCE),
  row('TASK_FAILED', M, 'any', 'asserted', 'the master has not seen it end', PATIENCE),
  row('TASK_KILLED', M, 'any', 'asserted', 'the master has not seen it end', PATIENCE),

  row(
    'TASK_ERROR',
    M,
    'REASON_TASK_INVALID',
    'never-ran',
    'its launch was refused: more than offered, a duplicate id, a broken description',
    `${NEW_TASK}; of a task that has run it is ignored: it names the duplicate`,
  ),
  row(
    'TASK_ERROR',
    M,
    'REASON_TASK_GROUP_INVALID',
    'never-ran',
    'the launch of its group was refused',
    NEW_TASK,
  ),
  row(
    'TASK_ERROR',
    M,
    'REASON_TASK_UNAUTHORIZED',
    'never-ran',
    'the master’s ACLs forbid it',
    `${NEW_TASK}; an operator must allow the principal or change the user`,
  ),
  row(
    'TASK_ERROR',
    M,
    'REASON_TASK_GROUP_UNAUTHORIZED',
    'never-ran',
    'the master’s ACLs forbid its group',
    `${NEW_TASK}; an operator must allow the principal or change the user`,
  ),
  row('TASK_ERROR', A, 'REASON_TASK_UNAUTHORIZED', 'never-ran', 'the agent’s ACLs forbid it', NEW_TASK),
  row(
    'TASK_ERROR',
    A,
    'REASON_TASK_GROUP_UNAUTHORIZED',
    'never-ran',
    'the agent’s ACLs forbid its group',
    NEW_TASK,
  ),
  row('TASK_ERROR', ALL, 'any', 'never-ran', 'its launch was refused', NEW_TASK),

  row(
    'TASK_DROPPED',
    M,
    'REASON_INVALID_OFFERS',
    'never-ran',
    'the offer that it was launched on was gone',
    NEW_TASK,
  ),
  row(
    'TASK_DROPPED',
    A,
    'REASON_RECONCILIATION',
    'never-ran',
    'its agent came back and does not know it: the launch was lost',
    `${NEW_TASK}; of a task that has run it is only asserted`,
  ),
  row(
    'TASK_DROPPED',
    M,
    'REASON_AGENT_DISCONNECTED',
    'never-ran',
    'its agent was away when it was launched',
    NEW_TASK,
  ),
  row(
    'TASK_DROPPED',
    M,
    'REASON_AGENT_REMOVED',
    'never-ran',
    'its agent was removed when it was launched',
    NEW_TASK,
  ),
  row(
    'TASK_DROPPED',
    A,
    'REASON_RESOURCES_UNKNOWN',
    'never-ran',
    'it was launched on resources that its agent has no more',
    NEW_TASK,
  ),
  row(
    'TASK_DROPPED',
    A,
    'REASON_AGENT_RESTARTED',
    'never-ran',
    'its agent was restarted before it ran',
    NEW_TASK,
  ),
  row(
    'TASK_DROPPED',
    A,
    'REASON_EXECUTOR_TERMINATED',
    'never-ran',
    'the executor that was to run it had ended',
    NEW_TASK,
  ),
  row('TASK_DROPPED', A, 'REASON_AGENT_DRAINING', 'never-ran', 'an operator drains its agent', NEW_TASK),
  row('TASK_DROPPED', A, 'REASON_GC_ERROR', 'never-ran', 'the agent could not keep its directory', NEW_TASK),
  row('TASK_DROPPED', A, 'REASON_INVALID_OFFERS', 'never-ran', 'its launch did not fit the agent', NEW_TASK),
  row(
    'TASK_DROPPED',
    ALL,
    'any',
    'never-ran',
    'its launch was lost on the way',
    `${NEW_TASK}; of a task that has run it is only asserted`,
  ),

  row(
    'TASK_UNREACHABLE',
    M,
    'REASON_AGENT_REMOVED',
    'unreachable',
    'its agent has stopped answering; it may run and serve',
    'waits: it comes back running, or L2 after `--unreachable-timeout`',
  ),
  row(
    'TASK_UNREACHABLE',
    M,
    'REASON_RECONCILIATION',
    'unreachable',
    'asked for, its agent is still away',
    'waits: it comes back running, or L2 after `--unreachable-timeout`',
  ),
  row(
    'TASK_UNREACHABLE',
    ALL,
    'any',
    'unreachable',
    'its agent has stopped answering; it may run and serve',
    'waits: it comes back running, or L2 after `--unreachable-timeout`',
  ),

  row(
    'TASK_GONE',
    M,
    'REASON_RECONCILIATION',
    'asserted',
    'its agent is there and does not know it',
    PATIENCE,
  ),
  row(
    'TASK_GONE',
    A,
    'REASON_EXECUTOR_REREGISTRATION_TIMEOUT',
    'asserted',
    'its executor did not come back to a restarted agent in time and was killed',
    PATIENCE,
  ),
  row('TASK_GONE', A, 'REASON_CONTAINER_PREEMPTED', 'asserted', 'it was pushed aside for another', PATIENCE),
  row('TASK_GONE', A, 'REASON_CONTAINER_UPDATE_FAILED', 'asserted', 'its container was given up', PATIENCE),
  row('TASK_GONE', ALL, 'any', 'asserted', 'its agent is there and does not know it', PATIENCE),

  row(
    'TASK_GONE_BY_OPERATOR',
    M,
    'REASON_AGENT_REMOVED_BY_OPERATOR',
    'asserted',
    'an operator has marked its agent gone',
    'its volume counts as gone: L2 at once',
  ),
  row(
    'TASK_GONE_BY_OPERATOR',
    E,
    'REASON_AGENT_DRAINING',
    'asserted',
    'an operator drains its agent for good; it may run until it has been killed',
    'its volume counts as gone: L2 at once',
  ),
  row(
    'TASK_GONE_BY_OPERATOR',
    M,
    'REASON_RECONCILIATION',
    'asserted',
    'asked for: an operator has marked its agent gone',
    'its volume counts as gone: L2 at once',
  ),
  row(
    'TASK_GONE_BY_OPERATOR',
    ALL,
    'any',
    'asserted',
    'an operator has marked its agent gone',
    'its volume counts as gone: L2 at once',
  ),

  row(
    'TASK_LOST',
    M,
    'REASON_AGENT_REMOVED',
    'asserted',
    'its agent has unregistered, or another registered at its address',
    `${PATIENCE}; an offer of another agent at that address without its volume says that it is gone: L2 at once`,
  ),
  row('TASK_LOST', ALL, 'any', 'asserted', 'somebody has lost it; it may run', PATIENCE),

  row('TASK_UNKNOWN', M, 'REASON_RECONCILIATION', 'asserted', 'nobody knows the task or its agent', PATIENCE),
  row('TASK_UNKNOWN', ALL, 'any', 'asserted', 'nobody knows the task or its agent', PATIENCE),
];

function row(
  state: TaskState,
  sources: readonly Source[],
  reason: TaskStateRow['reason'],
  standing: Standing,
  when: string,
  does: string,
): TaskStateRow {
  return { state, sources, reason, standing, when, does };
}

/** `TASK_FAILED SOURCE_AGENT REASON_EXECUTOR_TERMINATED`: names a row of {@link TASK_STATE_ROWS}. */
export function nameOfRow({ state, sources, reason }: TaskStateRow): string {
  return `${state} ${sources.join('|')} ${reason}`;
}

/** The row that says what a status means; `null` for a state that this version does not know. */
export function rowOf(state: string, source: Source, reason: string): TaskStateRow | null {
  const own = reason === '' ? 'none' : reason;
  const rows = TASK_STATE_ROWS.filter((one) => one.state === state && one.sources.includes(source));
  return rows.find((one) => one.reason === own) ?? rows.find((one) => one.reason === 'any') ?? null;
}

/**
 * Every reason of Mesos 1.12, and what it says. Where a state has no row for it, it adds nothing: the state decides.
 * A reason that is not here does not either.
 */
export const REASONS = {
  REASON_COMMAND_EXECUTOR_FAILED: 'not sent by any Mesos that is supported',
  REASON_CONTAINER_LAUNCH_FAILED: 'fetching or making the container failed',
  REASON_CONTAINER_LIMITATION: 'a limit of the container was passed',
  REASON_CONTAINER_LIMITATION_DISK: 'the disk limit was passed',
  REASON_CONTAINER_LIMITATION_MEMORY: 'the memory limit was passed',
  REASON_CONTAINER_PREEMPTED: 'pushed aside for others',
  REASON_CONTAINER_UPDATE_FAILED: 'the container’s resources could not be changed',
  REASON_MAX_COMPLETION_TIME_REACHED: 'it ran longer than its description allows',
  REASON_EXECUTOR_REGISTRATION_TIMEOUT: 'the executor did not register in time',
  REASON_EXECUTOR_REREGISTRATION_TIMEOUT: 'the executor did not come back to its agent in time',
  REASON_EXECUTOR_TERMINATED: 'the executor has ended, or had ended before',
  REASON_EXECUTOR_UNREGISTERED: 'not sent by any Mesos that is supported',
  REASON_FRAMEWORK_REMOVED: 'the framework was removed',
  REASON_GC_ERROR: 'the agent could not keep a directory from being collected',
  REASON_INVALID_FRAMEWORKID: 'not sent by any Mesos that is supported',
  REASON_INVALID_OFFERS: 'the offers of a launch were not valid any more',
  REASON_IO_SWITCHBOARD_EXITED: 'a helper process of the agent has ended',
  REASON_MASTER_DISCONNECTED: 'made by the old scheduler driver, which is not used here',
  REASON_RECONCILIATION: 'an answer to a question about the task; from an agent: a launch that it never got',
  REASON_RESOURCES_UNKNOWN: 'the resources of a launch are not the agent’s',
  REASON_AGENT_DISCONNECTED: 'the agent was away',
  REASON_AGENT_DRAINING: 'an operator drains the agent',
  REASON_AGENT_REMOVED: 'the agent was removed or marked unreachable',
  REASON_AGENT_REMOVED_BY_OPERATOR: 'an operator has marked the agent gone',
  REASON_AGENT_REREGISTERED: 'an agent that was unreachable is back',
  REASON_AGENT_RESTARTED: 'the agent was restarted during the launch',
  REASON_AGENT_UNKNOWN: 'not sent by any Mesos that is supported',
  REASON_TASK_KILLED_DURING_LAUNCH: 'killed before it was delivered',
  REASON_TASK_CHECK_STATUS_UPDATED: 'its check has another outcome',
  REASON_TASK_HEALTH_CHECK_STATUS_UPDATED: 'its health check has an outcome to tell',
  REASON_TASK_GROUP_INVALID: 'the description of its group was refused',
  REASON_TASK_GROUP_UNAUTHORIZED: 'its group is not allowed',
  REASON_TASK_INVALID: 'its description was refused',
  REASON_TASK_UNAUTHORIZED: 'it is not allowed',
  REASON_TASK_UNKNOWN: 'not sent by any Mesos that is supported',
} as const;
export type Reason = keyof typeof REASONS;

/** `docs/task-states.md`. */
export function renderTaskStates(): string {
  const source = (one: Source) => one.slice('SOURCE_'.length).toLowerCase();
  const reason = (one: TaskStateRow['reason']) =>
    one === 'none' ? '–' : one === 'any' ? 'any other' : `\`${one.slice('REASON_'.length)}\``;
  const used = new Set(TASK_STATE_ROWS.map((one) => one.reason));
  return [
    '# What every task state and reason means',
    '',
    'What the scheduler concludes from a status of Mesos about one of its tasks, and what it does then. This page is',
    'made from the sources by `npm run docs`.',
    '',
    '| standing | what it means |',
    '| --- | --- |',
    '| alive | it runs, or is about to |',
    '| unreachable | nobody can see it; it may run and serve, and may come back |',
    '| ended | executor or agent say that it is over: they can know |',
    '| asserted | somebody says that it is over who cannot have seen it; it may run and serve |',
    '| never-ran | it was not started, and will not be |',
    '| ignored | nothing is concluded |',
    '',
    'A proven end stays. What was only asserted, or said to have never run, is taken back when the task is seen alive.',
    '*never-ran* of a task that has run is a confused agent (`TASK_DROPPED`: asserted) or names a refused duplicate',
    '(`TASK_ERROR`: ignored). A missing source counts as the master. A state that is not here is newer than this',
    'version: it is acknowledged, counted and ignored; a reason that is not here adds nothing: the state decides. L1,',
    'L2: launched again in place; replaced elsewhere.',
    '',
    '## States',
    '',
    '| state | from | reason | standing | what has happened | what the scheduler does |',
    '| --- | --- | --- | --- | --- | --- |',
    ...TASK_STATE_ROWS.map(
      (one) =>
        `| ${one.state} | ${one.sources.map(source).join(', ')} | ${reason(one.reason)} | ${one.standing} | ${one.when} | ${one.does} |`,
    ),
    '',
    '## Reasons',
    '',
    '| reason | what it says | what it adds |',
    '| --- | --- | --- |',
    ...Object.entries(REASONS).map(
      ([name, says]) =>
        `| ${name} | ${says} | ${used.has(name as Reason) ? 'see the states above' : 'nothing: the state decides'} |`,
    ),
    '',
  ].join('\n');
}
