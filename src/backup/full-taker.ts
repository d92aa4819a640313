import { CodedError, describeError } from '../base/errors.ts';
import type { Clock, Logger } from '../base/ports.ts';
import type { StreamClient } from '../etcd/port.ts';
import type { Schedule } from '../protocol/schedule.ts';
import type { Archive, Epoch } from './archive.ts';
import { ArchiveError } from './errors.ts';
import { dropFull, type Full, lookAtFulls, revisionOf, takeFull, verifyFull } from './full.ts';

/** A full as the one who took it knows it. */
export interface KnownFull extends Full {
  /** When it was read back whole; `null`: it was not, or by somebody else. */
  readonly verifiedAtMs: number | null;
}

/** How a full is asked for. */
export interface FullRequest {
  /** For people. */
  readonly reason: string;
  /** It is read back whole before it counts. */
  readonly verify: boolean;
}

export interface FullTakerOptions {
  readonly archive: Archive;
  readonly epoch: Epoch;
  readonly generation: number;
  /** The URL of a member that can give its data; `null` when none is known. */
  readonly member: (signal: AbortSignal) => Promise<string | null>;
  readonly connect: (url: string) => StreamClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** When a full is due; `null`: only where one is needed or asked for. */
  readonly schedule: Schedule | null;
  /** So many bytes of log since the newest full make the next due; `null`: any number may. */
  readonly logBytesMax: number | null;
  /** Called after each full, with the signal of `run`. */
  readonly onTaken: (signal: AbortSignal) => void;
}

/** Takes one full at a time: when one is needed, when one is due, and when somebody asks. */
export interface FullTaker {
  /** One is needed that is as `isMet` wants it: where the newest is not, it is tried for until it is there. */
  want(request: FullRequest, isMet: (full: Full) => boolean): void;
  /** So many bytes were written to the log. */
  noteWritten(bytes: number): void;
  /** Looks for one that the log can be added to, which goes back to `base`; one is needed where there is none. */
  load(base: bigint, signal: AbortSignal): Promise<void>;
  /** Rejects when that one try fails, or when `signal` aborts. */
  now(request: FullRequest, signal: AbortSignal): Promise<Full>;
  /** Takes them until `signal` aborts. Rejects for a bug, and when the archive is not ours. */
  run(signal: AbortSignal): Promise<void>;
  status(): FullTakerStatus;
}
export interface FullTakerStatus {
  readonly lastFull: KnownFull | null;
  /** Why there is a full to be taken; `null` when there is none. */
  readonly wanted: string | null;
  /** By the schedule; `null`: there is none. In the past while it is being taken, or cannot be. */
  readonly nextAtMs: number | null;
  readonly problem: string | null;
}

/** Between two tries: doubles up to the longest, since each may move all of the data. */
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 5 * 60_000;
/** Between two looks at the wall clock, which may jump. */
const LOOK_MS_MAX = 60_000;

interface Need extends FullRequest {
  readonly isMet: (full: Full) => boolean;
}
interface Asked extends FullRequest {
  readonly settle: (result: Full | Error) => void;
}

