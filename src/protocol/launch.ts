import * as z from 'zod';
import { etcdOptions } from './etcd-options.ts';
import { slotName } from './identifiers.ts';

/** The environment variable of a member's task that holds a {@link Launch} as JSON. */
export const LAUNCH_VARIABLE = 'ETCD_MESOS_LAUNCH';

/**
 * The version of the supervisor protocol that this build speaks: of statuses, orders and receipts. A scheduler
 * understands the previous one too, and a supervisor answers in the previous one whoever does not ask for more.
 */
export const PROTOCOL_VERSION = 2;
/** What a supervisor speaks with who does not say what it understands. */
export const PREVIOUS_PROTOCOL_VERSION = 1;
/**
 * The version of the launch by itself: members keep the supervisor that they were launched with until a roll-out,
 * so a new scheduler launches old supervisors. It rises only with a launch that those cannot read.
 */
export const LAUNCH_VERSION = 1;

const port = z.number().int().min(1).max(65535);

/**
 * Everything a supervisor is told by its task. Nothing in it is secret: a task's environment can be read by
 * anyone who can read the master's state.
 */
export const launchSchema = z.strictObject({
  protocol: z.literal(LAUNCH_VERSION),
  framework: z.string().min(1),
  /** The cluster's id: a UUID that the scheduler made once. */
  cluster: z.string().min(1),
  slot: slotName,
  /** Id of the reserved place (reservation, volume, ports) that the task runs on. */
  seat: z.string().min(1),
  /** The Mesos task id: the incarnation. */
  task: z.string().min(1),
  /** Ed25519 public key of the schedulers, base64 of its SPKI DER form. */
  schedulerKey: z.string().min(1),
  volume: z.strictObject({
    /** Relative to the sandbox (the supervisor's working directory). */
    path: z.string().min(1),
    /** The persistence id that Mesos was given; written to the volume at its first use and compared ever after. */
    id: z.string().min(1),
  }),
  /** The volume for etcd's log, as {@link volume}. Without it the log lies with the data. */
  wal: z.strictObject({ path: z.string().min(1), id: z.string().min(1) }).optional(),
  /** `sandbox`: there is no volume, the data lies in the sandbox and ends with the task. */
  storage: z.literal('sandbox').optional(),
  /** Address under which peers and clients reach this agent: an IP or a name. */
  host: z.string().min(1),
  ports: z.strictObject({ peer: port, client: port, supervisor: port }),
  /** Path of the etcd program; a bare name is looked up in PATH. */
  etcdBinary: z.string().min(1),
  etcd: etcdOptions,
});
export type Launch = z.infer<typeof launchSchema>;

export const peerUrlOf = (launch: { host: string; ports: { peer: number } }): string =>
  `http://${hostInUrl(launch.host)}:${launch.ports.peer}`;
export const clientUrlOf = (launch: { host: string; ports: { client: number } }): string =>
  `http://${hostInUrl(launch.host)}:${launch.ports.client}`;
export const supervisorUrlOf = (launch: { host: string; ports: { supervisor: number } }): string =>
  `http://${hostInUrl(launch.host)}:${launch.ports.supervisor}`;

function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
