import { CodedError } from '../base/errors.ts';
import type { FrameworkInfo } from '../mesos/wire.ts';
import type { Spec } from '../reconcile/observation.ts';
import type { PlacementRules } from './placement-rules.ts';

/** What a scheduler is told once, at its start. Parsed and checked by the options' schema; nothing here secret. */
export interface SchedulerConfig {
  readonly framework: FrameworkConfig;
  /** Milliseconds to look for a master that accepts the first subscription; 0 looks for ever. */
  readonly masterTimeoutMs: number;
  readonly placement: PlacementRules;
  readonly storage: StorageConfig;
  readonly ports: FixedPorts;
  readonly spec: Spec;
  readonly artifact: Artifact;
  readonly bootstrap: BootstrapMode;
  /** The service is to be given up; `null`: it is not. */
  readonly uninstall: { readonly destroyData: boolean } | null;
}

export interface FrameworkConfig {
  /** Names the framework, its reservations and its adoption: one cluster has one name. */
  readonly name: string;
  /** Operating system user of the tasks. */
  readonly user: string;
  readonly role: string;
  /**
   * A role above {@link role}: members are placed only where something is reserved for it, and that is refined.
   * `null`: anywhere.
   */
  readonly preReservedRole: string | null;
  readonly principal?: string;
  /** Milliseconds that Mesos keeps the members alive without a scheduler. */
  readonly failoverTimeoutMs: number;
  readonly webuiUrl?: string;
  readonly hostname?: string;
}

export interface MemberResources {
  readonly cpus: number;
  readonly memMb: number;
  readonly diskMb: number;
}

/** Where the data of a member lies. */
export interface StorageConfig {
  /** `sandbox`: nothing is reserved, and the data ends with the task. */
  readonly kind: 'persistent' | 'sandbox';
  /** `mount`: a disk of its own, which Mesos gives whole. */
  readonly diskType: 'root' | 'mount';
  /** A volume of its own for etcd's log; `null`: the log lies beside the database. */
  readonly wal: { readonly diskMb: number; readonly diskType: 'root' | 'mount' } | null;
}

/** Ports that every member has; `null`: any that is offered. */
export interface FixedPorts {
  readonly peer: number | null;
  readonly client: number | null;
  readonly supervisor: number | null;
}

/** How the code of a member comes to its agent. */
export type Artifact =
  /** A tar archive with `etcd-mesos/` (Node, our code, etcd), fetched and checked before anything in it runs. */
  | { readonly kind: 'uri'; readonly uri: string; readonly sha256: string }
  /** A checkout on the agent's own disk: for agents on this machine. Absolute paths. */
  | { readonly kind: 'checkout'; readonly node: string; readonly entry: string; readonly etcdBinary: string };

/**
 * What to do without a stored record. `auto` believes a first start only where nothing of ours is found and
 * adopts what is; `adopt` insists on finding something; `new` is the operator's word to ignore what is there.
 */
export type BootstrapMode = 'auto' | 'adopt' | 'new';

/** What the scheduler registers as; `id` is the connection's business. */
export function frameworkInfoOf(config: FrameworkConfig): FrameworkInfo {
  return {
    user: config.user,
    name: config.name,
    roles: [config.role],
    failover_timeout: config.failoverTimeoutMs / 1000,
    checkpoint: true,
    capabilities: CAPABILITIES.map((type) => ({ type })),
    ...(config.principal === undefined ? {} : { principal: config.principal }),
    ...(config.webuiUrl === undefined ? {} : { webui_url: config.webuiUrl.replace(/\/+$/, '') }),
    ...(config.hostname === undefined ? {} : { hostname: config.hostname }),
  };
}

const CAPABILITIES = [
  'MULTI_ROLE',
  'PARTITION_AWARE',
  'TASK_KILLING_STATE',
  'RESERVATION_REFINEMENT',
  'REGION_AWARE',
] as const;

/** What ends a scheduler for good: running it again as it is would end the same way. */
export class SchedulerError extends CodedError<
  /** Another scheduler has written the record. */
  | 'record-conflict'
  /** The record belongs to another framework name. */
  | 'wrong-record'
  /** An option that may not change while there are members has. */
  | 'option-frozen'
  /** No record, and what was found in Mesos contradicts a first start and cannot be adopted. */
  | 'not-a-first-start'
  /** `adopt` was asked for and there is nothing to adopt. */
  | 'nothing-to-adopt'
  /** Another scheduler of that name is connected. */
  | 'already-running'
  /** No master has accepted a subscription in time. */
  | 'no-master'
  /** An operator's command could not be stored in time. */
  | 'command-not-stored'
> {}
