import * as z from 'zod';
import { CodedError } from '../base/errors.ts';
import { etcdOptions } from './etcd-options.ts';
import { etcdId, slotName, uint64Text } from './identifiers.ts';
import { inOldestSchema, migrated } from './record-schemas.ts';

/**
 * The cluster record: what the scheduler must remember, one JSON document under {@link RECORD_BYTES_MAX}, kept
 * with compare-and-set. All else is observed anew. Never a secret in it.
 */
export const RECORD_BYTES_MAX = 256 * 1024;
export const RECORD_SCHEMA_VERSION = 3 as const;

const wallMs = z.number();
/** Who asked, as the client that asked says and from where it did: for people. */
const by = z.string().min(1).max(200);
const position = z.strictObject({ term: uint64Text, index: uint64Text });

/** How a task's end is known; design: "what absence means". */
export const taskEndSchema = z.strictObject({
  /**
   * `ended`: executor or agent report a terminal state, and with the supervisor its etcd is dead.
   * `asserted`: somebody says so; the process may live. `never-ran`: the launch was refused.
   */
  standing: z.enum(['ended', 'asserted', 'never-ran']),
  state: z.string(),
  source: z.string(),
  reason: z.string(),
  message: z.string(),
  /** When the scheduler heard of it, by its own clock. */
  atMs: wallMs,
});
export type TaskEnd = z.infer<typeof taskEndSchema>;

/**
 * A seat: one reserved place on one agent (reservation, volume, ports) that a slot holds or is about to hold.
 * A relaunch in place keeps the seat and takes a new task; a replacement takes a new seat.
 */
export const seatSchema = z.strictObject({
  /** Names the reservation (label `resource_id`) and the volume. */
  id: z.string().min(1),
  slot: slotName,
  agentId: z.string().min(1),
  /** `ip:port` of the agent's process: another agent id there means that this one's disk is gone. */
  agentAddress: z.string().optional(),
  hostname: z.string().min(1),
  /** Fault domain zone of the agent, if it has one. */
  zone: z.string().nullable(),
  /** Fault domain region of the agent, if it has one. */
  region: z.string().nullable(),
  /** Attributes of the agent that placement constraints name, as text. */
  attributes: z.record(z.string(), z.string()),
  /** What peers and clients are told: the agent's IP. */
  host: z.string().min(1),
  ports: z.strictObject({ peer: z.number().int(), client: z.number().int(), supervisor: z.number().int() }),
  volumeId: z.string().min(1),
  /**
   * `persistent`: on volumes that are reserved and outlive its tasks. `sandbox`: in the task's sandbox, which ends
   * with it, and nothing is reserved.
   */
  storage: z.enum(['persistent', 'sandbox']),
  /** A volume of its own for etcd's log; `null`: the log lies beside the database. */
  wal: z.strictObject({ volumeId: z.string().min(1), diskMb: z.number() }).nullable(),
  /** What the member's own task is given. */
  resources: z.strictObject({ cpus: z.number(), memMb: z.number(), diskMb: z.number() }),
  /** What is reserved beside it for the name task; `null`: the seat has none. */
  nameShare: z.strictObject({ cpus: z.number(), memMb: z.number() }).nullable(),
  /** The task that stands for the client port in DNS while the member serves; `null`: never launched or over. */
  nameTask: z.strictObject({ task: z.string().min(1), launchedAtMs: wallMs }).nullable(),
  /** The newest task on it. Its end is stored before it is acknowledged. */
  task: z.string().min(1),
  taskEnd: taskEndSchema.nullable(),
  launches: z.number().int().min(1),
  launchedAtMs: wallMs,
  /** Tasks in a row that ended soon after their launch: the next launch waits longer. */
  quickEnds: z.number().int().min(0),
  /** Version of etcd and build of the supervisor that this seat runs until a roll-out says otherwise. */
  pinned: z.strictObject({ artifact: z.string(), etcd: etcdOptions }),
  /** Which data the seat holds: set when a prepare is first ordered. */
  data: z
    .strictObject({
      epoch: z.number().int().min(1),
      attempt: z.number().int().min(1),
      /** A start was ordered: the directory must never be empty again (S5). */
      started: z.boolean(),
      memberId: etcdId.nullable(),
      /** The highest log position that the member ever reported (S4). */
      floor: position.nullable(),
    })
    .nullable(),
  /** Milliseconds of monotonic time with fresh evidence that the task is away. */
  absentMs: z.number().min(0),
  /**
   * Why this seat cannot serve its member any more; ends in L2. Only `unreachable`, `task-gone` and `maintenance`
   * can be taken back; where it is known to run (as with the first and the last, `moved` and `surplus`) the member
   * may serve until its successor votes, or its removal is due.
   */
  lost: z
    .strictObject({
      cause: z.enum([
        'unreachable',
        'maintenance',
        'task-gone',
        'agent-gone',
        'volume-gone',
        'data',
        /** Somebody else's. */
        'foreign-data',
        'never-launched',
        /** Another place of its slot holds a member too: one of the two has to go. */
        'doubled',
        /** An operator has it moved, or a roll-out that cannot change it where it is. */
        'moved',
        /** Its slot is beyond the size that is wanted. */
        'surplus',
      ]),
      message: z.string().min(1),
    })
    .nullable(),
  /** An operator has its etcd held down until they say otherwise; the place and its data stay. `null`: nobody has. */
  paused: z.strictObject({ by, atMs: wallMs }).nullable(),
});
export type Seat = z.infer<typeof seatSchema>;

