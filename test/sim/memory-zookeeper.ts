import { createHash } from 'node:crypto';
import { orAborted, startDeadline } from '../../src/base/deadline.ts';
import type { Clock } from '../../src/base/ports.ts';
import { ZooKeeperError } from '../../src/zookeeper/errors.ts';
import { childPath, parentPath } from '../../src/zookeeper/nodes.ts';
import {
  type Change,
  type CreateOptions,
  type DigestCredentials,
  type NodeStat,
  OPEN_ACL,
  type Permission,
  SESSION_WAIT_MS,
  type ZooKeeper,
  type ZooKeeperSession,
} from '../../src/zookeeper/port.ts';
import { createWatches, type Watches } from '../../src/zookeeper/watches.ts';

/** A ZooKeeper in memory: a tree of nodes, sessions that end in silence, and clients that can be cut off. */
export interface MemoryZooKeeper {
  client(options: {
    readonly timeoutMs: number;
    readonly credentials?: DigestCredentials | null;
    /** Of the process that it is part of. Default: the ensemble's. */
    readonly clock?: Clock;
    /** One way, for each question and each answer. Default: none. */
    readonly latencyMs?: () => number;
  }): MemoryClient;
  /** All nodes and sessions are gone. */
  wipe(): void;
  /** What a node holds; `null`: there is none. */
  contentOf(path: string): Uint8Array | null;
  /** What it holds now, for {@link restore}. */
  copy(): TreeCopy;
  /** An old copy is put back: sessions are gone, nodes are as they were then. */
  restore(copy: TreeCopy): void;
}
export type TreeCopy = Readonly<Record<'tree of nodes', unknown>>;
export interface MemoryClient {
  readonly zooKeeper: ZooKeeper;
  /** It can reach nobody any more. */
  cut(): void;
  heal(): void;
  /** The servers hold its session to be over, and it does not know yet. */
  expire(): void;
  /** Its process stands still, or is dead: it hears of nothing any more. */
  freeze(): void;
  /** Its process goes on. */
  thaw(): void;
}

interface Node {
  readonly data: Uint8Array;
  readonly version: number;
  readonly created: string;
  readonly owner: string | null;
  readonly acl: readonly Permission[];
  /** For sequential children. */
  readonly sequence: number;
}
interface ServerSession {
  readonly id: string;
  readonly timeoutMs: number;
  touchedMs: number;
}
type Tree = Map<string, Node>;
type Event = { readonly path: string; readonly kind: 'created' | 'removed' | 'changed' | 'children' };

const READ = 1;
const WRITE = 2;
const CREATE = 4;
const DELETE = 8;
const ADMIN = 16;
/** Parts of a session's timeout between two heartbeats. */
const HEARTBEAT_PART = 8;

export function createMemoryZooKeeper(clock: Clock): MemoryZooKeeper {
  const server = createServer(clock);
  return {
    wipe: () => server.reset(emptyTree()),
    contentOf: (path) => server.tree.get(path)?.data ?? null,
    copy: () => ({ 'tree of nodes': new Map(server.tree) }),
    restore: (copy) => {
      const old = new Map(copy['tree of nodes'] as Tree);
      // Their sessions were over long ago.
      for (const [path, node] of [...old]) if (node.owner !== null) old.delete(path);
      server.reset(old);
    },
    client: (options) => createClient({ clock, credentials: null, latencyMs: null, ...options, server }),
  };
}

// --- the server ------------------------------------------------------------------------------------------------

interface Server {
  tree: Tree;
  readonly watchers: Set<Watches>;
  open(timeoutMs: number): string;
  /** Whether it is there still. */
  touch(id: string): boolean;
  end(id: string): void;
  /** All of the changes or none. Returns the path of the node that was made last. */
  commit(changes: readonly ServerChange[], who: Who): string;
  /** Nodes are these from now on, and sessions are gone. */
  reset(tree: Tree): void;
}
type ServerChange =
  | Change
  | ({ readonly kind: 'create'; readonly path: string; readonly data: Uint8Array } & CreateOptions);
interface Who {
  readonly session: string;
  /** The digest of its credentials; `null` without any. */
  readonly digest: string | null;
}

