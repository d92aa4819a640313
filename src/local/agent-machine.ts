import type { Ids } from '../base/ports.ts';
import type { FrameworkInfo, KillPolicy, Resource, TaskInfo } from '../mesos/wire.ts';
import type { AgentCheckpoint, CheckpointedExecutor } from './agent-checkpoint.ts';
import { type AgentDrain, drainGraceMs, drainOutcome } from './agent-drain.ts';
import { type Task, toAgentTask } from './agent-task.ts';
import {
  type ContainerEvent,
  type ContainerSpec,
  type GroupSpec,
  nestedContainer,
  parentContainer,
} from './container-runtime.ts';
import type { Instant } from './instant.ts';
import { graceMs, graceOf, KILL_GRACE_MS_DEFAULT } from './kill-grace.ts';
import type {
  AgentDescription,
  AgentOperation,
  AgentTask,
  AgentToMaster,
  MasterToAgent,
} from './messages.ts';
import { applyToTotal, resourcesOf, volumesAmong } from './operations.ts';
import { parentPathsOf } from './parent-paths.ts';
import { mergeResources } from './resources.ts';
import { hasCapability, isTerminal, type Outcome, outcomeOf } from './task-status.ts';
import { statusOf } from './task-update.ts';
import { createUpdateQueue, UPDATE_RETRY_MS_MAX, UPDATE_RETRY_MS_MIN } from './update-queue.ts';
import { uuidToBase64 } from './uuid-bytes.ts';
import { volumePath } from './volume-path.ts';

export type { AgentCheckpoint } from './agent-checkpoint.ts';

/**
 * One agent of the local Mesos as a machine without I/O: it is told what happens and answers with what is to be
 * done, in order. Whoever drives it delivers messages, runs containers, keeps volumes and persists checkpoints.
 */
export interface AgentMachine {
  /** Takes one input; the outputs are to be carried out in their order. */
  handle(input: AgentInput, now: Instant): readonly AgentOutput[];
  /** Monotonic time at which a `tick` is due even if nothing happens; `null` when there is nothing to wait for. */
  nextWakeMs(): number | null;
  /** `null` until the master has given it one. */
  agentId(): string | null;
}

export interface AgentMachineOptions {
  readonly description: AgentDescription;
  /** Absolute; volumes live in `<workDirectory>/volumes/roles/<role>/<id>`. */
  readonly workDirectory: string;
  readonly ids: Ids;
  /** What an earlier process of this agent persisted last; `null` for an empty work directory. */
  readonly recovered: AgentCheckpoint | null;
  /**
   * Whether a task of a group finds directories of its executor's sandbox, volumes among them, in its own, as under
   * the isolator `volume/sandbox_path`. Default no, as with a Mesos agent.
   */
  readonly sandboxPathVolumes?: boolean;
}

export type AgentInput =
  /** The link to the master is up (first or again): it registers. */
  | { readonly kind: 'link-up' }
  | { readonly kind: 'link-down' }
  | { readonly kind: 'message'; readonly message: MasterToAgent }
  /** After a restart: containers that ended meanwhile are told by the same events. Repetitions are harmless. */
  | { readonly kind: 'container'; readonly containerId: string; readonly event: ContainerEvent }
  | { readonly kind: 'tick' }
  /** The operator ends this agent for good (SIGUSR1). */
  | { readonly kind: 'shutdown' };

export type AgentOutput =
  /** Must be durable before the outputs after it are carried out. */
  | { readonly kind: 'persist'; readonly checkpoint: AgentCheckpoint }
  | { readonly kind: 'send'; readonly message: AgentToMaster }
  | { readonly kind: 'launch'; readonly spec: ContainerSpec }
  | { readonly kind: 'launch-group'; readonly spec: GroupSpec }
  | { readonly kind: 'kill'; readonly containerId: string; readonly graceMs: number }
  | { readonly kind: 'destroy'; readonly containerId: string }
  /** A directory is to be at this absolute path: made if it is not there, left alone if it is. */
  | { readonly kind: 'create-volume'; readonly hostPath: string }
  /** The directory and all in it are to be removed. */
  | { readonly kind: 'remove-volume'; readonly hostPath: string }
  /** The agent's process ends; nothing is handled after it. */
  | { readonly kind: 'exit'; readonly message: string };

/** Milliseconds between two tries to register. */
const REGISTER_RETRY_MS = 1000;

interface PendingOperation {
  readonly outcome: AgentOperation;
  dueMs: number;
  retryMs: number;
}