/** A membership change in progress (S2: at most one). Its steps follow from the member list, not from here. */
export const intentSchema = z.strictObject({
  id: z.string().min(1),
  slot: slotName,
  reason: z.string().min(1),
  openedAtMs: wallMs,
  /** The voter or leftover that goes first; `null` for a pure addition. */
  remove: z.strictObject({ memberId: etcdId, seat: z.string().nullable() }).nullable(),
  /** Who comes as a learner and is promoted; `null` for a pure removal. */
  add: z.strictObject({ seat: z.string(), peerUrl: z.string(), memberId: etcdId.nullable() }).nullable(),
  /** The member list was changed under this intent: it can only be finished, not dropped. */
  committed: z.boolean(),
});
export type Intent = z.infer<typeof intentSchema>;

/**
 * What we do to a member that serves, of our own will (S9): at most one is open. It ends when the member is level
 * with its leader again, or its place is lost, which is repair's.
 */
export const disruptionSchema = z.strictObject({
  id: z.string().min(1),
  /**
   * `restart`: its task ends and is launched in place, with what is pinned. `update`: the same, with what the
   * roll-out wants. `pause`: it hands leadership over, and ends as the seat's `paused`. `defragment`: its etcd
   * rewrites its database and answers nobody meanwhile. `move-leader`: it leads, and is to hand leadership over.
   */
  kind: z.enum(['restart', 'update', 'pause', 'defragment', 'move-leader']),
  slot: slotName,
  seat: z.string().min(1),
  /** The task that runs when it is opened: with `restart` and `update` the one that has to end. */
  task: z.string().min(1),
  by,
  reason: z.string().min(1),
  openedAtMs: wallMs,
  /** An operator said that it be done although the others are no quorum. */
  forced: z.boolean(),
  /** Milliseconds for which a handover of leadership was waited for. Bounded: then it goes on without. */
  handoverMs: z.number().min(0),
  /** `move-leader`: who is to lead; `null` with every other kind, where it is chosen when it is due. */
  heir: etcdId.nullable(),
  /** Stored before the member is first touched: from then on it may be down, and does not count as healthy. */
  begun: z.boolean(),
});
export type Disruption = z.infer<typeof disruptionSchema>;

/** What members are brought to. */
export const targetSchema = z.strictObject({
  /** As a seat's `pinned` has it. */
  artifact: z.string().min(1),
  etcd: etcdOptions,
  resources: z.strictObject({ cpus: z.number(), memMb: z.number(), diskMb: z.number() }),
});
export type Target = z.infer<typeof targetSchema>;