function createServer(clock: Clock): Server {
  const sessions = new Map<string, ServerSession>();
  let transactions = 0;
  const fresh = (): string => {
    transactions += 1;
    return transactions.toString(16);
  };
  const fire = (events: readonly Event[]): void => {
    for (const event of events) for (const watches of server.watchers) watches.fire(event);
  };
  const end = (id: string): void => {
    if (!sessions.delete(id)) return;
    const events: Event[] = [];
    for (const [path, node] of [...server.tree]) {
      if (node.owner === id) events.push(...drop(server.tree, path));
    }
    fire(events);
  };
  const watchSilence = async (session: ServerSession): Promise<void> => {
    while (sessions.has(session.id)) {
      const leftMs = session.touchedMs + session.timeoutMs - clock.monotonicMs();
      if (leftMs <= 0) end(session.id);
      else await clock.sleep(leftMs);
    }
  };

  const server: Server = {
    tree: emptyTree(),
    watchers: new Set(),
    open: (timeoutMs) => {
      const session = { id: `5e55${fresh()}`, timeoutMs, touchedMs: clock.monotonicMs() };
      sessions.set(session.id, session);
      void watchSilence(session);
      return session.id;
    },
    touch: (id) => {
      const session = sessions.get(id);
      if (session !== undefined) session.touchedMs = clock.monotonicMs();
      return session !== undefined;
    },
    end,
    commit: (changes, who) => {
      const tree: Tree = new Map(server.tree);
      const events: Event[] = [];
      let path = '';
      for (const change of changes) {
        path = change.path;
        if (change.kind === 'create') {
          path = add(tree, change, who, fresh());
          events.push({ path, kind: 'created' }, { path: parentPath(path) ?? '/', kind: 'children' });
        } else {
          events.push(...alter(tree, change, who));
        }
      }
      server.tree = tree;
      fire(events);
      return path;
    },
    reset: (tree) => {
      sessions.clear();
      server.tree = tree;
      for (const watches of server.watchers) watches.fireAll();
    },
  };
  return server;
}

function emptyTree(): Tree {
  const root = { data: new Uint8Array(), version: 0, created: '0', owner: null, acl: OPEN_ACL, sequence: 0 };
  return new Map([['/', root]]);
}

function add(
  tree: Tree,
  change: { readonly path: string; readonly data: Uint8Array } & CreateOptions,
  who: Who,
  created: string,
): string {
  const parent = parentPath(change.path) ?? '/';
  const above = nodeAt(tree, parent);
  allow(above, CREATE, who, parent);
  const path =
    change.sequential === true ? change.path + String(above.sequence).padStart(10, '0') : change.path;
  if (tree.has(path)) throw new ZooKeeperError('node-exists', `${path}: the node exists already`);
  tree.set(parent, { ...above, sequence: above.sequence + 1 });
  tree.set(path, {
    data: Uint8Array.from(change.data),
    version: 0,
    created,
    owner: change.ephemeral === true ? who.session : null,
    acl: stored(change.acl ?? OPEN_ACL, who),
    sequence: 0,
  });
  return path;
}

function alter(tree: Tree, change: Exclude<Change, { kind: 'create' }>, who: Who): readonly Event[] {
  const { path, version } = change;
  const node = nodeAt(tree, path);
  const parent = parentPath(path) ?? '/';
  if (change.kind === 'set') allow(node, WRITE, who, path);
  if (change.kind === 'remove') allow(nodeAt(tree, parent), DELETE, who, parent);
  if (version !== null && version !== node.version) {
    throw new ZooKeeperError('bad-version', `${path}: the node has another version`);
  }
  switch (change.kind) {
    case 'check':
      return [];
    case 'set':
      tree.set(path, { ...node, data: Uint8Array.from(change.data), version: node.version + 1 });
      return [{ path, kind: 'changed' }];
    case 'remove':
      if (namesIn(tree, path).length > 0)
        throw new ZooKeeperError('not-empty', `${path}: the node has children`);
      return drop(tree, path);
  }
}

