import type {
  Attribute,
  DomainInfo,
  ExecutorInfo,
  FrameworkInfo,
  KillPolicy,
  Resource,
  TaskInfo,
  TaskStatus,
} from '../mesos/wire.ts';
import type { ResourceOperation } from './operations.ts';

/**
 * What master and agents of the local Mesos say to each other: JSON values, delivered in order on a link or not
 * at all. The real thing has many more; these are what the recorded behaviour needs.
 */
export type AgentToMaster =
  /** A new agent: it has no id yet. */
  | {
      readonly kind: 'register';
      readonly agent: AgentDescription;
      /** An agent that was shut down for good leaves its reservations and volumes to the next one there. */
      readonly totalResources: readonly Resource[];
    }
  /** An agent that was registered before (its link or its process or the master was away). */
  | {
      readonly kind: 'reregister';
      readonly agentId: string;
      readonly agent: AgentDescription;
      /** All resources of the agent as its dynamic reservations and volumes have shaped them. */
      readonly totalResources: readonly Resource[];
      /** Every task whose terminal update was not acknowledged yet. */
      readonly tasks: readonly AgentTask[];
      /** Who these tasks belong to: a master that was restarted does not know. `id` is set. */
      readonly frameworks: readonly FrameworkInfo[];
      /** Executors that run. */
      readonly executors: readonly AgentExecutor[];
      /** Operations whose outcome was not acknowledged yet. */
      readonly operations: readonly AgentOperation[];
    }
  /** The agent ends for good (SIGUSR1): its tasks are killed. */
  | { readonly kind: 'unregister'; readonly agentId: string }
  | { readonly kind: 'pong' }
  /** A task update that needs an acknowledgement; sent again until that comes. */
  | {
      readonly kind: 'update';
      readonly frameworkId: string;
      readonly status: TaskStatus;
      /** The newest state that the agent knows, which frees resources even while earlier updates wait. */
      readonly latestState: TaskStatus['state'];
    }
  /** An executor of task groups has ended, as its process's wait status tells; 0 when its last task was over. */
  | {
      readonly kind: 'executor-ended';
      readonly frameworkId: string;
      readonly executorId: string;
      readonly status: number;
    }
  /** The outcome of an operation; sent again until it is acknowledged when it carries an operation id. */
  | { readonly kind: 'operation-update'; readonly operation: AgentOperation };

export type MasterToAgent =
  | {
      readonly kind: 'registered';
      readonly agentId: string;
      /** Without a ping for this long the agent takes it that the master has lost it, and registers again. */
      readonly pingTimeoutMs: number;
    }
  | {
      readonly kind: 'reregistered';
      readonly agentId: string;
      readonly pingTimeoutMs: number;
      /** Tasks that were launched here, as far as the master knows, and that the agent did not name. */
      readonly unknownTasks: readonly AgentTask[];
    }
  /** The master knows no agent on this link, but one speaks: it is to register again. */
  | { readonly kind: 'reregister-asked' }
  | { readonly kind: 'ping' }
  /** The master does not want this agent (marked gone): it ends and its tasks with it. */
  | { readonly kind: 'shutdown'; readonly message: string }
  | {
      readonly kind: 'launch';
      /** `id` is set. */
      readonly framework: FrameworkInfo;
      readonly role: string;
      readonly task: TaskInfo;
    }
  /** Tasks that live and die together, under an executor that is started for them or runs already. */
  | {
      readonly kind: 'launch-group';
      readonly framework: FrameworkInfo;
      readonly role: string;
      readonly executor: ExecutorInfo;
      readonly tasks: readonly TaskInfo[];
    }
  /** A scheduler has subscribed again: what it has not acknowledged is to be sent again at once. */
  | { readonly kind: 'framework-updated'; readonly framework: FrameworkInfo }
  | {
      readonly kind: 'kill';
      readonly frameworkId: string;
      readonly taskId: string;
      readonly killPolicy: KillPolicy | null;
    }
  | {
      readonly kind: 'acknowledge';
      readonly frameworkId: string;
      readonly taskId: string;
      readonly uuid: string;
    }
  | {
      readonly kind: 'apply-operation';
      readonly frameworkId: string;
      /** The master's name for it; the framework's own, if any, is in `operation.id`. */
      readonly operationUuid: string;
      readonly operation: ResourceOperation;
    }
  | { readonly kind: 'acknowledge-operation'; readonly operationUuid: string }
  /** Kill all tasks: the operator wants the agent for itself. Repetitions are harmless. */
  | {
      readonly kind: 'drain';
      /** No task gets more from SIGTERM to SIGKILL; `null`: each has its own. */
      readonly maxGraceMs: number | null;
      /** The agent is for ever gone afterwards. */
      readonly markGone: boolean;
    }
  /** The framework is gone for good: kill what it runs. */
  | { readonly kind: 'shutdown-framework'; readonly frameworkId: string };

/** An agent as its operator configured it. */
export interface AgentDescription {
  readonly hostname: string;
  readonly ip: string;
  readonly port: number;
  /** As configured: unreserved, statically reserved, MOUNT disks. */
  readonly resources: readonly Resource[];
  readonly attributes: readonly Attribute[];
  readonly domain: DomainInfo | null;
}

export interface AgentTask {
  readonly frameworkId: string;
  readonly role: string;
  readonly task: TaskInfo;
  /** Of the executor that its group was launched under; absent for a command task. */
  readonly executorId?: string;
  /** The newest update of the task, `null` while it is staging. */
  readonly status: TaskStatus | null;
  /** TASK_STAGING or that of the newest update. */
  readonly state: TaskStatus['state'];
}

/** An executor of task groups. */
export interface AgentExecutor {
  readonly frameworkId: string;
  readonly role: string;
  readonly executor: ExecutorInfo;
}

export interface AgentOperation {
  readonly frameworkId: string;
  readonly operationUuid: string;
  readonly operation: ResourceOperation;
  readonly state: 'OPERATION_FINISHED' | 'OPERATION_FAILED';
  readonly message: string | null;
  /** Base64, as task updates have: names this update. */
  readonly statusUuid: string;
}