/** Members are brought to other options, resources or another artifact, one after the other. */
export const rolloutSchema = z.strictObject({
  id: z.string().min(1),
  /** As the options asked when it was begun; other options begin another. */
  target: targetSchema,
  /** `options`: etcd's options and resources alone; another artifact waits for its word. */
  scope: z.enum(['options', 'all']),
  by,
  openedAtMs: wallMs,
  /** `first`: one member goes ahead; `held`: it has, and the others wait for a word; `none`: all go on. */
  canary: z.enum(['first', 'held', 'none']),
  /** An operator said that members be updated although the others are no quorum meanwhile. */
  forced: z.boolean(),
  /** Whose turn it is, until its member serves and the cluster was whole for a while; `null`: nobody's. */
  step: z
    .strictObject({
      slot: slotName,
      seat: z.string().min(1),
      /** Milliseconds for which its member was waited for. */
      waitedMs: z.number().min(0),
    })
    .nullable(),
  /** Seats whose agents had no room to give them more: they are moved. */
  noRoom: z.array(z.string().min(1)).max(32),
  /** Milliseconds for which the whole cluster has been well; no more than are waited for. */
  steadyMs: z.number().min(0),
  /** It stopped here: nothing further is touched until a word or another target. */
  failed: z.strictObject({ slot: slotName, message: z.string().min(1), atMs: wallMs }).nullable(),
});
export type Rollout = z.infer<typeof rolloutSchema>;

/** What is being done about etcd's database. Each part is `null` while there is none. */
export const spaceSchema = z.strictObject({
  /** Members to be defragmented, one at a time, a leader last. */
  round: z
    .strictObject({
      id: z.string().min(1),
      by,
      reason: z.string().min(1),
      atMs: wallMs,
      forced: z.boolean(),
      /** Those that are still to do. */
      slots: z.array(slotName).max(16),
      /** How often one was begun. Bounded: then the rest is dropped. */
      begun: z.number().int().min(0),
    })
    .nullable(),
  /** What is done about a NOSPACE alarm by itself. */
  relief: z
    .strictObject({
      sinceMs: wallMs,
      /**
       * What was done last: `found` nothing; then members were `defragmented`; then old revisions `compacted`; then
       * members were defragmented once more: `settled`. `fruitless`: the rest is the operator's.
       */
      stage: z.enum(['found', 'defragmented', 'compacted', 'settled', 'fruitless']),
      /** The revision that is compacted up to; `null`: none yet. */
      compactTo: uint64Text.nullable(),
      /** Milliseconds for which that was waited for. */
      waitedMs: z.number().min(0),
      /** Rounds that were begun for it. */
      rounds: z.number().int().min(0),
      /** `fruitless`: the largest number of bytes in use then. */
      inUseBytes: z.number().min(0),
    })
    .nullable(),
  /** The hashes that tell who differs: all voters are asked for theirs at one revision. */
  hashes: z.strictObject({ revision: uint64Text, waitedMs: z.number().min(0) }).nullable(),
  /** An operator has these alarms let go. */
  disarm: z
    .strictObject({ alarm: z.enum(['NOSPACE', 'CORRUPT']), by, waitedMs: z.number().min(0) })
    .nullable(),
});
export type SpaceRecord = z.infer<typeof spaceSchema>;

/** The archive that is the cluster's: kept also while none is configured. `null`: it never had one. */
export const archiveRecordSchema = z.strictObject({
  /** A UUID. An archive with another one is not ours; and where there is none any more, none is begun in its place. */
  id: z.string().min(1).max(100),
  /** Where it was found last, for people. */
  place: z.string().min(1).max(1024),
  /** `false`: it was about to be made, so that it may not be there yet. */
  made: z.boolean(),
});
export type ArchiveRecord = z.infer<typeof archiveRecordSchema>;

