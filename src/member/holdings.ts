import { describeError } from '../base/errors.ts';
import type { Clock, Logger } from '../base/ports.ts';
import type { LogPosition } from '../protocol/member-status.ts';
import { type DataProblem, type DataState, isBehind, raiseFloor } from './decide.ts';
import { createSerial } from './serial.ts';
import {
  type Fence,
  type MemberVolume,
  type StoredIdentity,
  VolumeError,
  type VolumeOwner,
} from './volume.ts';

/** What keeps a member from serving, for people, and what that means for its data. */
export interface Trouble {
  readonly dataProblem: DataProblem | null;
  readonly message: string;
}

/** What a supervisor knows to be on its volume. All writes go one after the other, whoever wants them. */
export interface Holdings {
  readonly fence: Fence | null;
  readonly identity: StoredIdentity | null;
  /** Of the identity's epoch, when it was last looked at. */
  readonly data: DataState;
  /** An etcd log was seen in the identity's directory: from then on it must be there (S5). */
  readonly logSeen: boolean;
  /** The highest position that may be told to others: stored before it is told (S4). */
  readonly floor: LogPosition | null;
  /** Why the volume cannot be used at all. */
  readonly trouble: Trouble | null;
  /** Why the newest write that could wait has failed. */
  readonly writeTrouble: string | null;
  /** Opens the volume and reads everything anew; never rejects, {@link trouble} says how it went. */
  open(): Promise<void>;
  /** Looks again; what goes wrong becomes {@link trouble}. */
  lookAtData(): Promise<void>;
  raiseFence(fence: Fence): Promise<void>;
  /** Rejects with a `VolumeError`, as do the two around it. */
  storeIdentity(identity: StoredIdentity): Promise<void>;
  createData(identity: StoredIdentity): Promise<void>;
  /** Stores what etcd said of itself, unless other data has taken its place. Waits for no space: never rejects. */
  learn(identity: StoredIdentity): Promise<void>;
  /** Known at once, stored if the volume lets us. */
  markRemoved(): Promise<void>;
  /** Stores a higher floor, at most every {@link FLOOR_MS}. Never rejects. */
  notePosition(at: LogPosition): Promise<void>;
}

/** The floor is stored at most this often while it rises with every write. */
const FLOOR_MS = 2_000;

export function createHoldings(options: {
  readonly volume: MemberVolume;
  readonly owner: VolumeOwner;
  readonly clock: Clock;
  readonly log: Logger;
}): Holdings {
  const { volume, clock, log } = options;
  const inTurn = createSerial();
  let fence: Fence | null = null;
  let identity: StoredIdentity | null = null;
  let data: DataState = 'absent';
  let logSeen = false;
  let floor: LogPosition | null = null;
  let floorStoredAtMs = Number.NEGATIVE_INFINITY;
  let trouble: Trouble | null = null;
  let writeTrouble: string | null = null;

  const readData = async (): Promise<void> => {
    data = identity === null ? 'absent' : await volume.dataState(identity.epoch);
    logSeen ||= data === 'present';
  };

  const guarded = async (event: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
      trouble = null;
    } catch (error) {
      trouble = troubleOf(error);
      log.error(event, { error, dataProblem: trouble.dataProblem });
    }
  };

  /** A volume that takes no writes for now: told, and etcd serves on as long as it can itself. */
  const mayFail = async (event: string, work: () => Promise<void>): Promise<void> => {
    try {
      await inTurn(work);
      writeTrouble = null;
    } catch (error) {
      writeTrouble = describeError(error);
      log.warn(event, { error });
    }
  };

  const writeIdentity = async (next: StoredIdentity): Promise<void> => {
    await volume.writeIdentity(next);
    identity = next;
  };

  return {
    get fence() {
      return fence;
    },
    get identity() {
      return identity;
    },
    get data() {
      return data;
    },
    get logSeen() {
      return logSeen;
    },
    get floor() {
      return floor;
    },
    get trouble() {
      return trouble;
    },
    get writeTrouble() {
      return writeTrouble;
    },
    open: async () =>
      await guarded('volume unusable', async () => {
        await volume.open(options.owner);
        fence = await volume.readFence();
        identity = await volume.readIdentity();
        floor = identity === null ? null : await volume.readFloor(identity.epoch);
        await readData();
      }),
    lookAtData: async () => await guarded('data directory unusable', readData),
    raiseFence: async (next) =>
      await inTurn(async () => {
        await volume.writeFence(next);
        fence = next;
      }),
    storeIdentity: async (next) => await inTurn(async () => await writeIdentity(next)),
    createData: async (next) =>
      await inTurn(async () => {
        await volume.createData(next);
        identity = next;
        floor = null;
        floorStoredAtMs = Number.NEGATIVE_INFINITY;
        logSeen = false;
        await readData();
      }),
    learn: async (next) =>
      await mayFail('identity not stored', async () => {
        if (isSameData(identity, next)) await writeIdentity(next);
      }),
    markRemoved: async () => {
      if (identity === null) return;
      const removed = { ...identity, removed: true };
      identity = removed;
      await mayFail('removal not stored', async () => {
        if (isSameData(identity, removed)) await volume.writeIdentity(removed);
      });
    },
    notePosition: async (at) => {
      const of = identity;
      const next = raiseFloor(floor, at);
      if (of === null || clock.monotonicMs() - floorStoredAtMs < FLOOR_MS) return;
      if (floor !== null && !isBehind(floor, next)) return;
      floorStoredAtMs = clock.monotonicMs();
      await mayFail('floor not stored', async () => {
        if (!isSameData(identity, of)) return;
        await volume.writeFloor(of.epoch, next);
        floor = next;
      });
    },
  };
}

function isSameData(left: StoredIdentity | null, right: StoredIdentity): boolean {
  return left?.epoch === right.epoch && left.attempt === right.attempt;
}

function troubleOf(error: unknown): Trouble {
  const message = describeError(error);
  if (!(error instanceof VolumeError)) return { dataProblem: null, message };
  switch (error.code) {
    case 'missing':
      return { dataProblem: 'volume-missing', message };
    case 'foreign':
      return { dataProblem: 'data-foreign', message };
    case 'corrupt':
      return { dataProblem: 'corrupt', message };
    case 'full':
    case 'io':
      // May pass: a disk that is full or hiccups is no reason to give the data up.
      return { dataProblem: null, message };
  }
}
