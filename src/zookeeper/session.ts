import type { Connection } from './connection.ts';
import { isCode, ZooKeeperError } from './errors.ts';
import {
  aclRequest,
  childrenRequest,
  closeRequest,
  createRequest,
  getRequest,
  hex,
  multiRequest,
  type Request,
  removeRequest,
  type SessionTicket,
  setAclRequest,
  setRequest,
  statRequest,
  syncRequest,
} from './messages.ts';
import type { ZooKeeperSession } from './port.ts';

/** A session and the connection that carries it at present. */
export interface LiveSession {
  readonly ticket: SessionTicket;
  readonly view: ZooKeeperSession;
  isConnected(): boolean;
  /** `null`: it has none. */
  attach(connection: Connection | null): void;
  sayGoodBye(): Promise<void>;
  /** It is over. */
  end(): void;
}

export function createLiveSession(first: Connection): LiveSession {
  const { ticket } = first;
  const ended = new AbortController();
  let connection: Connection | null = first;
  /** A server that was started anew may grant another. */
  let timeoutMs = first.timeoutMs;
  let provenMs = Number.NEGATIVE_INFINITY;
  const noteProof = (): void => {
    provenMs = Math.max(provenMs, connection?.provenMs() ?? provenMs);
  };
  const calls = createCalls(() => {
    if (ended.signal.aborted) throw new ZooKeeperError('session-ended', 'the ZooKeeper session is over');
    if (connection !== null) return connection;
    throw new ZooKeeperError('not-connected', 'no ZooKeeper is connected at present');
  });

  return {
    ticket,
    isConnected: () => connection?.isOpen() === true && !ended.signal.aborted,
    attach: (next) => {
      noteProof();
      connection = next;
      timeoutMs = next?.timeoutMs ?? timeoutMs;
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
      ...calls,
      id: hex(ticket.id),
      get timeoutMs() {
        return timeoutMs;
      },
      ended: ended.signal,
      certainUntilMs: () => {
        noteProof();
        return provenMs + timeoutMs;
      },
    },
  };
}

type Calls = Omit<ZooKeeperSession, 'id' | 'timeoutMs' | 'ended' | 'certainUntilMs'>;

/** @param carrier the connection to ask on; throws where there is none */
function createCalls(carrier: () => Connection): Calls {
  const write = async <T>(request: Request<T>): Promise<T> => await carrier().request(request);
  const read = async <T>(request: Request<T>): Promise<T> => await readOn(carrier(), request);
  return {
    get: (path) => read(getRequest(path, false)),
    watch: async (path) => {
      const { outcome, changed } = await watchOn(carrier(), getRequest(path, true), 'data');
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
      // The watch of a node that is not there waits for it.
      const isSet = (error: ZooKeeperError | null): boolean => error === null || error.code === 'no-node';
      const { outcome, changed } = await watchOn(carrier(), statRequest(path, true), 'data', isSet);
      return { stat: outcome instanceof ZooKeeperError ? null : outcome, changed };
    },
    children: (path) => read(childrenRequest(path, false)),
    watchChildren: async (path) => {
      const { outcome, changed } = await watchOn(carrier(), childrenRequest(path, true), 'children');
      if (outcome instanceof ZooKeeperError) throw outcome;
      return { names: outcome, changed };
    },
    create: (path, data, options = {}) => write(createRequest(path, data, options)),
    set: (path, data, version) => write(setRequest(path, data, version)),
    remove: (path, version) => write(removeRequest(path, version)),
    acl: (path) => read(aclRequest(path)),
    setAcl: (path, acl) => write(setAclRequest(path, acl)),
    multi: (changes) => write(multiRequest(changes)),
  };
}

/** Behind a sync, on the same connection: so it sees what was written before it was asked for. */
async function readOn<T>(
  connection: Connection,
  request: Request<T>,
  onAnswer: (error: ZooKeeperError | null) => void = () => undefined,
): Promise<T> {
  const synced = connection.request(syncRequest);
  const answer = connection.request(request, onAnswer);
  // Both are looked at, so that neither is a rejection that nobody handles.
  const [first, second] = await Promise.allSettled([synced, answer]);
  if (first.status === 'rejected') throw first.reason as ZooKeeperError;
  if (second.status === 'rejected') throw second.reason as ZooKeeperError;
  return second.value;
}

/** The read's outcome and the promise of the watch that it has set; rejects where it has set none. */
async function watchOn<T>(
  connection: Connection,
  request: Request<T>,
  kind: 'data' | 'children',
  isSetBy: (error: ZooKeeperError | null) => boolean = (error) => error === null,
): Promise<{ readonly outcome: T | ZooKeeperError; readonly changed: Promise<void> }> {
  let changed: Promise<void> | null = null;
  const outcome = await readOn(connection, request, (error) => {
    if (isSetBy(error)) changed = connection.watches[kind](request.path);
  }).catch((error: unknown) => error as ZooKeeperError);
  if (changed === null) throw outcome as ZooKeeperError;
  return { outcome, changed };
}
