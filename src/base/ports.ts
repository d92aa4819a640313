import { CodedError } from './errors.ts';

/**
 * The seams to the world. Each has a real implementation (`src/runtime`), a simulated one (`test/sim`) and one
 * contract suite (`test/contract`) that both pass. Nothing outside `src/runtime` asks the world itself.
 */

/** Time. Wall time is for people and records; what is measured or waited for is monotonic. */
export interface Clock {
  /** Milliseconds since 1970, may jump either way. */
  wallMs(): number;
  /** Milliseconds since an unspecified start, never goes back. */
  monotonicMs(): number;
  /**
   * Resolves after `durationMs` (0 … 2^31-1) of monotonic time, or at once when `signal` aborts; it never
   * rejects, so the caller looks at the signal.
   */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}

/** Randomness for jitter and choices, not for secrets. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

/** Names that must never repeat. */
export interface Ids {
  /** A fresh lower-case UUID. */
  uuid(): string;
}

/** One line an event. `event` is a constant in lower-case words; what varies goes into `fields`. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every line. */
  child(fields: LogFields): Logger;
}
export type LogFields = Readonly<Record<string, unknown>>;

/** An HTTP exchange whose answer may be an endless stream: all that talking to a Mesos master needs. */
export interface HttpTransport {
  /**
   * Resolves when the response's head is there. Rejects with an `HttpTransportError` when no head could be had.
   * Redirects are not followed. Aborting `signal` ends the exchange: before the head it rejects, after it the
   * body throws.
   */
  request(request: HttpRequest): Promise<HttpResponse>;
}
export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Absolute, with its scheme. */
  readonly url: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly signal: AbortSignal;
}
export interface HttpResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** Read once. Ends, or throws an `HttpTransportError` when the connection broke. Leaving the loop closes it. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** The one durable document of a cluster, kept with compare-and-set, and small append-only logs beside it. */
export interface StateStore {
  /** `null` where nothing was ever saved. Rejects with a `StateStoreError` when what is there cannot be read. */
  load(): Promise<StoredState | null>;
  /**
   * Durable when it resolves. `expectedVersion` is `null` for the first save.
   * Rejects with code `conflict` when the stored version is another: somebody else has written; with `too-large`
   * when there is more than a record may have.
   */
  save(bytes: Uint8Array, expectedVersion: string | null): Promise<string>;
  /**
   * Adds an entry to the log `kind`; the newest {@link LOG_ENTRIES_MAX} are kept. Rejects with code `too-large` when
   * it has more than {@link LOG_ENTRY_BYTES_MAX} bytes as JSON text.
   */
  append(kind: LogKind, entry: string): Promise<void>;
  /** Oldest first. */
  read(kind: LogKind): Promise<readonly string[]>;
  /** Forgets record and logs for good: the next {@link load} gives `null`. Safe to repeat. */
  clear(): Promise<void>;
}
export interface StoredState {
  readonly bytes: Uint8Array;
  readonly version: string;
}
export const LOG_KINDS = ['recoveries', 'plans', 'audit'] as const;
export type LogKind = (typeof LOG_KINDS)[number];
/** Entries that a log of a state store keeps. */
export const LOG_ENTRIES_MAX = 200;
/** Bytes of one of them. */
export const LOG_ENTRY_BYTES_MAX = 64 * 1024;

/** Which of several schedulers acts. */
export interface Leadership {
  /**
   * Resolves when this process leads; until then it stands by. Rejects when `signal` aborts. May be called again
   * once the term it gave is over.
   */
  lead(signal: AbortSignal): Promise<LeadershipTerm>;
  /** Base URL of the API of the scheduler that leads now, by the newest word; `null` where none is known. */
  leaderUrl(): string | null;
}
/** The time for which one process leads. */
export interface LeadershipTerm {
  /** Aborts as soon as it is not certain any more that we lead: nothing may be begun from then on. */
  readonly over: AbortSignal;
  /**
   * Whether we still lead, by the clock at this moment: a process that was stopped may run a while after it wakes
   * before {@link over} aborts. Asked right before whatever only a leader may do.
   */
  holds(): boolean;
  /** Gives it up, so that another need not wait for our session to end. */
  resign(): Promise<void>;
}

/** Operating system processes. */
export interface Processes {
  /**
   * Resolves when the process runs (its program was found and executed); rejects with a `ProcessError` else.
   */
  start(spec: ProcessSpec): Promise<RunningProcess>;
}
export interface ProcessSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Each line that the process writes to stdout or stderr, without its end, cut at 64 KiB. */
  readonly onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
}
export interface RunningProcess {
  readonly pid: number;
  /** Resolves once, when the process has ended and was reaped. */
  readonly exit: Promise<ProcessExit>;
  /** No effect once it has ended. */
  signal(signal: 'SIGTERM' | 'SIGKILL' | 'SIGQUIT'): void;
}
export interface ProcessExit {
  /** `null` when a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
}

/** `untrusted`: the server's certificate does not hold. `malformed`: what answered does not speak HTTP. */
export class HttpTransportError extends CodedError<
  'connect-failed' | 'untrusted' | 'connection-lost' | 'malformed' | 'aborted'
> {}
/** What keeping the record can end in. `conflict`: somebody else has written since. */
export class StateStoreError extends CodedError<
  'conflict' | 'unreadable' | 'corrupt' | 'unavailable' | 'too-large'
> {}
/** Why a program was not started. */
export class ProcessError extends CodedError<'not-found' | 'not-executable' | 'start-failed'> {}
