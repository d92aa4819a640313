/**
 * The part of the Mesos v1 API (scheduler and operator, JSON) that this project speaks. Field names are the
 * protobuf's; see `include/mesos/v1/{mesos,scheduler/scheduler,master/master}.proto` of Mesos 1.9 and later.
 * Whatever else a master sends is kept out of these types and tolerated.
 */

export interface Value {
  readonly value: string;
}

export interface Label {
  readonly key: string;
  readonly value?: string;
}
export interface Labels {
  readonly labels: readonly Label[];
}

export interface Range {
  readonly begin: number;
  readonly end: number;
}

export interface ReservationInfo {
  readonly type: 'STATIC' | 'DYNAMIC';
  readonly role: string;
  readonly principal?: string;
  readonly labels?: Labels;
}

export interface DiskInfo {
  readonly persistence?: { readonly id: string; readonly principal?: string };
  readonly volume?: {
    readonly mode: 'RW' | 'RO';
    readonly container_path: string;
    readonly host_path?: string;
  };
  readonly source?: {
    readonly type: string;
    readonly mount?: { readonly root?: string };
    readonly path?: { readonly root?: string };
    readonly id?: string;
    readonly profile?: string;
  };
}

export interface Resource {
  readonly name: string;
  readonly type: 'SCALAR' | 'RANGES' | 'SET';
  readonly scalar?: { readonly value: number };
  readonly ranges?: { readonly range: readonly Range[] };
  readonly set?: { readonly item: readonly string[] };
  readonly allocation_info?: { readonly role: string };
  readonly reservations?: readonly ReservationInfo[];
  readonly disk?: DiskInfo;
  /** Of a resource provider (CSI); absent on what is the agent's own. */
  readonly provider_id?: Value;
}

export interface Attribute {
  readonly name: string;
  readonly type: 'SCALAR' | 'RANGES' | 'SET' | 'TEXT';
  readonly scalar?: { readonly value: number };
  readonly ranges?: { readonly range: readonly Range[] };
  readonly set?: { readonly item: readonly string[] };
  readonly text?: { readonly value: string };
}

export interface DomainInfo {
  readonly fault_domain?: {
    readonly region: { readonly name: string };
    readonly zone: { readonly name: string };
  };
}

export interface Offer {
  readonly id: Value;
  readonly framework_id: Value;
  readonly agent_id: Value;
  readonly hostname: string;
  readonly url?: {
    readonly scheme: string;
    readonly address: { readonly hostname?: string; readonly ip?: string; readonly port: number };
    readonly path?: string;
  };
  readonly resources: readonly Resource[];
  readonly attributes?: readonly Attribute[];
  readonly domain?: DomainInfo;
  readonly allocation_info?: { readonly role: string };
  readonly executor_ids?: readonly Value[];
  readonly unavailability?: {
    readonly start: { readonly nanoseconds: number };
    readonly duration?: { readonly nanoseconds: number };
  };
}

export const TASK_STATES = [
  'TASK_STAGING',
  'TASK_STARTING',
  'TASK_RUNNING',
  'TASK_KILLING',
  'TASK_FINISHED',
  'TASK_FAILED',
  'TASK_KILLED',
  'TASK_ERROR',
  'TASK_LOST',
  'TASK_DROPPED',
  'TASK_UNREACHABLE',
  'TASK_GONE',
  'TASK_GONE_BY_OPERATOR',
  'TASK_UNKNOWN',
] as const;
export type TaskState = (typeof TASK_STATES)[number];

export interface TaskStatus {
  readonly task_id: Value;
  readonly state: TaskState;
  readonly source?: 'SOURCE_MASTER' | 'SOURCE_AGENT' | 'SOURCE_EXECUTOR';
  readonly reason?: string;
  readonly message?: string;
  readonly agent_id?: Value;
  readonly executor_id?: Value;
  /** Seconds since 1970. */
  readonly timestamp?: number;
  /** Base64; present where the update must be acknowledged. */
  readonly uuid?: string;
  readonly healthy?: boolean;
  readonly labels?: Labels;
  readonly check_status?: CheckStatusInfo;
  readonly container_status?: unknown;
}

/** A status as a master sends it, which may be newer than we are: states that are not known are let through. */
export type ReceivedTaskStatus = Omit<TaskStatus, 'state' | 'source'> & {
  readonly state: string;
  readonly source?: string;
};

export interface CommandUri {
  readonly value: string;
  readonly executable?: boolean;
  readonly extract?: boolean;
  readonly cache?: boolean;
  readonly output_file?: string;
}
export interface CommandInfo {
  readonly shell?: boolean;
  readonly value?: string;
  readonly arguments?: readonly string[];
  readonly uris?: readonly CommandUri[];
  readonly user?: string;
  readonly environment?: {
    readonly variables: readonly { readonly name: string; readonly value: string; readonly type?: 'VALUE' }[];
  };
}

