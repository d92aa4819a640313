import type { FrameworkInfo, HealthCheck, TaskInfo } from '../mesos/wire.ts';
import { formatResources } from './resource-text.ts';
import { containsResources, mergeResources, type Resources, resourceProblem } from './resources.ts';
import { unsupportedFieldOf } from './unsupported.ts';

/** What a task is judged by. */
export interface LaunchContext {
  readonly framework: FrameworkInfo;
  readonly agentId: string;
  /** The role that the offer was made to. */
  readonly role: string;
  readonly available: Resources;
  /** Whether the framework has a task of that id that has not ended and been acknowledged. */
  readonly isTaken: (taskId: string) => boolean;
  /** The health checks that the agents' executors make. */
  readonly healthCheckTypes: ReadonlySet<HealthCheck['type']>;
}

const ID_CHARACTERS_MAX = 255;
const PORT_MAX = 65_535;

/** Why `task` cannot be launched, in Mesos's words where the recordings have them; `null` when it can. */
export function launchProblem(task: TaskInfo, context: LaunchContext): string | null {
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
    resourcesProblem(task, context)
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
  const field = unsupportedFieldOf(task);
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
  const port = check.type === 'TCP' ? check.tcp?.port : check.http?.port;
  if (check.type === 'COMMAND') {
    return check.command === undefined
      ? "Task uses invalid health check: Expecting 'command' to be set for COMMAND health check"
      : null;
  }
  if (port === undefined) {
    const field = check.type.toLowerCase();
    return `Task uses invalid health check: Expecting '${field}' to be set for ${check.type} health check`;
  }
  if (Number.isInteger(port) && port >= 1 && port <= PORT_MAX) return null;
  return `Task uses invalid health check: port ${port} is not of 1 … ${PORT_MAX}`;
}

function resourcesProblem(task: TaskInfo, context: LaunchContext): string | null {
  for (const resource of task.resources) {
    const problem = resourceProblem(resource);
    if (problem !== null) return `Task uses invalid resources: ${problem}`;
  }
  const needed = mergeResources(task.resources);
  if (needed.length === 0) return 'Task uses no resources';
  if (containsResources(context.available, needed)) return null;
  return (
    `Total resources ${formatResources(needed)} required by task and its executor is more than available ` +
    formatResources(context.available)
  );
}
