import { orAborted, startDeadline } from '../base/deadline.ts';
import type { Clock, Logger, Random } from '../base/ports.ts';
import { type Connection, openConnection } from './connection.ts';
import { isCode, ZooKeeperError } from './errors.ts';
import { NO_TICKET } from './messages.ts';
import { type DigestCredentials, SESSION_WAIT_MS, type SessionOptions, type ZooKeeper } from './port.ts';
import { createLiveSession, type LiveSession } from './session.ts';
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
/** A connection that lasted this long, milliseconds, was none of those that are lost as soon as they are made. */
const STEADY_MS = 1_000;
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

  /** Carries the connection until it is lost; resolves with how long that was, milliseconds. */
  const carry = async (connection: Connection): Promise<number> => {
    const sinceMs = clock.monotonicMs();
    const resumed = live?.ticket.id === connection.ticket.id;
    const session = live !== null && resumed ? live : createLiveSession(connection);
    if (!resumed) live?.end();
    live = session;
    session.attach(connection);
    lastError = null;
    log.info('zookeeper connected', { server: connection.server, session: session.view.id, resumed });
    tell();
    const reason = await orAborted(stop.signal, connection.lost);
    session.attach(null);
    log.warn('zookeeper connection lost', { server: connection.server, reason: reason.message });
    fail(reason);
    return clock.monotonicMs() - sinceMs;
  };

  /** Resolves with whether it came to anything that lasted; never rejects with a `ZooKeeperError`. */
  const tryServer = async (address: ServerAddress): Promise<boolean> => {
    try {
      const ticket = live?.ticket ?? NO_TICKET;
      const attemptMs = attemptMsFor(options.sessionTimeoutMs);
      const credentials = options.credentials ?? null;
      const timeoutMs = options.sessionTimeoutMs;
      const connection = await openConnection(
        { sockets: options.sockets, clock, address, ticket, timeoutMs, credentials, attemptMs },
        stop.signal,
      );
      if (connection !== null) return (await carry(connection)) >= STEADY_MS;
      log.warn('zookeeper session over', { session: live?.view.id });
      live?.end();
      live = null;
      tell();
      // The next try asks for a new one.
      return ticket !== NO_TICKET;
    } catch (error) {
      if (stop.signal.aborted) return false;
      if (!(error instanceof ZooKeeperError)) throw error;
      fail(error);
      return false;
    }
  };

  const run = async (): Promise<void> => {
    const servers = shuffled(options.servers, options.random);
    let failures = 0;
    for (let at = 0; !stop.signal.aborted; at += 1) {
      const isWell = await tryServer(servers[at % servers.length] as ServerAddress);
      failures = isWell ? 0 : failures + 1;
      if (failures === 0 || failures % servers.length > 0) continue;
      if (failures === servers.length) log.warn('zookeeper out of reach', { reason: lastError?.message });
      const pauseMs = Math.min(PAUSE_MS_MAX, options.sessionTimeoutMs / 8);
      await clock.sleep(pauseMs * (0.5 + options.random.next() / 2), stop.signal);
    }
    // A connection may have come about while it was being closed.
    live?.end();
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