export interface HealthCheck {
  readonly type: 'TCP' | 'HTTP' | 'COMMAND';
  readonly tcp?: { readonly port: number };
  readonly http?: {
    readonly scheme?: string;
    readonly port: number;
    readonly path?: string;
    readonly statuses?: readonly number[];
  };
  readonly command?: CommandInfo;
  readonly delay_seconds?: number;
  readonly interval_seconds?: number;
  readonly timeout_seconds?: number;
  readonly consecutive_failures?: number;
  readonly grace_period_seconds?: number;
}

/** A check whose outcome is told and changes nothing else. */
export interface CheckInfo {
  readonly type: 'TCP' | 'HTTP' | 'COMMAND';
  readonly tcp?: { readonly port: number };
  readonly http?: { readonly port: number; readonly path?: string };
  readonly command?: { readonly command: CommandInfo };
  readonly delay_seconds?: number;
  readonly interval_seconds?: number;
  readonly timeout_seconds?: number;
}

/** The field of the check's type is there and empty while there is no outcome. */
export interface CheckStatusInfo {
  readonly type: CheckInfo['type'];
  readonly tcp?: { readonly succeeded?: boolean };
  readonly http?: { readonly status_code?: number };
  readonly command?: { readonly exit_code?: number };
}

export interface KillPolicy {
  readonly grace_period?: { readonly nanoseconds: number };
}

export interface DiscoveryInfo {
  readonly visibility: 'FRAMEWORK' | 'CLUSTER' | 'EXTERNAL';
  readonly name?: string;
  readonly ports?: {
    readonly ports: readonly {
      readonly number: number;
      readonly name?: string;
      readonly protocol?: string;
      readonly visibility?: string;
      readonly labels?: Labels;
    }[];
  };
}

export interface TaskInfo {
  readonly name: string;
  readonly task_id: Value;
  readonly agent_id: Value;
  readonly resources: readonly Resource[];
  readonly command?: CommandInfo;
  readonly health_check?: HealthCheck;
  readonly check?: CheckInfo;
  readonly kill_policy?: KillPolicy;
  readonly labels?: Labels;
  readonly discovery?: DiscoveryInfo;
  readonly container?: ContainerInfo;
}

export interface ContainerInfo {
  readonly type: 'MESOS' | 'DOCKER';
  readonly volumes?: readonly {
    readonly mode: 'RW' | 'RO';
    readonly container_path: string;
    readonly source?: {
      readonly type: string;
      readonly sandbox_path?: { readonly type: 'PARENT' | 'SELF'; readonly path: string };
    };
  }[];
  readonly network_infos?: readonly unknown[];
}

/** What task groups run under; groups with the same one share it. */
export interface ExecutorInfo {
  readonly type?: 'DEFAULT' | 'CUSTOM';
  readonly executor_id: Value;
  readonly framework_id?: Value;
  readonly resources: readonly Resource[];
  readonly container?: ContainerInfo;
}

export interface FrameworkInfo {
  readonly user: string;
  readonly name: string;
  readonly id?: Value;
  readonly roles: readonly string[];
  readonly principal?: string;
  /** Seconds. */
  readonly failover_timeout?: number;
  readonly checkpoint?: boolean;
  readonly webui_url?: string;
  readonly hostname?: string;
  readonly capabilities?: readonly { readonly type: string }[];
  readonly labels?: Labels;
}

export type Operation =
  | {
      readonly type: 'RESERVE';
      readonly id?: Value;
      readonly reserve: { readonly resources: readonly Resource[] };
    }
  | {
      readonly type: 'UNRESERVE';
      readonly id?: Value;
      readonly unreserve: { readonly resources: readonly Resource[] };
    }
  | {
      readonly type: 'CREATE';
      readonly id?: Value;
      readonly create: { readonly volumes: readonly Resource[] };
    }
  | {
      readonly type: 'DESTROY';
      readonly id?: Value;
      readonly destroy: { readonly volumes: readonly Resource[] };
    }
  | { readonly type: 'LAUNCH'; readonly launch: { readonly task_infos: readonly TaskInfo[] } }
  | {
      readonly type: 'LAUNCH_GROUP';
      readonly launch_group: {
        readonly executor: ExecutorInfo;
        readonly task_group: { readonly tasks: readonly TaskInfo[] };
      };
    };

export interface Filters {
  readonly refuse_seconds?: number;
}

