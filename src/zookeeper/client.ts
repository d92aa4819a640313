import { orAborted, startDeadline } from '../base/deadline.ts';
import type { Clock, Logger, Random } from '../base/ports.ts';
import { type Connection, openConnection } from './connection.ts';
import { isCode, ZooKeeperError } from './errors.ts';
import {
  aclRequest,
  childrenRequest,
  closeRequest,
  createRequest,
  getRequest,
  hex,
  multiRequest,
  NO_TICKET,
  type Request,
  removeRequest,
  type SessionTicket,
  setAclRequest,
  setRequest,
  statRequest,
  syncRequest,
} from './messages.ts';
import {
  type DigestCredentials,
  SESSION_WAIT_MS,
  type SessionOptions,
  type ZooKeeper,
  type ZooKeeperSession,
} from './port.ts';
import type { ServerAddress, Sockets } from './socket-port.ts';

export interface ZooKeeperOptions {
  readonly sockets: Sockets;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Of one ensemble; at least one. */
  readonly servers: readonly ServerAddress[];
  /** What is asked for, milliseconds; the servers have limits of their own (2 to 20 of their ticks). */
  readonly sessionTimeoutMs: number;
  /** Default none. */
  readonly credentials?: DigestCredentials | null;
}

/** Milliseconds for one server to take a connection and hold its end of the handshake. */
const ATTEMPT_MS_MIN = 500;
const ATTEMPT_MS_MAX = 5_000;
/** Milliseconds between two rounds in which no server of all could be had. */
const PAUSE_MS_MAX = 1_000;
/** Milliseconds that saying good-bye may take. */
const CLOSE_MS = 1_000;

/**
 * Holds a session with an ensemble: connects when the first is asked for, goes from server to server as
 * connections are lost, and starts another session when a server says that the last one is over.
 */
export function createZooKeeper(options: ZooKeeperOptions): ZooKeeper {
  const { clock, log } = options;
  const stop = new AbortController();
  let live: LiveSession | null = null;
  let lastError: ZooKeeperError | null = null;
  let running: Promise<void> | null = null;
  /** Resolves at the next thing that whoever waits for a session wants to know of. */
  let news = Promise.withResolvers<void>();
  const tell = (): void => {
    news.resolve();
    news = Promise.withResolvers<void>();
  };
  const fail = (error: ZooKeeperError): void => {
    lastError = error;
    tell();
  };

  /** Carries the connection until it is lost. */
  const carry = async (connection: Connection): Promise<void> => {
    const resumed = live !== null && live.ticket.id === connection.ticket.id;
    if (!resumed) {
      live?.end();
      live = createLiveSession(connection.ticket, connection.timeoutMs);
    }
    const session = live as LiveSession;
    session.attach(connection);
    lastError = null;
    log.info('zookeeper connected', { server: connection.server, session: session.view.id, resumed });
    tell();
    const reason = await orAborted(stop.signal, connection.lost);
    session.attach(null);
    log.warn('zookeeper connection lost', { server: connection.server, reason: reason.message });
    fail(reason);
  };

  const run = async (): Promise<void> => {
    const servers = shuffled(options.servers, options.random);
    let failures = 0;
    for (let at = 0; !stop.signal.aborted; at += 1) {
      const address = servers[at % servers.length] as ServerAddress;
      try {
        const connection = await openConnection(
          {
            ...options,
            address,
            ticket: live?.ticket ?? NO_TICKET,
            timeoutMs: options.sessionTimeoutMs,
            credentials: options.credentials ?? null,
            attemptMs: attemptMsFor(options.sessionTimeoutMs),
          },
          stop.signal,
        );
        if (connection === null) {
          log.warn('zookeeper session over', { session: live?.view.id });
          live?.end();
          live = null;
          tell();
        } else {
          failures = 0;
          await carry(connection);
        }
      } catch (error) {
        if (stop.signal.aborted) return;
        if (!(error instanceof ZooKeeperError)) throw error;
        failures += 1;
        if (failures === servers.length) log.warn('zookeeper out of reach', { reason: error.message });
        fail(error);
      }
      if (failures > 0 && failures % servers.length === 0) {
        const pauseMs = Math.min(PAUSE_MS_MAX, options.sessionTimeoutMs / 8);
        await clock.sleep(pauseMs * (0.5 + options.random.next() / 2), stop.signal);
      }
    }
  };

  return {
    async session({ signal = new AbortController().signal, waitMs = SESSION_WAIT_MS }: SessionOptions = {}) {
      running ??= run();
      const deadline = startDeadline(clock, waitMs, signal);
      try {
        for (;;) {
          if (stop.signal.aborted) throw closed();
          if (live?.isConnected() === true) return live.view;
          if (isCode(lastError, 'auth-failed')) throw lastError as ZooKeeperError;
          await orAborted(AbortSignal.any([deadline.signal, stop.signal]), news.promise).catch(
            () => undefined,
          );
          if (signal.aborted) throw new ZooKeeperError('aborted', 'waiting for ZooKeeper was given up');
          if (deadline.passed) throw outOfReach(options.servers, waitMs, lastError);
        }
      } finally {
        deadline.release();
      }
    },
    async close() {
      if (stop.signal.aborted) return;
      const ending = live;
      const deadline = startDeadline(clock, CLOSE_MS, stop.signal);
      await orAborted(deadline.signal, ending?.sayGoodBye() ?? Promise.resolve()).catch(() => undefined);
      deadline.release();
      stop.abort(closed());
      ending?.end();
      tell();
      await running?.catch(() => undefined);
    },
  };
}