export function createFullTaker(options: FullTakerOptions): FullTaker {
  const { archive, epoch, generation, clock, logger, schedule, logBytesMax } = options;
  let lastFull: KnownFull | null = null;
  let needs: readonly Need[] = [];
  let problem: string | null = null;
  let wake = new AbortController();
  /** Those who asked for one, until one was begun for them. */
  let asked: Asked[] = [];
  /** Of the log, since the newest full was begun, as far as this archiver knows. */
  let logBytes = 0;

  /** From when on the schedule counts: what was taken while the clock was ahead puts nothing off. */
  let countedFromMs = Number.POSITIVE_INFINITY;

  const nextAtMs = (): number | null => {
    if (schedule === null || lastFull === null) return null;
    countedFromMs = Math.min(countedFromMs, lastFull.document.startedAtMs, clock.wallMs());
    return schedule.nextMs(countedFromMs);
  };
  /** Why one is to be taken now; `null`: none is. */
  const dueReason = (): string | null => {
    const [first] = asked;
    if (first !== undefined) return first.reason;
    const [need] = needs;
    if (need !== undefined) return need.reason;
    if (logBytesMax !== null && logBytes >= logBytesMax) {
      return `${logBytes} bytes of log since the newest one`;
    }
    const atMs = nextAtMs();
    return atMs !== null && atMs <= clock.wallMs() ? 'scheduled' : null;
  };

  const takeFromMember = async (reason: string, signal: AbortSignal): Promise<Full> => {
    const url = await options.member(signal);
    if (url === null) throw new ArchiveError('missing', 'no member is known that could give its data');
    const client = options.connect(url);
    try {
      return await takeFull({ archive, epoch, generation, client, clock, reason }, signal);
    } finally {
      client.close();
    }
  };
  const verified = async (full: Full, signal: AbortSignal): Promise<KnownFull> => {
    try {
      await verifyFull(archive, full, signal);
    } catch (error) {
      // What does not read as it was written is none that anybody should build on.
      if (error instanceof ArchiveError) await dropFull(archive, full, signal);
      throw error;
    }
    return { ...full, verifiedAtMs: clock.wallMs() };
  };

  const takeOne = async (reason: string, signal: AbortSignal): Promise<void> => {
    const answered = asked;
    asked = [];
    const verify = [...needs, ...answered].some((one) => one.verify);
    const bytesBefore = logBytes;
    try {
      const taken = await takeFromMember(reason, signal);
      const full = verify ? await verified(taken, signal) : { ...taken, verifiedAtMs: null };
      [lastFull, countedFromMs] = [full, Number.POSITIVE_INFINITY];
      logBytes -= bytesBefore;
      problem = null;
      const { revision, sizeBytes } = full.document;
      logger.info('a full was taken', { name: full.name, revision, sizeBytes, reason, verified: verify });
      needs = needs.filter(({ isMet }) => !isMet(full));
      for (const { settle } of answered) settle(full);
    } catch (error) {
      problem = `no full: ${describeError(error)}`;
      if (!signal.aborted) logger.warn('a full was not taken', { reason, problem });
      for (const { settle } of answered) settle(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  };

  const rest = async (signal: AbortSignal): Promise<void> => {
    const atMs = nextAtMs();
    const leftMs = atMs === null ? LOOK_MS_MAX : Math.min(LOOK_MS_MAX, atMs - clock.wallMs());
    await clock.sleep(Math.max(1, leftMs), AbortSignal.any([signal, wake.signal]));
  };

  return {
    want: (request, isMet) => {
      if (lastFull !== null && isMet(lastFull)) return;
      needs = [...needs, { ...request, isMet }];
      wake.abort();
    },
    noteWritten: (bytes) => {
      const wasEnough = logBytesMax !== null && logBytes >= logBytesMax;
      logBytes += bytes;
      if (logBytesMax !== null && logBytes >= logBytesMax && !wasEnough) wake.abort();
    },
    load: async (base, signal) => {
      const { sound: fulls } = await lookAtFulls(archive, epoch, signal);
      const newest = fulls.at(-1);
      lastFull = newest === undefined ? null : { ...newest, verifiedAtMs: null };
      const isMet = (full: Full): boolean => revisionOf(full) >= base;
      if (fulls.some(isMet)) return;
      needs = [...needs, { reason: 'there is none that the log goes on from', verify: false, isMet }];
    },
    now: async (request, signal) =>
      await new Promise<Full>((resolve, reject) => {
        const settle = (result: Full | Error): void => {
          signal.removeEventListener('abort', giveUp);
          if (result instanceof Error) reject(result);
          else resolve(result);
        };
        const giveUp = (): void => settle(new ArchiveError('missing', 'the archiver has ended'));
        if (signal.aborted) giveUp();
        signal.addEventListener('abort', giveUp, { once: true });
        asked.push({ ...request, settle });
        wake.abort();
      }),
    run: async (signal) => {
      for (let pauseMs = RETRY_MS_MIN; !signal.aborted; ) {
        wake = new AbortController();
        const reason = dueReason();
        if (reason === null) {
          await rest(signal);
          continue;
        }
        try {
          await takeOne(reason, signal);
          options.onTaken(signal);
          if (needs.length === 0) pauseMs = RETRY_MS_MIN;
          // A member that lags has not had what is needed; what came to be needed meanwhile is taken for the same.
          else throw new ArchiveError('missing', 'the full that was taken lacks what is needed');
        } catch (error) {
          if (signal.aborted) return;
          if (!(error instanceof CodedError)) throw error;
          // Whoever asks meanwhile has a try of his own at once.
          await clock.sleep(pauseMs, AbortSignal.any([signal, wake.signal]));
          pauseMs = Math.min(RETRY_MS_MAX, pauseMs * 2);
        }
      }
    },
    status: () => ({ lastFull, wanted: needs[0]?.reason ?? null, nextAtMs: nextAtMs(), problem }),
  };
}
