import type { CheckInfo, CommandInfo, FrameworkInfo, HealthCheck, TaskInfo } from '../mesos/wire.ts';
import { formatResources } from './resource-text.ts';
import { containsResources, mergeResources, type Resources, resourceProblem } from './resources.ts';
import { unsupportedFieldOf } from './unsupported.ts';

/** What a task is judged by. */
export interface LaunchContext {
  readonly framework: FrameworkInfo;
  readonly agentId: string;
  /** Whether the framework has a task of that id that has not ended and been acknowledged. */
  readonly isTaken: (taskId: string) => boolean;
  /** The health checks that the agents' executors make. */
  readonly healthCheckTypes: ReadonlySet<HealthCheck['type']>;
  /** Launched in a group, under an executor that others may share. */
  readonly inGroup?: boolean;
}

const ID_CHARACTERS_MAX = 255;
const PORT_MAX = 65_535;

/**
 * Why `task` cannot be launched on what is `available`, in Mesos's words where the recordings have them; `null` when
 * it can.
 */
export function launchProblem(task: TaskInfo, context: LaunchContext, available: Resources): string | null {
  return taskProblem(task, context) ?? containmentProblem(task, available);
}

/** What is wrong with `task` wherever it is launched. */
export function taskProblem(task: TaskInfo, context: LaunchContext): string | null {
  const taskId = task.task_id.value;
  return (
    idProblem(taskId) ??
    (context.isTaken(taskId) ? `Task has duplicate ID: ${taskId}` : null) ??
    (task.agent_id.value === context.agentId
      ? null
      : `Task uses invalid agent ${task.agent_id.value} while agent ${context.agentId} is expected`) ??
    unsupportedProblem(task, context) ??
    commandProblem(task) ??
    killPolicyProblem(task) ??
    (task.health_check === undefined ? null : healthCheckProblem(task.health_check)) ??
    (task.check === undefined ? null : checkProblem(task.check)) ??
    resourcesProblem(task)
  );
}

/** Why `id` is no id for Mesos; `null` when it is one. */
export function idProblem(id: string): string | null {
  if (id === '') return 'ID must not be empty';
  if (id.length > ID_CHARACTERS_MAX) return `ID must not be greater than ${ID_CHARACTERS_MAX} characters`;
  if (id === '.' || id === '..') return `'${id}' is disallowed`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  return /[/\\\s\u0000-\u001f\u007f]/.test(id) ? `'${id}' contains invalid characters` : null;
}

function unsupportedProblem(task: TaskInfo, context: LaunchContext): string | null {
  const { inGroup = false } = context;
  const field = unsupportedFieldOf(task, inGroup);
  if (field !== null) return `The local Mesos does not do TaskInfo.${field}`;
  const user = task.command?.user;
  if (user !== undefined && user !== context.framework.user) {
    return `The local Mesos runs tasks as its own user, not as CommandInfo.user '${user}'`;
  }
  const check = task.health_check?.type;
  if (check === undefined || context.healthCheckTypes.has(check)) return null;
  return `The local Mesos does not make ${check} health checks`;
}

function commandProblem(task: TaskInfo): string | null {
  const { command } = task;
  if (command === undefined) {
    return 'Task should have at least one (but not both) of CommandInfo or ExecutorInfo present';
  }
  if (command.shell !== false && command.value === undefined) return 'Command is a shell but has no value';
  if (command.shell === false && command.value === undefined)
    return 'Command has no value: nothing to execute';
  return null;
}

function killPolicyProblem(task: TaskInfo): string | null {
  const nanoseconds = task.kill_policy?.grace_period?.nanoseconds;
  if (nanoseconds === undefined || nanoseconds >= 0) return null;
  return "Task's 'kill_policy.grace_period' must be non-negative";
}

function healthCheckProblem(check: HealthCheck): string | null {
  const problem = probeProblem(check, 'health check', check.command);
  if (problem !== null) return `Task uses invalid health check: ${problem}`;
  const scheme = check.http?.scheme ?? 'http';
  return scheme === 'http' || scheme === 'https'
    ? null
    : `Task uses invalid health check: Unsupported HTTP health check scheme: '${scheme}'`;
}

function checkProblem(check: CheckInfo): string | null {
  const problem = probeProblem(check, 'check', check.command?.command);
  return problem === null ? null : `Task uses invalid check: ${problem}`;
}

function probeProblem(
  check: HealthCheck | CheckInfo,
  what: string,
  command: CommandInfo | undefined,
): string | null {
  const field = check.type.toLowerCase() as Lowercase<HealthCheck['type']>;
  if (check[field] === undefined) return `Expecting '${field}' to be set for ${check.type} ${what}`;
  if (check.type === 'COMMAND') {
    if (command?.value !== undefined) return null;
    const missing = command?.shell === false ? "'executable path'" : "'shell command'";
    return `Command ${what} must contain ${missing}`;
  }
  const path = check.http?.path ?? '/';
  if (check.type === 'HTTP' && !path.startsWith('/')) {
    return `The path '${path}' of HTTP ${what} must start with '/'`;
  }
  const port = (check.type === 'TCP' ? check.tcp?.port : check.http?.port) ?? 0;
  if (Number.isInteger(port) && port >= 1 && port <= PORT_MAX) return null;
  return `port ${port} is not of 1 … ${PORT_MAX}`;
}

function resourcesProblem(task: TaskInfo): string | null {
  for (const resource of task.resources) {
    const problem = resourceProblem(resource);
    if (problem !== null) return `Task uses invalid resources: ${problem}`;
  }
  return mergeResources(task.resources).length === 0 ? 'Task uses no resources' : null;
}

function containmentProblem(task: TaskInfo, available: Resources): string | null {
  const needed = mergeResources(task.resources);
  if (containsResources(available, needed)) return null;
  return (
    `Total resources ${formatResources(needed)} required by task and its executor is more than available ` +
    formatResources(available)
  );
}