function drop(tree: Tree, path: string): readonly Event[] {
  tree.delete(path);
  return [
    { path, kind: 'removed' },
    { path: parentPath(path) ?? '/', kind: 'children' },
  ];
}

function nodeAt(tree: Tree, path: string): Node {
  const node = tree.get(path);
  if (node === undefined) throw new ZooKeeperError('no-node', `${path}: there is no such node`);
  return node;
}

function namesIn(tree: Tree, path: string): readonly string[] {
  const prefix = childPath(path, '');
  return [...tree.keys()]
    .filter(
      (other) => other.startsWith(prefix) && other !== path && !other.slice(prefix.length).includes('/'),
    )
    .map((other) => other.slice(prefix.length));
}

function allow(node: Node, perms: number, { digest }: Who, path: string): void {
  const isAllowed = node.acl.some(
    (entry) => (entry.perms & perms) !== 0 && (entry.scheme === 'world' || entry.id === digest),
  );
  if (!isAllowed) throw new ZooKeeperError('no-auth', `${path}: the node’s ACL does not let us`);
}

/** "auth" is stored as the digest of who is authenticated. */
function stored(acl: readonly Permission[], { digest }: Who): readonly Permission[] {
  return acl.map((entry) => {
    if (entry.scheme !== 'auth') return entry;
    if (digest === null) throw new ZooKeeperError('refused', 'there are no credentials to give this to');
    return { perms: entry.perms, scheme: 'digest', id: digest };
  });
}

const statOf = ({ version, created, owner }: Node): NodeStat => ({ version, created, owner });

// --- a client --------------------------------------------------------------------------------------------------

interface ClientOptions {
  readonly clock: Clock;
  readonly server: Server;
  readonly timeoutMs: number;
  readonly credentials: DigestCredentials | null;
  readonly latencyMs: (() => number) | null;
}

function createClient(options: ClientOptions): MemoryClient {
  const { clock, server, credentials } = options;
  const closed = new AbortController();
  let isCut = false;
  let isFrozen = false;
  let live: Live | null = null;
  let healed = Promise.withResolvers<void>();

  /** The session before, as long as the server has it, else a new one. */
  const connect = (): Live => {
    if (live !== null && !server.touch(live.view.id)) {
      live.end();
      live = null;
    }
    live ??= createLive({ ...options, digest: digestOf(credentials), isCut: () => isCut });
    live.prove();
    return live;
  };

  const reconnect = () => {
    if (live !== null) connect();
    healed.resolve();
    healed = Promise.withResolvers();
  };

  return {
    cut: () => {
      isCut = true;
      if (!isFrozen) live?.watches.fireAll();
    },
    heal: () => {
      isCut = false;
      if (!isFrozen) reconnect();
    },
    expire: () => {
      if (live !== null) server.end(live.view.id);
    },
    freeze: () => {
      isFrozen = true;
      if (live !== null) server.watchers.delete(live.watches);
    },
    thaw: () => {
      isFrozen = false;
      if (live !== null) {
        server.watchers.add(live.watches);
        live.watches.fireAll();
      }
      if (!isCut) reconnect();
    },
    zooKeeper: {
      session: async ({ signal = new AbortController().signal, waitMs = SESSION_WAIT_MS } = {}) => {
        const deadline = startDeadline(clock, waitMs, signal);
        try {
          for (;;) {
            if (closed.signal.aborted) throw new ZooKeeperError('closed', 'the session was closed');
            if (signal.aborted) throw new ZooKeeperError('aborted', 'waiting was given up');
            if (deadline.passed) throw new ZooKeeperError('not-connected', `nobody within ${waitMs} ms`);
            if (!isCut) return connect().view;
            await orAborted(deadline.signal, healed.promise).catch(() => undefined);
          }
        } finally {
          deadline.release();
        }
      },
      close: () => {
        closed.abort();
        healed.resolve();
        if (live !== null && !isCut) server.end(live.view.id);
        live?.end();
        return Promise.resolve();
      },
    },
  };
}

interface Live {
  readonly view: ZooKeeperSession;
  readonly watches: Watches;
  /** The server was reached. */
  prove(): void;
  end(): void;
}
interface LiveOptions extends ClientOptions {
  readonly digest: string | null;
  readonly isCut: () => boolean;
}

