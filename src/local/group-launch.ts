import type { ExecutorInfo, TaskInfo } from '../mesos/wire.ts';
import type { Acceptance } from './accept.ts';
import { launchRefusal } from './authorization.ts';
import { idProblem, taskProblem } from './launch-validation.ts';
import { executorKey, type Master, newTask, sendToAgent } from './master-state.ts';
import { tellOfTask } from './master-updates.ts';
import { volumesAmong } from './operations.ts';
import { formatResources } from './resource-text.ts';
import {
  addResources,
  containsResources,
  mergeResources,
  type Resources,
  resourceProblem,
  scalarMilli,
  subtractResources,
} from './resources.ts';

/** Tasks that live and die together, and what they run under. */
export interface TaskGroup {
  readonly executor: ExecutorInfo;
  readonly tasks: readonly TaskInfo[];
}

/** What Mesos wants an executor to have at least. */
const EXECUTOR_CPUS_MIN = 0.01;
const EXECUTOR_MEM_MB_MIN = 32;

/** Launches a group under its executor, which runs already or is started; all of its tasks are refused or none. */
export function launchGroup(master: Master, acceptance: Acceptance, group: TaskGroup): void {
  const { framework, agent, role } = acceptance;
  const { executor, tasks } = group;
  const refusal = firstRefusal(master, framework, tasks);
  const problem = refusal ?? groupProblem(master, acceptance, group);
  if (problem !== null) {
    for (const task of tasks) {
      tellOfTask(master, framework, task.task_id.value, {
        state: 'TASK_ERROR',
        reason: refusal === null ? 'REASON_TASK_GROUP_INVALID' : 'REASON_TASK_GROUP_UNAUTHORIZED',
        message: problem,
        agentId: task.agent_id.value,
      });
    }
    return;
  }
  acceptance.remaining = subtractResources(acceptance.remaining, neededBy(acceptance, group));
  const executorId = executor.executor_id.value;
  agent.executors.set(executorKey(framework.id, executorId), { frameworkId: framework.id, role, executor });
  for (const task of tasks) {
    framework.tasks.set(task.task_id.value, newTask(agent.id, framework.id, role, task, executorId));
  }
  sendToAgent(master, agent, { kind: 'launch-group', framework: framework.info, role, executor, tasks });
}

function firstRefusal(
  { config }: Master,
  { info }: Acceptance['framework'],
  tasks: readonly TaskInfo[],
): string | null {
  for (const task of tasks) {
    const refusal = launchRefusal(config.authorize, info, task);
    if (refusal !== null) return refusal;
  }
  return null;
}

/** What the group takes of the offer: its executor only where it does not run yet. */
function neededBy({ framework, agent }: Acceptance, { executor, tasks }: TaskGroup): Resources {
  const isRunning = agent.executors.has(executorKey(framework.id, executor.executor_id.value));
  const first: Resources = isRunning ? [] : mergeResources(executor.resources);
  return tasks.reduce((sum, { resources }) => addResources(sum, resources), first);
}

function groupProblem(master: Master, acceptance: Acceptance, group: TaskGroup): string | null {
  const { executor, tasks } = group;
  const [first] = tasks;
  if (first === undefined) return 'Task group cannot be empty';
  const seen = new Set<string>();
  for (const task of tasks) {
    const problem = taskProblem(task, {
      framework: acceptance.framework.info,
      agentId: acceptance.agent.id,
      isTaken: (id) =>
        acceptance.framework.tasks.has(id) || acceptance.framework.unreachableTasks.has(id) || seen.has(id),
      healthCheckTypes: master.config.healthCheckTypes,
      inGroup: true,
    });
    if (problem !== null) return `Task '${task.task_id.value}' is invalid: ${problem}`;
    seen.add(task.task_id.value);
  }
  return (
    executorProblem(acceptance, executor) ?? sharedProblem(group) ?? containmentProblem(acceptance, group)
  );
}

