import * as z from 'zod';
import { etcdId, slotName, uint64Text } from './identifiers.ts';
import { PREVIOUS_PROTOCOL_VERSION, PROTOCOL_VERSION } from './launch.ts';

/**
 * What a supervisor says of itself and its etcd: `GET /v1/status?protocol=<n>`, in the highest version that both
 * understand. Unknown fields are ignored by readers, so a version only ever adds fields; one that an enumeration
 * gains a word in has to say the old words to who asks for less, see {@link inProtocol}.
 */

const position = z.object({ term: uint64Text, index: uint64Text });

export const etcdMemberSchema = z.object({
  id: etcdId,
  /** Empty until the member has started and published itself. */
  name: z.string(),
  peerUrls: z.array(z.string()).readonly(),
  clientUrls: z.array(z.string()).readonly(),
  isLearner: z.boolean(),
});
export type EtcdMember = z.infer<typeof etcdMemberSchema>;

/** One look at the supervisor's own etcd, all of it over loopback. */
export const probeSchema = z.object({
  /** Milliseconds between the look and the status that carries it. */
  ageMs: z.number().min(0),
  version: z.string(),
  /** The version that the cluster as a whole has, as `3.5.0`; `null` where the supervisor could not learn it. */
  clusterVersion: z.string().nullable().default(null),
  clusterId: etcdId,
  memberId: etcdId,
  /** `null` while it knows no leader. */
  leaderId: etcdId.nullable(),
  isLearner: z.boolean(),
  raftTerm: uint64Text,
  raftIndex: uint64Text,
  raftAppliedIndex: uint64Text,
  revision: uint64Text,
  dbSizeBytes: z.number(),
  dbSizeInUseBytes: z.number(),
  /** What etcd's Status answer lists under `errors` and the alarms it knows of, as `NOSPACE`, `CORRUPT`. */
  errors: z.array(z.string()),
  alarms: z.array(z.object({ memberId: etcdId, alarm: z.string() })),
  /**
   * The members as read after a linearizable read on the same connection was answered, so every committed
   * change is in it; `null` when that read was not answered in time (no quorum) or the member is a learner.
   */
  confirmedMembers: z.array(etcdMemberSchema).readonly().nullable(),
  /** The members by local evidence alone. */
  localMembers: z.array(etcdMemberSchema).readonly(),
});
export type Probe = z.infer<typeof probeSchema>;

export const SUPERVISOR_PHASES = [
  /** No data directory of the present epoch: waits for orders. */
  'idle',
  /** An empty data directory is ready. */
  'prepared',
  /** Data is there, etcd is not started: waits for an order. */
  'stopped',
  /** etcd's process runs. */
  'running',
  /** etcd ended and will be started again by the supervisor (L0). */
  'backing-off',
  /** etcd ended because the cluster removed this member: never started again (S4). */
  'removed',
  /** It cannot go on: `problem` says why. */
  'failed',
] as const;

/** Two members' are comparable at the same revision and compact revision. */
export const kvHashSchema = z.object({
  revision: uint64Text,
  hash: z.number().int().min(0),
  compactRevision: uint64Text,
});
export type KvHashAt = z.infer<typeof kvHashSchema>;

const spaceSchema = z.object({
  /** The run of the newest defragmentation that was done. */
  defragmented: z.string().nullable(),
  /** The highest revision up to which it had its etcd compact. */
  compacted: uint64Text.nullable(),
  /** The newest hash of all keys up to a revision. */
  hash: kvHashSchema.nullable(),
});
export type SpaceDone = z.infer<typeof spaceSchema>;
/** Of a supervisor that was given no such order. */
export const NOTHING_DONE: SpaceDone = { defragmented: null, compacted: null, hash: null };

export const memberStatusSchema = z.object({
  protocol: z.number().int().min(1).max(PROTOCOL_VERSION),
  /** Version and short hash of the supervisor's code. */
  build: z.string(),
  cluster: z.string(),
  slot: slotName,
  seat: z.string(),
  task: z.string(),
  /** Rises with every change worth telling: `GET /v1/status?after=<sequence>&waitMs=<n>` waits for the next. */
  sequence: z.number().int().min(0),
  phase: z.enum(SUPERVISOR_PHASES),
  problem: z.string().nullable(),
  /** What a problem means for the data: `null` none, else why this volume cannot serve the member any more (L2). */
  dataProblem: z
    .enum(['data-missing', 'data-foreign', 'data-rolled-back', 'volume-missing', 'corrupt'])
    .nullable(),
  /** The highest (epoch, generation) whose order it took; zeros before the first. */
  fence: z.object({ epoch: z.number().int().min(0), generation: z.number().int().min(0) }),
  /** What the volume says it holds; `null` on an empty volume. */
  identity: z
    .object({
      epoch: z.number().int().min(1),
      attempt: z.number().int().min(1),
      token: z.string(),
      /** etcd was started on it: it may hold acknowledged writes. */
      started: z.boolean(),
      clusterId: etcdId.nullable(),
      memberId: etcdId.nullable(),
    })
    .nullable(),
  /** The highest log position this volume's member ever reported. */
  floor: position.nullable(),
  etcd: z
    .object({
      version: z.string(),
      pid: z.number().int(),
      restarts: z.number().int().min(0),
      /** Peers can reach it; `false` until then, while it does not run, and from a supervisor that does not tell. */
      servesPeers: z.boolean().default(false),
      lastExit: z
        .object({ code: z.number().nullable(), signal: z.string().nullable(), line: z.string() })
        .nullable(),
    })
    .nullable(),
  /** `null` while etcd does not answer, or refuses to tell. */
  probe: probeSchema.nullable(),
  /** Known defects of the etcd it runs, for people. */
  warnings: z.array(z.string()),
  /**
   * Since version 2. Why its etcd may answer nobody although it is well: it rewrites its database. `null`: nothing
   * keeps it from answering.
   */
  busy: z.enum(['defragmenting']).nullable().default(null),
  /**
   * Since version 2. Its etcd serves, and refuses who names no user, since its authentication is on: some versions
   * change nothing then, others do not even tell how they are. `null`: it asks for no user.
   */
  needsUser: z
    .object({
      /** A quorum was confirmed a moment ago; `false`: not known, as of a learner. */
      quorum: z.boolean(),
    })
    .nullable()
    .default(null),
  /** Since version 2. Its etcd refuses to start: it has compared its data with its peers', and it is not the same. */
  differs: z.boolean().default(false),
  /** Since version 2. What became of the newest orders about the database; of this supervisor's life. */
  space: spaceSchema.default(NOTHING_DONE),
});
export type MemberStatus = z.infer<typeof memberStatusSchema>;
export type SupervisorPhase = MemberStatus['phase'];
export type LogPosition = z.infer<typeof position>;

/**
 * The status for somebody who understands the protocol up to that version: a scheduler of the previous release, which
 * refuses what claims to be newer, may take over a cluster whose supervisors are of this one.
 */
export function inProtocol(status: MemberStatus, understood: number): unknown {
  if (understood >= PROTOCOL_VERSION) return status;
  const { busy: _, needsUser: __, differs: ___, space: ____, ...known } = status;
  return { ...known, protocol: PREVIOUS_PROTOCOL_VERSION };
}
