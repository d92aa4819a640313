import type { Ids } from '../base/ports.ts';
import type { Resource, TaskInfo, TaskStatus } from '../mesos/wire.ts';
import type { ContainerEvent, ContainerSpec } from './container-runtime.ts';
import type { Instant } from './instant.ts';
import type { AgentDescription, AgentOperation, AgentToMaster, MasterToAgent } from './messages.ts';

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
  | { readonly kind: 'kill'; readonly containerId: string; readonly graceMs: number }
  | { readonly kind: 'destroy'; readonly containerId: string }
  /** An empty directory is to be made at this absolute path. */
  | { readonly kind: 'create-volume'; readonly hostPath: string }
  /** The directory and all in it are to be removed. */
  | { readonly kind: 'remove-volume'; readonly hostPath: string }
  /** The agent's process ends; nothing is handled after it. */
  | { readonly kind: 'exit'; readonly message: string };

/** All that an agent must remember: plain JSON. */
export interface AgentCheckpoint {
  readonly schemaVersion: 1;
  readonly agentId: string | null;
  /** As reservations and volumes have shaped them. */
  readonly totalResources: readonly Resource[];
  readonly tasks: readonly CheckpointedTask[];
  readonly operations: readonly AgentOperation[];
}

export interface CheckpointedTask {
  readonly frameworkId: string;
  readonly role: string;
  readonly task: TaskInfo;
  readonly containerId: string;
  readonly executorPid: number | null;
  readonly state: TaskStatus['state'];
  readonly healthy: boolean | null;
  /** Updates not acknowledged yet, oldest first: only the first is on its way, the others wait. */
  readonly pending: readonly TaskStatus[];
  /** The newest update that was made, acknowledged or not. */
  readonly latest: TaskStatus | null;
}

export declare function createAgentMachine(options: AgentMachineOptions): AgentMachine;