function executorProblem({ framework, agent }: Acceptance, executor: ExecutorInfo): string | null {
  const id = executor.executor_id.value;
  if (executor.type === undefined) return "'ExecutorInfo.type' must be set";
  if (executor.type === 'CUSTOM') return 'The local Mesos does not do executors of the framework’s own';
  if ('command' in executor) return "'ExecutorInfo.command' must not be set for 'DEFAULT' executor";
  if (executor.container !== undefined && executor.container.type !== 'MESOS') {
    return "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor";
  }
  if ((executor.container?.network_infos ?? []).length > 0) {
    return 'The local Mesos does not do ExecutorInfo.container.network_infos';
  }
  const invalidId = idProblem(id);
  if (invalidId !== null) return invalidId;
  const owner = executor.framework_id?.value;
  if (owner === undefined) return "'ExecutorInfo.framework_id' must be set";
  if (owner !== framework.id) {
    return `ExecutorInfo has an invalid FrameworkID (Actual: ${owner} vs Expected: ${framework.id})`;
  }
  for (const resource of executor.resources) {
    const problem = resourceProblem(resource);
    if (problem !== null) return `Executor uses invalid resources: ${problem}`;
  }
  const running = agent.executors.get(executorKey(framework.id, id))?.executor;
  if (running !== undefined && !isSameExecutor(running, executor)) {
    return 'ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.';
  }
  return minimumProblem(id, executor.resources);
}

function isSameExecutor(left: ExecutorInfo, right: ExecutorInfo): boolean {
  const { resources: leftResources, ...leftRest } = left;
  const { resources: rightResources, ...rightRest } = right;
  const ordered = (value: object) =>
    JSON.stringify(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  return (
    ordered(leftRest) === ordered(rightRest) &&
    containsResources(leftResources, rightResources) &&
    containsResources(rightResources, leftResources)
  );
}

function minimumProblem(id: string, resources: Resources): string | null {
  const amount = (name: string) =>
    resources.some((resource) => resource.name === name) ? scalarMilli(resources, name) / 1000 : null;
  const cpus = amount('cpus');
  if (cpus === null || cpus < EXECUTOR_CPUS_MIN) {
    return `Executor '${id}' uses less CPUs (${cpus ?? 'None'}) than the minimum required (${EXECUTOR_CPUS_MIN})`;
  }
  const mem = amount('mem');
  if (mem === null || mem < EXECUTOR_MEM_MB_MIN) {
    const words = mem === null ? 'None' : `${mem}MB`;
    return `Executor '${id}' uses less memory (${words}) than the minimum required (${EXECUTOR_MEM_MB_MIN}MB)`;
  }
  return amount('disk') === null ? `Executor '${id}' uses no disk` : null;
}

/** A volume is one task's, and so is a port. */
function sharedProblem({ executor, tasks }: TaskGroup): string | null {
  const users = [executor.resources, ...tasks.map(({ resources }) => resources)];
  const volumes = users.flatMap((resources) =>
    volumesAmong(resources).map(({ disk }) => disk.persistence.id),
  );
  const repeated = volumes.find((id, index) => volumes.indexOf(id) !== index);
  if (repeated !== undefined) {
    return `Task group and executor use duplicate persistence ID: Persistence ID '${repeated}' is not unique`;
  }
  const ports = users.flatMap((resources) =>
    resources.filter(({ name }) => name === 'ports').flatMap(({ ranges }) => ranges?.range ?? []),
  );
  const overlaps = ports.some((range, index) =>
    ports.slice(index + 1).some((other) => range.begin <= other.end && other.begin <= range.end),
  );
  if (!overlaps) return null;
  return `There are overlapping resources in the task group's task resources and/or executor resources ${formatResources(executor.resources)}`;
}

function containmentProblem(acceptance: Acceptance, group: TaskGroup): string | null {
  const needed = neededBy(acceptance, group);
  if (containsResources(acceptance.remaining, needed)) return null;
  return (
    `Total resources ${formatResources(needed)} required by task group and its executor are more than available ` +
    formatResources(acceptance.remaining)
  );
}
