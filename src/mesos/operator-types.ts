import { flag, listOf, number, record, text } from './shape.ts';
import type {
  Attribute,
  DomainInfo,
  FrameworkInfo,
  Labels,
  ReceivedTaskStatus,
  Resource,
  TaskState,
  Value,
} from './wire.ts';
import {
  attributeShape,
  frameworkInfoShape,
  labelsShape,
  resourceShape,
  taskStatusShape,
  valueShape,
} from './wire-shapes.ts';

/** What of the operator API's answers we read; more is in them and is kept. */

export interface OperatorAgent {
  readonly agent_info: {
    readonly id: Value;
    readonly hostname: string;
    readonly port?: number;
    readonly attributes?: readonly Attribute[];
    readonly domain?: DomainInfo;
  };
  /** Connected at present. */
  readonly active: boolean;
  readonly version: string;
  /** As `slave(1)@10.0.0.7:5051`. */
  readonly pid?: string;
  /** Reservations and persistent volumes included. */
  readonly total_resources?: readonly Resource[];
}
export interface OperatorAgents {
  readonly agents: readonly OperatorAgent[];
  /** Known from the registry and not back since the master was elected. */
  readonly recovered_agents: readonly { readonly id: Value; readonly hostname: string }[];
}

export interface OperatorFramework {
  readonly framework_info: FrameworkInfo;
  readonly active: boolean;
  readonly connected: boolean;
}
export interface OperatorFrameworks {
  readonly frameworks: readonly OperatorFramework[];
  /** Torn down, or gone for longer than their failover timeout. */
  readonly completed_frameworks: readonly OperatorFramework[];
}

export interface OperatorTask {
  readonly name: string;
  readonly task_id: Value;
  readonly framework_id: Value;
  readonly agent_id: Value;
  /** As a {@link TaskState}, or a newer one. */
  readonly state: string;
  readonly resources?: readonly Resource[];
  readonly labels?: Labels;
  /** Oldest first. */
  readonly statuses?: readonly ReceivedTaskStatus[];
}
export interface OperatorTasks {
  readonly tasks: readonly OperatorTask[];
  readonly unreachable_tasks: readonly OperatorTask[];
  readonly completed_tasks: readonly OperatorTask[];
  /** Of frameworks that have not subscribed since the master was elected. */
  readonly orphan_tasks: readonly OperatorTask[];
}

/** `GET /state`. */
export interface MasterState {
  readonly version: string;
  /** The master's id. */
  readonly id: string;
  /** As `master@10.0.0.1:5050`. */
  readonly pid?: string;
  readonly hostname?: string;
  /** The leading master's pid. */
  readonly leader?: string;
  /** Seconds since 1970. */
  readonly start_time?: number;
  readonly slaves: readonly { readonly id: string; readonly hostname: string; readonly active?: boolean }[];
  readonly frameworks: readonly { readonly id: string; readonly name: string; readonly active?: boolean }[];
}

const agentInfo = record({
  required: { id: valueShape, hostname: text },
  optional: { port: number, attributes: listOf(attributeShape) },
});
export const agentsShape = record({
  lists: {
    agents: record({
      required: { agent_info: agentInfo, active: flag, version: text },
      optional: { pid: text, total_resources: listOf(resourceShape) },
    }),
    recovered_agents: agentInfo,
  },
});

const framework = record({
  required: { framework_info: frameworkInfoShape, active: flag, connected: flag },
});
export const frameworksShape = record({
  lists: { frameworks: framework, completed_frameworks: framework },
});

const task = record({
  required: {
    name: text,
    task_id: valueShape,
    framework_id: valueShape,
    agent_id: valueShape,
    state: text,
  },
  optional: { resources: listOf(resourceShape), labels: labelsShape, statuses: listOf(taskStatusShape) },
});
export const tasksShape = record({
  lists: { tasks: task, unreachable_tasks: task, completed_tasks: task, orphan_tasks: task },
});

export const healthShape = record({ required: { healthy: flag } });
export const versionShape = record({ required: { version_info: record({ required: { version: text } }) } });

export const masterStateShape = record({
  required: { version: text, id: text },
  optional: { pid: text, hostname: text, leader: text, start_time: number },
  lists: {
    slaves: record({ required: { id: text, hostname: text }, optional: { active: flag } }),
    frameworks: record({ required: { id: text, name: text }, optional: { active: flag } }),
  },
});
