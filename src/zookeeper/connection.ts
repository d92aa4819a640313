import { orAborted, startDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import type { Clock } from '../base/ports.ts';
import { errorOfNumber, ZooKeeperError } from './errors.ts';
import { readFrames } from './frames.ts';
import {
  authenticateRequest,
  connectFrame,
  type Request,
  readAnswer,
  readConnectAnswer,
  readWatchEvent,
  requestFrame,
  type SessionTicket,
  syncRequest,
  XID_AUTHENTICATE,
  XID_EVENT,
} from './messages.ts';
import type { DigestCredentials } from './port.ts';
import type { ServerAddress, Socket, Sockets } from './socket-port.ts';
import { createWatches, type Watches } from './watches.ts';

/** One TCP connection that carries a session, from the handshake until it is lost. */
export interface Connection {
  readonly server: string;
  readonly ticket: SessionTicket;
  /** What the server granted, milliseconds. */
  readonly timeoutMs: number;
  readonly watches: Watches;
  isOpen(): boolean;
  /** When, by the monotonic clock, the newest request was sent that reached the ensemble's leader. */
  provenMs(): number;
  /** @param onAnswer runs before anything that was received later is looked at; `null` for success */
  request<T>(request: Request<T>, onAnswer?: (error: ZooKeeperError | null) => void): Promise<T>;
  /** Resolves with the reason once it is lost. */
  readonly lost: Promise<ZooKeeperError>;
  drop(reason: ZooKeeperError): void;
}

export interface ConnectionOptions {
  readonly sockets: Sockets;
  readonly clock: Clock;
  readonly address: ServerAddress;
  readonly ticket: SessionTicket;
  /** Asked for. */
  readonly timeoutMs: number;
  readonly credentials: DigestCredentials | null;
  /** For all that comes before the session can be used. */
  readonly attemptMs: number;
}

/** Requests that may wait for their answers. */
const PENDING_MAX = 1_000;
/** Bytes of them. */
const PENDING_BYTES_MAX = 16 * 1024 * 1024;
/** Bytes of one: what a server takes by default (`jute.maxbuffer`). */
const REQUEST_BYTES_MAX = 1024 * 1024 - 1;
/**
 * Parts of the session timeout. One of {@link HEARTBEAT_PART} passes between two heartbeats; after one of
 * {@link SILENCE_PART} without an answer another server is tried, which leaves time to be let in there; one of
 * {@link LOOK_PART} passes between two looks at that.
 */
const HEARTBEAT_PART = 8;
const SILENCE_PART = 4;
const LOOK_PART = 16;

interface Pending {
  readonly xid: number;
  readonly sentMs: number;
  readonly sizeBytes: number;
  settle(error: ZooKeeperError | null, frame: ReturnType<typeof readAnswer> | null): void;
}

/**
 * Connects and shakes hands. `null`: the server says that the session is over.
 * Rejects with a {@link ZooKeeperError}: `not-connected`, `auth-failed`, `malformed`, `aborted`.
 */
export async function openConnection(
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<Connection | null> {
  const { clock, address } = options;
  const server = `${address.host}:${address.port}`;
  const deadline = startDeadline(clock, options.attemptMs, signal);
  let socket: Socket | null = null;
  try {
    socket = await orAborted(deadline.signal, options.sockets.connect(address, deadline.signal));
    const frames = readFrames(socket.incoming);
    const sentMs = clock.monotonicMs();
    socket.write(connectFrame(options.ticket, options.timeoutMs));
    const first = await orAborted(deadline.signal, frames.next());
    if (first.done === true) {
      throw new ZooKeeperError('not-connected', `${server} closes the connection before it has answered`);
    }
    const granted = readConnectAnswer(first.value);
    if (granted === null) {
      socket.close();
      return null;
    }
    const connection = run({ server, socket, frames, clock, provenMs: sentMs, ...granted });
    if (options.credentials !== null) {
      await authenticate(connection, options.credentials, deadline.signal);
    }
    return connection;
  } catch (error) {
    socket?.close();
    if (signal.aborted) throw new ZooKeeperError('aborted', `connecting to ${server} was given up`);
    if (deadline.passed) {
      const message = `${server} has not answered within ${options.attemptMs} ms`;
      throw new ZooKeeperError('not-connected', message);
    }
    if (error instanceof ZooKeeperError) throw error;
    throw new ZooKeeperError('not-connected', `${server}: ${describeError(error)}`, { cause: error });
  } finally {
    deadline.release();
  }
}

/** Whoever cannot be told who we are could make nodes that anybody may change: no use is made of it before. */
async function authenticate(
  connection: Connection,
  credentials: DigestCredentials,
  signal: AbortSignal,
): Promise<void> {
  try {
    await orAborted(signal, connection.request(authenticateRequest(credentials)));
  } catch (error) {
    const reason = new ZooKeeperError('auth-failed', `${connection.server} does not accept the credentials`, {
      cause: error,
      hint: 'Check the user and the password in the file of --zk-auth-file.',
    });
    connection.drop(reason);
    throw error instanceof ZooKeeperError && error.code === 'auth-failed' ? reason : error;
  }
}

interface Line {
  readonly server: string;
  readonly socket: Socket;
  readonly frames: AsyncGenerator<Uint8Array>;
  readonly clock: Clock;
  readonly ticket: SessionTicket;
  readonly timeoutMs: number;
  readonly provenMs: number;
}

function run(line: Line): Connection {
  const { server, socket, clock, timeoutMs } = line;
  const lost = Promise.withResolvers<ZooKeeperError>();
  const over = new AbortController();
  const watches = createWatches();
  const pending: Pending[] = [];
  let pendingBytes = 0;
  let nextXid = 1;
  let provenMs = line.provenMs;
  let heartbeatMs = clock.monotonicMs();

  const drop = (reason: ZooKeeperError): void => {
    if (over.signal.aborted) return;
    over.abort();
    socket.close();
    for (const { settle } of pending.splice(0)) {
      settle(new ZooKeeperError('connection-lost', reason.message, { cause: reason }), null);
    }
    watches.fireAll();
    lost.resolve(reason);
  };

  const request = <T>(
    asked: Request<T>,
    onAnswer: (error: ZooKeeperError | null) => void = () => undefined,
  ): Promise<T> => {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const xid = asked.type === AUTHENTICATE_TYPE ? XID_AUTHENTICATE : nextXid;
    if (xid === nextXid) nextXid = nextXid === XID_MAX ? 1 : nextXid + 1;
    const frame = requestFrame(xid, asked);
    const sizeBytes = frame.byteLength;
    if (over.signal.aborted) return Promise.reject(notConnected(server));
    if (sizeBytes > REQUEST_BYTES_MAX) return Promise.reject(tooMuch(`${asked.path}: ${sizeBytes} bytes`));
    if (pending.length >= PENDING_MAX || pendingBytes + sizeBytes > PENDING_BYTES_MAX) {
      return Promise.reject(tooMuch(`${asked.path}: ${pending.length} requests wait for their answers`));
    }
    const sentMs = clock.monotonicMs();
    pendingBytes += sizeBytes;
    pending.push({
      xid,
      sentMs,
      sizeBytes,
      settle: (error, answer) => {
        const outcome = error ?? outcomeOf(asked, answer);
        if (outcome instanceof ZooKeeperError) {
          onAnswer(outcome);
          reject(outcome);
          if (outcome.code === 'malformed') drop(outcome);
          return;
        }
        if (asked === (syncRequest as Request<unknown>)) provenMs = Math.max(provenMs, sentMs);
        onAnswer(null);
        resolve(outcome.value);
      },
    });
    socket.write(frame);
    return promise;
  };

  const receive = (frame: Uint8Array): void => {
    const answer = readAnswer(frame);
    if (answer.xid === XID_EVENT) {
      const event = readWatchEvent(answer);
      if (event !== null) watches.fire(event);
      return;
    }
    const next = pending.shift();
    if (next === undefined || next.xid !== answer.xid) {
      throw new ZooKeeperError('malformed', `${server} answers what was not asked for`);
    }
    pendingBytes -= next.sizeBytes;
    next.settle(null, answer);
  };

  const listen = async (): Promise<void> => {
    try {
      for await (const frame of line.frames) receive(frame);
      drop(new ZooKeeperError('connection-lost', `${server} has closed the connection`));
    } catch (error) {
      const reason =
        error instanceof ZooKeeperError
          ? error
          : new ZooKeeperError('connection-lost', `${server}: ${describeError(error)}`, { cause: error });
      drop(reason);
    }
  };

  const keepAlive = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await clock.sleep(Math.ceil(timeoutMs / LOOK_PART), over.signal);
      const nowMs = clock.monotonicMs();
      const oldest = pending[0];
      if (oldest !== undefined && nowMs - oldest.sentMs > timeoutMs / SILENCE_PART) {
        const message = `${server} has not answered for ${Math.round(nowMs - oldest.sentMs)} ms`;
        drop(new ZooKeeperError('connection-lost', message));
      } else if (nowMs - heartbeatMs >= timeoutMs / HEARTBEAT_PART && !over.signal.aborted) {
        heartbeatMs = nowMs;
        // What becomes of it shows in the connection.
        request(syncRequest).catch(() => undefined);
      }
    }
  };

  void listen();
  void keepAlive();
  return {
    server,
    ticket: line.ticket,
    timeoutMs,
    watches,
    isOpen: () => !over.signal.aborted,
    provenMs: () => provenMs,
    request,
    lost: lost.promise,
    drop,
  };
}

const AUTHENTICATE_TYPE = authenticateRequest({ user: '', password: '' }).type;
/** Numbers of requests are positive: the others have meanings of their own. */
const XID_MAX = 2 ** 31 - 1;

function outcomeOf<T>(
  asked: Request<T>,
  answer: ReturnType<typeof readAnswer> | null,
): { readonly value: T } | ZooKeeperError {
  if (answer === null) return new ZooKeeperError('connection-lost', `${asked.path}: no answer has come`);
  if (answer.error !== 0) return errorOfNumber(answer.error, asked.path);
  try {
    return { value: asked.read(answer.reader) };
  } catch (error) {
    if (error instanceof ZooKeeperError) return error;
    throw error;
  }
}

function notConnected(server: string): ZooKeeperError {
  return new ZooKeeperError('not-connected', `the connection to ${server} is lost`);
}

function tooMuch(what: string): ZooKeeperError {
  return new ZooKeeperError('too-much', `${what}: more than is sent at once`);
}