/** The full backup from before etcd last went up a minor: the way back. `null`: there is none. */
export const upgradeFullSchema = z.strictObject({
  /** The roll-out that it was taken for. */
  rollout: z.string().min(1),
  /** What etcd gave it. */
  etcd: z.string().min(1),
  /** When it was complete. */
  atMs: wallMs,
});
export type UpgradeFull = z.infer<typeof upgradeFullSchema>;

/** The plans that an operator can hold or force. */
export const PLAN_NAMES = ['deploy', 'recovery', 'update', 'decommission'] as const;
export type PlanName = (typeof PLAN_NAMES)[number];

const plansSchema = z.strictObject({
  /** Held: nothing of it is begun. What was begun is finished where to stop would be worse. */
  paused: z.array(z.strictObject({ plan: z.enum(PLAN_NAMES), by, atMs: wallMs })).max(8),
  /** Steps that an operator said to be complete. The newest. */
  forced: z
    .array(z.strictObject({ plan: z.enum(PLAN_NAMES), step: z.string().min(1), by, atMs: wallMs }))
    .max(32),
});

const epochSchema = z.strictObject({
  number: z.number().int().min(1),
  attempt: z.number().int().min(1),
  token: z.string().min(1),
  source: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('bootstrap') }),
    /** What ran before this record was made. */
    z.strictObject({ kind: z.literal('adopted') }),
  ]),
  /**
   * S5: `go` is stored before the first start order; `formed` when a quorum reported one cluster id. `adopting`:
   * its places were found without tasks; which cluster they hold is read from their volumes once supervisors run
   * on them, and until then nothing is prepared or started.
   */
  phase: z.enum(['adopting', 'preparing', 'go', 'formed']),
  openedAtMs: wallMs,
  /** Milliseconds for which a quorum of the target was prepared and the rest was waited for; after `go`, since it. */
  waitedMs: z.number().min(0),
  /** Who starts together; fixed by `go`. */
  members: z.array(z.strictObject({ slot: slotName, seat: z.string(), peerUrl: z.string() })),
  clusterId: etcdId.nullable(),
});
export type Epoch = z.infer<typeof epochSchema>;

/** A seat on its way out: its task is killed, then its volume and reservation are given back when offered. */
export const leavingSchema = z.strictObject({ seat: seatSchema, reason: z.string().min(1), sinceMs: wallMs });
export type Leaving = z.infer<typeof leavingSchema>;

export const recordSchema = z.strictObject({
  schemaVersion: z.literal(RECORD_SCHEMA_VERSION),
  cluster: z.string().min(1),
  framework: z.strictObject({ name: z.string().min(1), id: z.string().nullable() }),
  /** Raised by every scheduler that takes over; orders carry it. */
  generation: z.number().int().min(1),
  /** The target number of members that was last accepted. */
  size: z.number().int().min(1).max(7),
  /**
   * What `--cluster-size` said when it was last taken up, where an operator has said something else since; `null`:
   * it said `size`. Only an option that differs from it asks for another size.
   */
  sizeOption: z.number().int().min(1).max(7).nullable(),
  /** The size was changed, and the members are not as many yet. */
  scaling: z
    .strictObject({
      /** The highest slot that may hold a member is the one before this. */
      from: z.number().int().min(1).max(7),
      by,
      atMs: wallMs,
      /** Milliseconds for which what was ordered has shown no effect, and should not be ordered any more. */
      waitedMs: z.number().min(0),
      /** Milliseconds for which a member that is to stay has been lost and has found no other place. */
      standInMs: z.number().min(0),
    })
    .nullable(),
  epoch: epochSchema,
  /** At most two a slot: the one that holds the member and its successor. */
  seats: z.array(seatSchema).max(32),
  leaving: z.array(leavingSchema).max(256),
  intent: intentSchema.nullable(),
  disruption: disruptionSchema.nullable(),
  rollout: rolloutSchema.nullable(),
  plans: plansSchema,
  /** `null`: nothing is being done about the database. */
  space: spaceSchema.nullable(),
  archive: archiveRecordSchema.nullable(),
  upgradeFull: upgradeFullSchema.nullable(),
  /** The cluster is being given up; never taken back. `null`: it is not. */
  uninstall: z
    .strictObject({
      askedAtMs: wallMs,
      by: z.enum(['environment', 'operator']),
      /** Somebody said that the data may go, or an archive holds it. Until then no member is touched. */
      confirmed: z.boolean(),
      /** What could not be given back, and why: for people. */
      skipped: z.array(z.string().min(1)).max(256),
    })
    .nullable(),
});
export type ClusterRecord = z.infer<typeof recordSchema>;