function createLive({ clock, server, timeoutMs, latencyMs, digest, isCut }: LiveOptions): Live {
  const id = server.open(timeoutMs);
  const who: Who = { session: id, digest };
  const ended = new AbortController();
  const watches = createWatches();
  server.watchers.add(watches);
  let provenMs = clock.monotonicMs();
  const prove = (): void => {
    provenMs = clock.monotonicMs();
  };
  const end = (): void => {
    server.watchers.delete(watches);
    watches.fireAll();
    ended.abort(new ZooKeeperError('session-ended', 'the session is over'));
  };
  const beat = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      await clock.sleep(timeoutMs / HEARTBEAT_PART, ended.signal);
      if (isCut() || ended.signal.aborted) continue;
      if (server.touch(id)) prove();
      else end();
    }
  };
  /** What is on its way when the connection breaks is lost: nobody knows whether it was done. */
  const travel = async (): Promise<void> => {
    if (latencyMs === null) return;
    await clock.sleep(latencyMs());
    if (isCut()) throw new ZooKeeperError('connection-lost', 'the connection broke');
  };
  /** Asks the server, a turn later, as over a network. */
  const ask = async <T>(work: () => T): Promise<T> => {
    await Promise.resolve();
    if (ended.signal.aborted) throw new ZooKeeperError('session-ended', 'the session is over');
    if (isCut()) throw new ZooKeeperError('not-connected', 'nobody can be reached');
    const askedMs = clock.monotonicMs();
    await travel();
    if (!server.touch(id)) {
      end();
      throw new ZooKeeperError('session-ended', 'the session is over');
    }
    const answer = work();
    await travel();
    provenMs = Math.max(provenMs, askedMs);
    return answer;
  };
  const read = (path: string): Node => {
    const node = nodeAt(server.tree, path);
    allow(node, READ, who, path);
    return node;
  };
  const content = (path: string) => {
    const node = read(path);
    return { data: Uint8Array.from(node.data), stat: statOf(node) };
  };
  const stat = (path: string): NodeStat | null => {
    const node = server.tree.get(path);
    return node === undefined ? null : statOf(node);
  };
  const names = (path: string): readonly string[] => {
    read(path);
    return namesIn(server.tree, path);
  };
  void beat();

  const view: ZooKeeperSession = {
    id,
    timeoutMs,
    ended: ended.signal,
    certainUntilMs: () => provenMs + timeoutMs,
    get: (path) => ask(() => content(path)),
    watch: (path) => ask(() => ({ ...content(path), changed: watches.data(path) })),
    stat: (path) => ask(() => stat(path)),
    watchStat: (path) => ask(() => ({ stat: stat(path), changed: watches.data(path) })),
    children: (path) => ask(() => names(path)),
    watchChildren: (path) => ask(() => ({ names: names(path), changed: watches.children(path) })),
    create: (path, data, options = {}) =>
      ask(() => server.commit([{ kind: 'create', path, data, ...options }], who)),
    set: (path, data, version) =>
      ask(() => {
        server.commit([{ kind: 'set', path, data, version }], who);
        return statOf(nodeAt(server.tree, path));
      }),
    remove: (path, version) => ask(() => void server.commit([{ kind: 'remove', path, version }], who)),
    acl: (path) =>
      ask(() => {
        const node = nodeAt(server.tree, path);
        allow(node, READ + ADMIN, who, path);
        return node.acl;
      }),
    setAcl: (path, acl) =>
      ask(() => {
        const node = nodeAt(server.tree, path);
        allow(node, ADMIN, who, path);
        server.tree.set(path, { ...node, acl: stored(acl, who) });
      }),
    multi: (changes) => ask(() => void server.commit(changes, who)),
  };
  return { view, watches, prove, end };
}

function digestOf(credentials: DigestCredentials | null): string | null {
  if (credentials === null) return null;
  const { user, password } = credentials;
  return `${user}:${createHash('sha1').update(`${user}:${password}`).digest('base64')}`;
}