/** A session and the connection that carries it at present. */
interface LiveSession {
  readonly ticket: SessionTicket;
  readonly view: ZooKeeperSession;
  isConnected(): boolean;
  /** `null`: it has none. */
  attach(connection: Connection | null): void;
  sayGoodBye(): Promise<void>;
  /** It is over. */
  end(): void;
}

function createLiveSession(ticket: SessionTicket, timeoutMs: number): LiveSession {
  const ended = new AbortController();
  let connection: Connection | null = null;
  let provenMs = Number.NEGATIVE_INFINITY;
  const noteProof = (): void => {
    provenMs = Math.max(provenMs, connection?.provenMs() ?? provenMs);
  };

  const carrier = (): Connection => {
    if (ended.signal.aborted) throw new ZooKeeperError('session-ended', 'the ZooKeeper session is over');
    if (connection === null)
      throw new ZooKeeperError('not-connected', 'no ZooKeeper is connected at present');
    return connection;
  };
  const write = async <T>(request: Request<T>): Promise<T> => await carrier().request(request);
  /** Behind a sync, on the same connection: so it sees what was written before it was asked for. */
  const read = async <T>(
    request: Request<T>,
    onAnswer?: (connection: Connection, error: ZooKeeperError | null) => void,
  ): Promise<T> => {
    const on = carrier();
    const synced = on.request(syncRequest);
    const answer = on.request(request, (error) => onAnswer?.(on, error));
    // Both are looked at, so that neither is a rejection that nobody handles.
    const [first, second] = await Promise.allSettled([synced, answer]);
    if (first.status === 'rejected') throw first.reason as ZooKeeperError;
    if (second.status === 'rejected') throw second.reason as ZooKeeperError;
    return second.value;
  };
  /** The read, and the promise of the watch that it has set. */
  const watched = async <T>(
    request: Request<T>,
    kind: 'data' | 'children',
    setBy: (error: ZooKeeperError | null) => boolean = (error) => error === null,
  ): Promise<{ readonly outcome: T | ZooKeeperError; readonly changed: Promise<void> }> => {
    let changed: Promise<void> | null = null;
    const outcome = await read(request, ({ watches }, error) => {
      if (setBy(error)) changed = watches[kind](request.path);
    }).catch((error: unknown) => error as ZooKeeperError);
    if (changed === null) throw outcome;
    return { outcome, changed };
  };

  return {
    ticket,
    isConnected: () => connection !== null && !ended.signal.aborted,
    attach: (next) => {
      noteProof();
      connection = next;
    },
    sayGoodBye: async () => {
      await connection?.request(closeRequest);
    },
    end: () => {
      if (ended.signal.aborted) return;
      connection?.drop(new ZooKeeperError('connection-lost', 'the session was closed'));
      connection = null;
      ended.abort(new ZooKeeperError('session-ended', 'the ZooKeeper session is over'));
    },
    view: {
      id: hex(ticket.id),
      timeoutMs,
      ended: ended.signal,
      certainUntilMs: () => {
        noteProof();
        return provenMs + timeoutMs;
      },
      get: (path) => read(getRequest(path, false)),
      watch: async (path) => {
        const { outcome, changed } = await watched(getRequest(path, true), 'data');
        if (outcome instanceof ZooKeeperError) throw outcome;
        return { ...outcome, changed };
      },
      stat: async (path) => {
        try {
          return await read(statRequest(path, false));
        } catch (error) {
          if (isCode(error, 'no-node')) return null;
          throw error;
        }
      },
      watchStat: async (path) => {
        const isSet = (error: ZooKeeperError | null): boolean => error === null || error.code === 'no-node';
        const { outcome, changed } = await watched(statRequest(path, true), 'data', isSet);
        return { stat: outcome instanceof ZooKeeperError ? null : outcome, changed };
      },
      children: (path) => read(childrenRequest(path, false)),
      watchChildren: async (path) => {
        const { outcome, changed } = await watched(childrenRequest(path, true), 'children');
        if (outcome instanceof ZooKeeperError) throw outcome;
        return { names: outcome, changed };
      },
      create: (path, data, createOptions = {}) => write(createRequest(path, data, createOptions)),
      set: (path, data, version) => write(setRequest(path, data, version)),
      remove: (path, version) => write(removeRequest(path, version)),
      acl: (path) => read(aclRequest(path)),
      setAcl: (path, acl) => write(setAclRequest(path, acl)),
      multi: (changes) => write(multiRequest(changes)),
    },
  };
}

function attemptMsFor(sessionTimeoutMs: number): number {
  return Math.min(ATTEMPT_MS_MAX, Math.max(ATTEMPT_MS_MIN, Math.round(sessionTimeoutMs / 6)));
}

/** So that clients spread over the ensemble. */
function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  const left = [...items];
  return items.map(() => left.splice(Math.floor(random.next() * left.length), 1)[0] as T);
}

function outOfReach(
  servers: readonly ServerAddress[],
  waitMs: number,
  cause: ZooKeeperError | null,
): ZooKeeperError {
  const names = servers.map(({ host, port }) => `${host}:${port}`).join(',');
  const why = cause === null ? '' : `: ${cause.message}`;
  return new ZooKeeperError('not-connected', `no ZooKeeper of ${names} within ${waitMs / 1000} s${why}`, {
    ...(cause === null ? {} : { cause }),
    hint: 'Check the addresses, and that a majority of the ensemble runs.',
  });
}

function closed(): ZooKeeperError {
  return new ZooKeeperError('closed', 'the ZooKeeper session was closed');
}