/** Calls other than SUBSCRIBE; the connection adds `framework_id`. */
export type Call =
  | { readonly type: 'TEARDOWN' }
  | {
      readonly type: 'ACCEPT';
      readonly accept: {
        readonly offer_ids: readonly Value[];
        readonly operations: readonly Operation[];
        readonly filters?: Filters;
      };
    }
  | {
      readonly type: 'DECLINE';
      readonly decline: { readonly offer_ids: readonly Value[]; readonly filters?: Filters };
    }
  | { readonly type: 'REVIVE'; readonly revive?: { readonly roles?: readonly string[] } }
  | { readonly type: 'SUPPRESS'; readonly suppress?: { readonly roles?: readonly string[] } }
  | {
      readonly type: 'KILL';
      readonly kill: {
        readonly task_id: Value;
        readonly agent_id?: Value;
        readonly kill_policy?: KillPolicy;
      };
    }
  | {
      readonly type: 'ACKNOWLEDGE';
      readonly acknowledge: { readonly agent_id: Value; readonly task_id: Value; readonly uuid: string };
    }
  | {
      readonly type: 'ACKNOWLEDGE_OPERATION_STATUS';
      readonly acknowledge_operation_status: {
        readonly agent_id?: Value;
        readonly resource_provider_id?: Value;
        readonly uuid: string;
        readonly operation_id: Value;
      };
    }
  | {
      readonly type: 'RECONCILE';
      readonly reconcile: {
        readonly tasks: readonly { readonly task_id: Value; readonly agent_id?: Value }[];
      };
    }
  | {
      readonly type: 'RECONCILE_OPERATIONS';
      readonly reconcile_operations: {
        readonly operations: readonly { readonly operation_id: Value; readonly agent_id?: Value }[];
      };
    }
  | {
      readonly type: 'ACCEPT_INVERSE_OFFERS';
      readonly accept_inverse_offers: {
        readonly inverse_offer_ids: readonly Value[];
        readonly filters?: Filters;
      };
    }
  | {
      readonly type: 'DECLINE_INVERSE_OFFERS';
      readonly decline_inverse_offers: {
        readonly inverse_offer_ids: readonly Value[];
        readonly filters?: Filters;
      };
    }
  | {
      readonly type: 'SHUTDOWN';
      readonly shutdown: { readonly executor_id: Value; readonly agent_id: Value };
    }
  | {
      readonly type: 'UPDATE_FRAMEWORK';
      readonly update_framework: {
        readonly framework_info: FrameworkInfo;
        readonly suppressed_roles?: readonly string[];
      };
    };

export interface MasterInfo {
  readonly id: string;
  readonly hostname?: string;
  readonly version?: string;
  readonly port?: number;
  readonly address?: { readonly hostname?: string; readonly ip?: string; readonly port: number };
  readonly capabilities?: readonly { readonly type: string }[];
  readonly domain?: DomainInfo;
}

export interface OperationStatus {
  readonly operation_id?: Value;
  readonly state: string;
  readonly message?: string;
  readonly uuid?: Value;
  readonly agent_id?: Value;
}

export interface InverseOffer {
  readonly id: Value;
  readonly agent_id?: Value;
  readonly framework_id?: Value;
  readonly unavailability?: Offer['unavailability'];
}

/** Events of the scheduler stream. An event of a type that is not here arrives as `UNKNOWN`. */
export type SchedulerEvent =
  | {
      readonly type: 'SUBSCRIBED';
      readonly subscribed: {
        readonly framework_id: Value;
        readonly heartbeat_interval_seconds?: number;
        readonly master_info?: MasterInfo;
      };
    }
  | { readonly type: 'OFFERS'; readonly offers: { readonly offers: readonly Offer[] } }
  | {
      readonly type: 'INVERSE_OFFERS';
      readonly inverse_offers: { readonly inverse_offers: readonly InverseOffer[] };
    }
  | { readonly type: 'RESCIND'; readonly rescind: { readonly offer_id: Value } }
  | {
      readonly type: 'RESCIND_INVERSE_OFFER';
      readonly rescind_inverse_offer: { readonly inverse_offer_id: Value };
    }
  | { readonly type: 'UPDATE'; readonly update: { readonly status: ReceivedTaskStatus } }
  | {
      readonly type: 'UPDATE_OPERATION_STATUS';
      readonly update_operation_status: { readonly status: OperationStatus };
    }
  | { readonly type: 'MESSAGE'; readonly message: unknown }
  | {
      readonly type: 'FAILURE';
      readonly failure: { readonly agent_id?: Value; readonly executor_id?: Value; readonly status?: number };
    }
  | { readonly type: 'ERROR'; readonly error: { readonly message: string } }
  | { readonly type: 'HEARTBEAT' }
  | { readonly type: 'UNKNOWN'; readonly name: string };