/** The record of a cluster that is about to be born. */
export function newRecord(of: {
  readonly cluster: string;
  readonly framework: ClusterRecord['framework'];
  readonly size: number;
  readonly token: string;
  readonly openedAtMs: number;
}): ClusterRecord {
  const { cluster, framework, size, token, openedAtMs } = of;
  return {
    schemaVersion: RECORD_SCHEMA_VERSION,
    cluster,
    framework,
    generation: 1,
    size,
    epoch: newEpoch({ number: 1, attempt: 1, token, openedAtMs }),
    seats: [],
    leaving: [],
    ...atRest(),
  };
}

/** What a record says of changes while there are none, and of an archive before there is one. */
export function atRest(): Pick<
  ClusterRecord,
  | 'sizeOption'
  | 'scaling'
  | 'intent'
  | 'disruption'
  | 'rollout'
  | 'plans'
  | 'space'
  | 'archive'
  | 'upgradeFull'
  | 'uninstall'
> {
  return {
    sizeOption: null,
    scaling: null,
    intent: null,
    disruption: null,
    rollout: null,
    plans: { paused: [], forced: [] },
    space: null,
    archive: null,
    upgradeFull: null,
    uninstall: null,
  };
}

/** An epoch of which nothing was started yet. */
export function newEpoch(of: Pick<Epoch, 'number' | 'attempt' | 'token' | 'openedAtMs'>): Epoch {
  return {
    ...of,
    source: { kind: 'bootstrap' },
    phase: 'preparing',
    waitedMs: 0,
    members: [],
    clusterId: null,
  };
}

/** Why a stored cluster record is not used, or not stored. */
export class RecordError extends CodedError<'corrupt' | 'newer-schema' | 'too-large'> {}

/** Reads a stored record. Throws a {@link RecordError}; never repairs or guesses. */
export function parseRecord(bytes: Uint8Array): ClusterRecord {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new RecordError('corrupt', 'the stored cluster record is not JSON', {
      cause,
      hint: 'Restore the record from a copy, or move it away and start with --bootstrap=adopt.',
    });
  }
  const version = (json as { schemaVersion?: unknown } | null)?.schemaVersion;
  if (typeof version === 'number' && version > RECORD_SCHEMA_VERSION) {
    throw new RecordError(
      'newer-schema',
      `the stored cluster record has schema ${version}, this build reads up to ${RECORD_SCHEMA_VERSION}`,
      { hint: 'Start the newer etcd-mesos again: it is not rewritten by an older one.' },
    );
  }
  const parsed = recordSchema.safeParse(migrated(json, version));
  if (!parsed.success) {
    throw new RecordError(
      'corrupt',
      `the stored cluster record is malformed: ${z.prettifyError(parsed.error)}`,
      {
        hint: 'Restore the record from a copy, or move it away and start with --bootstrap=adopt.',
      },
    );
  }
  return parsed.data;
}

/**
 * The bytes to store, in the oldest schema that can say it all: so the release before this one can take over again
 * while nothing is under way that it does not know. Throws a {@link RecordError} `too-large`.
 */
export function serializeRecord(record: ClusterRecord): Uint8Array {
  const stored = inOldestSchema(recordSchema.parse(record));
  const bytes = new TextEncoder().encode(`${JSON.stringify(stored)}\n`);
  if (bytes.byteLength > RECORD_BYTES_MAX) {
    throw new RecordError(
      'too-large',
      `the cluster record has ${bytes.byteLength} bytes, at most ${RECORD_BYTES_MAX} are kept`,
    );
  }
  return bytes;
}
