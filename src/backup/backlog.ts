import { describeError } from '../base/errors.ts';
import type { Clock, Logger } from '../base/ports.ts';
import type { Inbox, InboxEntry } from './inbox.ts';
import type { Spool } from './spool.ts';
import { ArchiveStoreError } from './store-port.ts';

/**
 * What has come from a member and is not durable in the archive: the oldest of it in the spool, if there is one and it
 * was needed, the rest in memory. Its entries come out in the order in which they came.
 */
export interface Backlog {
  /** Resolves when there is something; at once when `signal` aborts. */
  something(signal: AbortSignal): Promise<void>;
  /** Resolves when there is enough to be written at once; at once when `signal` aborts. */
  batchful(signal: AbortSignal): Promise<void>;
  /** What comes first; `null` when there is nothing. It stays until {@link drop}. */
  peek(signal: AbortSignal): Promise<InboxEntry | null>;
  /** What was peeked is durable. */
  drop(): Promise<void>;
  /** Moves what has to leave the memory to the spool, until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
  /**
   * Lets go of the spool, which stays for the next run.
   * @param keep what is in memory goes there too.
   */
  close(keep: boolean): Promise<void>;
  readonly isEmpty: boolean;
  readonly waitingBytes: number;
  readonly spooledBytes: number;
  /** When the oldest revision in it came, by the wall clock; `null` when there is none. */
  readonly oldestAtMs: number | null;
  /** Why the spool does not take or give what it should, for people; `null` when it does. */
  readonly problem: string | null;
}

export interface BacklogOptions {
  readonly inbox: Inbox;
  /** `null`: what has no room in memory is not read from the member. */
  readonly spool: Spool | null;
  /** The last revision before the first that comes into the inbox. */
  readonly after: bigint;
  /** The archive's store takes nothing at the moment. */
  readonly isAway: () => boolean;
  /**
   * What was in it is lost, as the spool cannot be read: it has to be had from a member once more.
   * @returns the last revision before what comes now.
   */
  readonly onLost: () => bigint;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Between two looks whether anything is to be moved. */
const LOOK_MS = 1_000;
/** After so many looks in a row with a store that is away what is in memory goes to disk, to outlive this process. */
const AWAY_LOOKS = 5;

export function createBacklog(options: BacklogOptions): Backlog {
  const { inbox, spool, clock, logger } = options;
  /** Where the entry that was peeked is now. */
  let held: { readonly entry: InboxEntry; at: 'inbox' | 'spool' | 'moved' } | null = null;
  /** The last revision that has left the inbox. */
  let passed = options.after;
  let problem: string | null = null;
  let turn: Promise<unknown> = Promise.resolve();

  const exclusively = async <T>(work: () => Promise<T>): Promise<T> => {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined);
    return await mine;
  };
  const isSpooled = (): boolean => spool !== null && spool.lastRevision !== null;
  const pass = (entry: InboxEntry): void => {
    inbox.drop(entry);
    const last = lastOf(entry);
    if (last > passed) passed = last;
  };
  const noteProblem = (what: string, error: unknown): void => {
    const text = `${what}: ${describeError(error)}`;
    if (problem !== text) logger.warn('the spool fails', { problem: text });
    problem = text;
  };

  /** Moves one entry; `false` when there is none, or no room for it. */
  const spill = async (to: Spool): Promise<boolean> => {
    const entry = inbox.peek();
    if (entry === null) return false;
    try {
      if (!(await to.add(entry, passed))) return false;
    } catch (error) {
      if (!(error instanceof ArchiveStoreError)) throw error;
      noteProblem('the spool takes nothing', error);
      return false;
    }
    problem = null;
    if (held?.at === 'inbox') held.at = 'moved';
    pass(entry);
    return true;
  };
  const spillAll = async (to: Spool): Promise<boolean> => {
    while (!inbox.isEmpty) {
      if (!(await exclusively(async () => await spill(to)))) break;
    }
    return inbox.isEmpty;
  };

  /** What comes first in the spool. What cannot be read is had from a member again, with all that came after it. */
  const peekSpool = async (from: Spool, signal: AbortSignal): Promise<InboxEntry | null> => {
    try {
      return await from.peek(signal);
    } catch (error) {
      if (signal.aborted) return null;
      noteProblem('what was spooled is lost', error);
      await from.clear();
      inbox.clear();
      passed = options.onLost();
      return null;
    }
  };
  const peek = async (signal: AbortSignal): Promise<InboxEntry | null> => {
    const spooled = spool === null ? null : await peekSpool(spool, signal);
    const entry = spooled ?? (signal.aborted ? null : inbox.peek());
    held = entry === null ? null : { entry, at: spooled === null ? 'inbox' : 'spool' };
    return entry;
  };
  const drop = async (): Promise<void> => {
    const last = held;
    held = null;
    if (last?.at === 'inbox') pass(last.entry);
    else if (last?.at === 'spool') spool?.drop();
    // Of revisions the writer knows which it has; anything else would be written once more.
    else if (last?.at === 'moved' && last.entry.kind !== 'batch' && spool !== null) {
      await peekSpool(spool, NEVER);
      spool.drop();
    }
  };

  return {
    something: async (signal) => {
      if (!isSpooled()) await inbox.something(signal);
    },
    batchful: async (signal) => {
      if (!isSpooled()) await inbox.batchful(signal);
    },
    peek: async (signal) => await exclusively(async () => await peek(signal)),
    drop: async () => await exclusively(drop),
    run: async (signal) => {
      if (spool === null) return;
      let awayLooks = 0;
      for (let isStuck = false; !signal.aborted; ) {
        await crowdedOrSoon(inbox, isStuck, clock, signal);
        awayLooks = options.isAway() ? awayLooks + 1 : 0;
        const isCrowded = !inbox.hasRoom;
        const isWanted = isCrowded || isSpooled() || awayLooks >= AWAY_LOOKS;
        if (!isWanted) problem = null;
        isStuck = isWanted && !signal.aborted && !(await spillAll(spool));
      }
    },
    close: async (keep) => {
      if (keep && spool !== null) await spillAll(spool);
      await spool?.close();
    },
    get isEmpty() {
      return inbox.isEmpty && !isSpooled();
    },
    get waitingBytes() {
      return inbox.sizeBytes;
    },
    get spooledBytes() {
      return spool?.sizeBytes ?? 0;
    },
    get oldestAtMs() {
      return spool?.oldestAtMs ?? inbox.oldestAtMs;
    },
    get problem() {
      return problem;
    },
  };
}

const NEVER = new AbortController().signal;

function lastOf(entry: InboxEntry): bigint {
  if (entry.kind === 'batch') return entry.batch.revisions.at(-1)?.revision ?? 0n;
  return entry.kind === 'gap' ? BigInt(entry.gap.to) : 0n;
}

/** Until the next look; earlier when there is no room in memory, unless nothing could be done about it just now. */
async function crowdedOrSoon(
  inbox: Inbox,
  isStuck: boolean,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const looks = [clock.sleep(LOOK_MS, until)];
  if (!isStuck) looks.push(inbox.crowded(until));
  await Promise.race(looks);
  over.abort();
}
