import type { FrameworkInfo, TaskState, TaskStatus } from '../mesos/wire.ts';
import type { ContainerEvent } from './container-runtime.ts';

const TERMINAL: ReadonlySet<TaskState> = new Set([
  'TASK_FINISHED',
  'TASK_FAILED',
  'TASK_KILLED',
  'TASK_ERROR',
  'TASK_LOST',
  'TASK_DROPPED',
  'TASK_GONE',
  'TASK_GONE_BY_OPERATOR',
]);

/** Whether a task in this state will never run again. */
export function isTerminal(state: TaskState): boolean {
  return TERMINAL.has(state);
}

export function hasCapability(framework: FrameworkInfo, type: string): boolean {
  return framework.capabilities?.some((capability) => capability.type === type) ?? false;
}

/** What of an update follows from the event that caused it. */
export type Outcome = Pick<
  TaskStatus,
  'state' | 'source' | 'reason' | 'message' | 'healthy' | 'check_status'
>;

/** A task's state as far as the next event's meaning depends on it. */
export interface TaskProgress {
  readonly state: TaskState;
  /** Its health check has ended it. */
  readonly killedUnhealthy: boolean;
  /** Its framework wants to hear of TASK_KILLING. */
  readonly tellsKilling: boolean;
}

/**
 * The update that a container's event means for its task; `null` where it says nothing new, as every repetition
 * does. States, sources, reasons and words are those of the recordings.
 */
export function outcomeOf(event: ContainerEvent, task: TaskProgress): Outcome | null {
  if (isTerminal(task.state)) return null;
  switch (event.kind) {
    case 'starting':
      return task.state === 'TASK_STAGING' ? { state: 'TASK_STARTING', source: 'SOURCE_EXECUTOR' } : null;
    case 'running':
      return task.state === 'TASK_STAGING' || task.state === 'TASK_STARTING'
        ? { state: 'TASK_RUNNING', source: 'SOURCE_EXECUTOR' }
        : null;
    case 'health':
      if (task.state !== 'TASK_RUNNING') return null;
      return {
        state: 'TASK_RUNNING',
        source: 'SOURCE_EXECUTOR',
        reason: 'REASON_TASK_HEALTH_CHECK_STATUS_UPDATED',
        healthy: event.healthy,
      };
    case 'check':
      if (task.state !== 'TASK_RUNNING') return null;
      return {
        state: 'TASK_RUNNING',
        source: 'SOURCE_EXECUTOR',
        reason: 'REASON_TASK_CHECK_STATUS_UPDATED',
        check_status: event.status,
      };
    case 'killing':
      if (task.state === 'TASK_KILLING' || !task.tellsKilling) return null;
      return { state: 'TASK_KILLING', source: 'SOURCE_EXECUTOR' };
    case 'exited':
      return exitOutcome(event, task);
    case 'fetch-failed':
      return {
        state: 'TASK_FAILED',
        source: 'SOURCE_AGENT',
        reason: 'REASON_CONTAINER_LAUNCH_FAILED',
        message: event.message,
      };
    case 'executor-terminated':
      return {
        state: 'TASK_FAILED',
        source: 'SOURCE_AGENT',
        reason: 'REASON_EXECUTOR_TERMINATED',
        message: 'Executor terminated',
      };
    case 'executor-ended':
      return null;
  }
}

function exitOutcome(event: Extract<ContainerEvent, { kind: 'exited' }>, task: TaskProgress): Outcome {
  if (task.state === 'TASK_STAGING' && event.killed) {
    return {
      state: 'TASK_KILLED',
      source: 'SOURCE_AGENT',
      reason: 'REASON_TASK_KILLED_DURING_LAUNCH',
      message: 'Killed before delivery to the executor',
    };
  }
  const message =
    event.signal === null
      ? `Command exited with status ${event.code ?? 0}`
      : `Command terminated with signal ${SIGNAL_WORDS[event.signal] ?? event.signal}`;
  if (event.killed) {
    const unhealthy = task.killedUnhealthy ? { healthy: false } : {};
    return { state: 'TASK_KILLED', source: 'SOURCE_EXECUTOR', message, ...unhealthy };
  }
  const finished = event.signal === null && event.code === 0;
  return { state: finished ? 'TASK_FINISHED' : 'TASK_FAILED', source: 'SOURCE_EXECUTOR', message };
}

/** What `strsignal` of the C library calls them. */
const SIGNAL_WORDS: Readonly<Record<string, string>> = {
  SIGHUP: 'Hangup',
  SIGINT: 'Interrupt',
  SIGQUIT: 'Quit',
  SIGILL: 'Illegal instruction',
  SIGTRAP: 'Trace/breakpoint trap',
  SIGABRT: 'Aborted',
  SIGBUS: 'Bus error',
  SIGFPE: 'Floating point exception',
  SIGKILL: 'Killed',
  SIGUSR1: 'User defined signal 1',
  SIGSEGV: 'Segmentation fault',
  SIGUSR2: 'User defined signal 2',
  SIGPIPE: 'Broken pipe',
  SIGALRM: 'Alarm clock',
  SIGTERM: 'Terminated',
  SIGXCPU: 'CPU time limit exceeded',
  SIGXFSZ: 'File size limit exceeded',
};