export function createAgentMachine(options: AgentMachineOptions): AgentMachine {
  const { description, recovered, ids } = options;
  const tasks = new Map<string, Task>();
  const frameworks = new Map<string, FrameworkInfo>();
  const operations = new Map<string, PendingOperation>();
  const executors = new Map<string, CheckpointedExecutor>();
  let agentId = recovered?.agentId ?? null;
  let drain = recovered?.drain ?? null;
  let total = recovered?.totalResources ?? mergeResources(description.resources);
  let linked = false;
  let registered = false;
  let ended = false;
  let registerDueMs = 0;
  let pingTimeoutMs = Number.POSITIVE_INFINITY;
  let pingedMs = 0;
  /** Of the input that is being handled. */
  let outputs: AgentOutput[] = [];
  let changed = false;
  let now: Instant = { monotonicMs: 0, wallMs: 0 };
  restore();
  let volumesChecked = recovered === null;

  return {
    agentId: () => agentId,
    nextWakeMs: () => (ended || !linked ? null : nextWakeMs()),
    handle(input, instant) {
      if (ended) return [];
      now = instant;
      outputs = [];
      changed = false;
      if (!volumesChecked) for (const volume of volumesAmong(total)) makeVolume(volume);
      volumesChecked = true;
      take(input);
      if (drain !== null && tasks.size === 0 && operations.size === 0) endDrain();
      if (linked && registered) sendDue();
      return taken();
    },
  };

  function endDrain(): void {
    drain = null;
    changed = true;
  }

  /** What the input led to; what is to be remembered of it comes first. */
  function taken(): readonly AgentOutput[] {
    return changed ? [{ kind: 'persist', checkpoint: checkpoint() }, ...outputs] : outputs;
  }

  function take(input: AgentInput): void {
    switch (input.kind) {
      case 'link-up':
        linked = true;
        register();
        return;
      case 'link-down':
        linked = false;
        registered = false;
        return;
      case 'message':
        takeMessage(input.message);
        return;
      case 'container':
        takeContainerEvent(input.containerId, input.event);
        return;
      case 'tick':
        if (linked && now.monotonicMs >= registrationDueMs()) register();
        return;
      case 'shutdown':
        if (linked && agentId !== null) send({ kind: 'unregister', agentId });
        end('the agent was shut down');
    }
  }

  function takeMessage(message: MasterToAgent): void {
    switch (message.kind) {
      case 'registered':
      case 'reregistered':
        becomeRegistered(message);
        return;
      case 'reregister-asked':
        register();
        return;
      case 'ping':
        pingedMs = now.monotonicMs;
        send({ kind: 'pong' });
        return;
      case 'shutdown':
        end(message.message);
        return;
      case 'launch':
        launch(message.framework, message.role, message.task);
        return;
      case 'launch-group':
        launchGroup(message);
        return;
      case 'framework-updated':
        updateFramework(message.framework);
        return;
      case 'kill':
        kill(message.frameworkId, message.taskId, message.killPolicy);
        return;
      case 'acknowledge':
        acknowledge(message.frameworkId, message.taskId, message.uuid);
        return;
      case 'apply-operation':
        operate(message);
        return;
      case 'acknowledge-operation':
        changed = operations.delete(message.operationUuid) || changed;
        return;
      case 'drain':
        startDrain(message);
        return;
      case 'shutdown-framework':
        shutDownFramework(message.frameworkId);
    }
  }

  function register(): void {
    registered = false;
    registerDueMs = now.monotonicMs + REGISTER_RETRY_MS;
    if (agentId === null) {
      send({ kind: 'register', agent: description, totalResources: total });
      return;
    }
    send({
      kind: 'reregister',
      agentId,
      agent: description,
      totalResources: total,
      tasks: [...tasks.values()].map(toAgentTask),
      frameworks: [...frameworks.values()],
      executors: [...executors.values()].map(({ containerId: _, ...executor }) => executor),
      operations: [...operations.values()].map(({ outcome }) => outcome),
    });
  }

  function becomeRegistered(message: Extract<MasterToAgent, { kind: 'registered' | 'reregistered' }>): void {
    changed ||= agentId !== message.agentId;
    agentId = message.agentId;
    registered = true;
    pingTimeoutMs = message.pingTimeoutMs;
    pingedMs = now.monotonicMs;
    for (const task of tasks.values()) task.updates.resend();
    for (const operation of operations.values()) operation.dueMs = 0;
    if (message.kind === 'reregistered') for (const task of message.unknownTasks) dropUnknown(task);
  }

  /** The launch never arrived here: the master is told so, as its framework must be. */
  function dropUnknown({ frameworkId, role, task: info, executorId }: AgentTask): void {
    if (tasks.has(keyOf(frameworkId, info.task_id.value))) return;
    const task = addTask(frameworkId, role, info, executorId);
    update(task, {
      state: 'TASK_DROPPED',
      source: 'SOURCE_AGENT',
      reason: 'REASON_RECONCILIATION',
      message: 'Reconciliation: Task unknown to the agent',
    });
  }

  function launch(framework: FrameworkInfo, role: string, info: TaskInfo): void {
    const frameworkId = framework.id?.value ?? '';
    if (tasks.has(keyOf(frameworkId, info.task_id.value))) return;
    frameworks.set(frameworkId, framework);
    const task = addTask(frameworkId, role, info);
    if (drain !== null) {
      dropDraining(task);
      return;
    }
    outputs.push({ kind: 'launch', spec: { ...specOf(task), volumes: volumesOf(info) } });
  }

  function launchGroup(message: Extract<MasterToAgent, { kind: 'launch-group' }>): void {
    const { framework, role, executor: info } = message;
    const frameworkId = framework.id?.value ?? '';
    const executorId = info.executor_id.value;
    const infos = message.tasks.filter(({ task_id }) => !tasks.has(keyOf(frameworkId, task_id.value)));
    if (infos.length === 0) return;
    frameworks.set(frameworkId, framework);
    if (drain !== null) {
      for (const task of infos) dropDraining(addTask(frameworkId, role, task, executorId));
      return;
    }
    const key = keyOf(frameworkId, executorId);
    const executor = executors.get(key) ?? { frameworkId, role, executor: info, containerId: ids.uuid() };
    executors.set(key, executor);
    const group = infos.map((task) => addTask(frameworkId, role, task, executorId));
    outputs.push({
      kind: 'launch-group',
      spec: {
        containerId: executor.containerId,
        executorId,
        volumes: infos.flatMap(volumesOf),
        tasks: group.map((task) => ({
          ...specOf(task),
          parentPaths: options.sandboxPathVolumes === true ? parentPathsOf(task.info) : [],
        })),
      },
    });
  }

  function dropDraining(task: Task): void {
    update(task, {
      state: 'TASK_DROPPED',
      source: 'SOURCE_AGENT',
      reason: 'REASON_AGENT_DRAINING',
      message: 'Task was received while agent was already draining',
    });
  }

  /** All tasks are killed; what was told of that stays so until they are forgotten. */
  function startDrain({ maxGraceMs, markGone }: AgentDrain): void {
    if (tasks.size === 0 && operations.size === 0) return;
    drain = { maxGraceMs, markGone };
    changed = true;
    for (const task of tasks.values()) {
      if (!isTerminal(task.state))
        killWithin(task, drainGraceMs(drain, graceMs(task.info.kill_policy)) ?? KILL_GRACE_MS_DEFAULT);
    }
  }

  function specOf(task: Task): ContainerSpec {
    const { info, containerId } = task;
    return {
      containerId,
      taskId: info.task_id.value,
      command: info.command ?? {},
      healthCheck: info.health_check ?? null,
      ...(info.check === undefined ? {} : { check: info.check }),
      killGraceMs: graceOf(task.info),
      volumes: [],
    };
  }

  function volumesOf(info: TaskInfo): ContainerSpec['volumes'] {
    return volumesAmong(info.resources).map((resource) => ({
      containerPath: resource.disk.volume?.container_path ?? '',
      hostPath: volumePath(options.workDirectory, resource),
    }));
  }

  function addTask(frameworkId: string, role: string, info: TaskInfo, executorId?: string): Task {
    const executor = executorId === undefined ? undefined : executors.get(keyOf(frameworkId, executorId));
    const ownContainer = ids.uuid();
    const task: Task = {
      frameworkId,
      role,
      info,
      executorId: executorId ?? null,
      containerId:
        executor === undefined ? ownContainer : nestedContainer(executor.containerId, ownContainer),
      updates: createUpdateQueue([]),
      executorPid: null,
      state: 'TASK_STAGING',
      killedUnhealthy: false,
      latest: null,
    };
    tasks.set(keyOf(frameworkId, info.task_id.value), task);
    changed = true;
    return task;
  }

  function takeContainerEvent(containerId: string, event: ContainerEvent): void {
    if (event.kind === 'executor-ended') {
      takeExecutorEnd(containerId, event.status);
      return;
    }
    const task = [...tasks.values()].find((candidate) => candidate.containerId === containerId);
    if (task === undefined) return;
    if (event.kind === 'starting' || event.kind === 'running') task.executorPid = event.executorPid;
    if (task.executorId !== null && endsContainer(event)) task.executorPid = null;
    if (event.kind === 'killing' && event.becauseUnhealthy) task.killedUnhealthy = true;
    changed = true;
    const framework = frameworks.get(task.frameworkId);
    const tellsKilling = framework === undefined || hasCapability(framework, 'TASK_KILLING_STATE');
    const outcome = outcomeOf(event, { ...task, tellsKilling });
    if (outcome !== null) update(task, outcome);
  }

  /** What of its tasks has not ended by itself ends with it. */
  function takeExecutorEnd(containerId: string, status: number): void {
    const found = [...executors].find(([, executor]) => executor.containerId === containerId);
    if (found === undefined) return;
    const [key, { frameworkId, executor }] = found;
    const executorId = executor.executor_id.value;
    for (const task of tasks.values()) {
      if (parentContainer(task.containerId) !== containerId) continue;
      takeContainerEvent(task.containerId, { kind: 'executor-terminated' });
    }
    executors.delete(key);
    changed = true;
    send({ kind: 'executor-ended', frameworkId, executorId, status });
  }

  function update(task: Task, of: Outcome): void {
    const outcome = drain === null ? of : drainOutcome(drain, frameworks.get(task.frameworkId), of);
    const status = statusOf(task, outcome, {
      agentId: agentId ?? '',
      ip: description.ip,
      wallMs: now.wallMs,
      uuid: uuidToBase64(ids.uuid()),
    });
    task.state = outcome.state;
    task.latest = status;
    task.updates.add(status);
    changed = true;
  }

  function kill(frameworkId: string, taskId: string, policy: KillPolicy | null): void {
    const task = tasks.get(keyOf(frameworkId, taskId));
    if (task === undefined || isTerminal(task.state)) return;
    killWithin(task, graceMs(policy) ?? graceOf(task.info));
  }

  function killWithin({ containerId }: Task, graceMs: number): void {
    outputs.push({ kind: 'kill', containerId, graceMs });
  }

  function acknowledge(frameworkId: string, taskId: string, uuid: string): void {
    const key = keyOf(frameworkId, taskId);
    const task = tasks.get(key);
    const taken = task?.updates.acknowledge(uuid);
    if (task === undefined || taken === null || taken === undefined) return;
    changed = true;
    if (isTerminal(taken.state)) forget(key);
  }

  function forget(key: string): void {
    const frameworkId = tasks.get(key)?.frameworkId;
    tasks.delete(key);
    changed = true;
    if (frameworkId === undefined) return;
    if (![...tasks.values()].some((task) => task.frameworkId === frameworkId)) frameworks.delete(frameworkId);
  }

  function updateFramework(framework: FrameworkInfo): void {
    const frameworkId = framework.id?.value ?? '';
    if (!frameworks.has(frameworkId)) return;
    frameworks.set(frameworkId, framework);
    changed = true;
    for (const task of tasks.values()) if (task.frameworkId === frameworkId) task.updates.resend();
    for (const operation of operations.values()) {
      if (operation.outcome.frameworkId === frameworkId) operation.dueMs = 0;
    }
  }

  function shutDownFramework(frameworkId: string): void {
    for (const [key, task] of tasks) {
      if (task.frameworkId !== frameworkId) continue;
      if (!isTerminal(task.state)) destroy(task);
      forget(key);
    }
    for (const [key, executor] of executors) {
      if (executor.frameworkId !== frameworkId) continue;
      outputs.push({ kind: 'destroy', containerId: executor.containerId });
      changed = executors.delete(key) || changed;
    }
    for (const [uuid, { outcome }] of operations) {
      if (outcome.frameworkId === frameworkId) changed = operations.delete(uuid) || changed;
    }
  }

  function operate(message: Extract<MasterToAgent, { kind: 'apply-operation' }>): void {
    const { frameworkId, operationUuid, operation } = message;
    if (operations.has(operationUuid)) return;
    const result = applyToTotal(total, operation);
    const problem = 'problem' in result ? result.problem : null;
    if ('resources' in result) total = result.resources;
    const state = problem === null ? 'OPERATION_FINISHED' : 'OPERATION_FAILED';
    const statusUuid = uuidToBase64(ids.uuid());
    operations.set(operationUuid, {
      outcome: { frameworkId, operationUuid, operation, state, message: problem, statusUuid },
      dueMs: 0,
      retryMs: UPDATE_RETRY_MS_MIN,
    });
    changed = true;
    if (problem !== null) {
      // The master holds it for done: what this agent really has puts it right.
      register();
      return;
    }
    if (operation.type === 'CREATE')
      for (const volume of volumesAmong(resourcesOf(operation))) makeVolume(volume);
    if (operation.type !== 'DESTROY') return;
    for (const volume of volumesAmong(resourcesOf(operation))) {
      outputs.push({ kind: 'remove-volume', hostPath: volumePath(options.workDirectory, volume) });
    }
  }

  function makeVolume(volume: Resource): void {
    outputs.push({ kind: 'create-volume', hostPath: volumePath(options.workDirectory, volume) });
  }

  /** Its tasks end with it; reservations and volumes stay for an agent that is started here later. */
  function end(message: string): void {
    for (const task of tasks.values()) {
      if (!isTerminal(task.state)) destroy(task);
    }
    for (const { containerId } of executors.values()) outputs.push({ kind: 'destroy', containerId });
    executors.clear();
    tasks.clear();
    frameworks.clear();
    operations.clear();
    agentId = null;
    changed = true;
    ended = true;
    outputs.push({ kind: 'exit', message });
  }

  /** A task of a group goes with its executor. */
  function destroy({ containerId, executorId }: Task): void {
    if (executorId === null) outputs.push({ kind: 'destroy', containerId });
  }

  function sendDue(): void {
    for (const task of tasks.values()) {
      const status = task.updates.takeDue(now.monotonicMs);
      if (status === null) continue;
      send({ kind: 'update', frameworkId: task.frameworkId, status, latestState: task.state });
    }
    for (const operation of operations.values()) {
      if (now.monotonicMs < operation.dueMs) continue;
      operation.dueMs = now.monotonicMs + operation.retryMs;
      operation.retryMs = Math.min(UPDATE_RETRY_MS_MAX, operation.retryMs * 2);
      send({ kind: 'operation-update', operation: operation.outcome });
    }
  }

  function send(message: AgentToMaster): void {
    if (linked) outputs.push({ kind: 'send', message });
  }

  function registrationDueMs(): number {
    return registered ? pingedMs + pingTimeoutMs : registerDueMs;
  }

  function nextWakeMs(): number {
    const due = [registrationDueMs()];
    if (registered) {
      for (const task of tasks.values()) due.push(task.updates.dueMs() ?? Number.POSITIVE_INFINITY);
      for (const operation of operations.values()) due.push(operation.dueMs);
    }
    return Math.max(0, Math.min(...due));
  }

  function checkpoint(): AgentCheckpoint {
    return {
      schemaVersion: 1,
      agentId,
      totalResources: total,
      ...(drain === null ? {} : { drain }),
      tasks: [...tasks.values()].map((task) => ({
        frameworkId: task.frameworkId,
        role: task.role,
        task: task.info,
        ...(task.executorId === null ? {} : { executorId: task.executorId }),
        containerId: task.containerId,
        executorPid: task.executorPid,
        state: task.state,
        killedUnhealthy: task.killedUnhealthy,
        pending: [...task.updates.pending()],
        latest: task.latest,
      })),
      frameworks: [...frameworks.values()],
      operations: [...operations.values()].map(({ outcome }) => outcome),
      executors: [...executors.values()],
    };
  }

  function restore(): void {
    for (const { task: info, executorId = null, pending, ...saved } of recovered?.tasks ?? []) {
      const updates = createUpdateQueue(pending);
      tasks.set(keyOf(saved.frameworkId, info.task_id.value), { ...saved, info, executorId, updates });
    }
    for (const executor of recovered?.executors ?? []) {
      executors.set(keyOf(executor.frameworkId, executor.executor.executor_id.value), executor);
    }
    for (const framework of recovered?.frameworks ?? []) frameworks.set(framework.id?.value ?? '', framework);
    for (const outcome of recovered?.operations ?? []) {
      operations.set(outcome.operationUuid, { outcome, dueMs: 0, retryMs: UPDATE_RETRY_MS_MIN });
    }
  }
}

function keyOf(frameworkId: string, taskId: string): string {
  return `${frameworkId} ${taskId}`;
}

function endsContainer(event: ContainerEvent): boolean {
  return event.kind === 'exited' || (event.kind === 'killing' && event.containerIsGone === true);
}
