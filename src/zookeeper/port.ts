/**
 * The seam to ZooKeeper: sessions, one after the other, and what is asked in them. Real (`client.ts` over
 * sockets) and simulated (`test/sim/memory-zookeeper.ts`), with one contract suite.
 */
export interface ZooKeeper {
  /**
   * The session, once a server is connected: the one before, as long as the servers hold it, else a new one.
   * Rejects with a `ZooKeeperError`: `not-connected` when none is within `waitMs` (default
   * {@link SESSION_WAIT_MS}), `auth-failed`, `aborted`, `closed`.
   */
  session(options?: SessionOptions): Promise<ZooKeeperSession>;
  /** Ends the session, so that its ephemeral nodes go at once. Resolves in a second at most. */
  close(): Promise<void>;
}
export interface SessionOptions {
  readonly signal?: AbortSignal;
  readonly waitMs?: number;
}
/** How long to wait for a connection where nothing else is said, milliseconds. */
export const SESSION_WAIT_MS = 10_000;

/**
 * One session. Every call is answered, or its connection is given up, within half the session timeout, and
 * rejects with a `ZooKeeperError`. Reads see all writes that were finished before they were asked for.
 */
export interface ZooKeeperSession {
  /** In hexadecimal, as in {@link NodeStat.owner}. */
  readonly id: string;
  /** What was granted, milliseconds. */
  readonly timeoutMs: number;
  /** Aborts when it is over for certain: a server said so, or it was closed. Calls reject from then on. */
  readonly ended: AbortSignal;
  /**
   * Until when the servers hold it for certain, by our own monotonic clock: its timeout after the sending of the
   * newest request that reached the leader of the ensemble.
   */
  certainUntilMs(): number;
  get(path: string): Promise<NodeContent>;
  /** As {@link get}, and says when there is something else to see. */
  watch(path: string): Promise<Watched<NodeContent>>;
  /** `null` where there is no such node. */
  stat(path: string): Promise<NodeStat | null>;
  /** As {@link stat}, and says when the node was made, changed or removed. */
  watchStat(path: string): Promise<Watched<{ readonly stat: NodeStat | null }>>;
  /** Names without their parent's path, in no order. */
  children(path: string): Promise<readonly string[]>;
  watchChildren(path: string): Promise<Watched<{ readonly names: readonly string[] }>>;
  /** The path of the new node: that of `path` and, if sequential, a number of ten digits. */
  create(path: string, data: Uint8Array, options?: CreateOptions): Promise<string>;
  /** @param version `null` for whichever there is */
  set(path: string, data: Uint8Array, version: number | null): Promise<NodeStat>;
  remove(path: string, version: number | null): Promise<void>;
  acl(path: string): Promise<readonly Permission[]>;
  setAcl(path: string, acl: readonly Permission[]): Promise<void>;
  /** All of them or none. Rejects with what the first that fails would have rejected with. */
  multi(changes: readonly Change[]): Promise<void>;
}

/**
 * Something and a promise that resolves once it may be another: after a change, and also when the connection or
 * the session has gone. Look again then; what is never asked for is no burden.
 */
export type Watched<T> = T & { readonly changed: Promise<void> };

export interface NodeContent {
  readonly data: Uint8Array;
  readonly stat: NodeStat;
}
export interface NodeStat {
  /** Counts the changes of the data, from 0. */
  readonly version: number;
  /** The transaction that made the node, in hexadecimal: another one for each node that ever had the path. */
  readonly created: string;
  /** The session whose end removes the node; `null` for a node that stays. */
  readonly owner: string | null;
}
export interface CreateOptions {
  /** Goes with the session. Default: stays. */
  readonly ephemeral?: boolean;
  /** A number that only grows is added to the name. Default: the name is as given. */
  readonly sequential?: boolean;
  /** Default {@link OPEN_ACL}. */
  readonly acl?: readonly Permission[];
}
export type Change =
  | {
      readonly kind: 'create';
      readonly path: string;
      readonly data: Uint8Array;
      readonly acl?: readonly Permission[];
    }
  | {
      readonly kind: 'set';
      readonly path: string;
      readonly data: Uint8Array;
      readonly version: number | null;
    }
  | { readonly kind: 'remove'; readonly path: string; readonly version: number | null }
  /** The node is there, in that version if one is given. */
  | { readonly kind: 'check'; readonly path: string; readonly version: number | null };

/** An entry of an ACL, as ZooKeeper has it. */
export interface Permission {
  /** The sum of read 1, write 2, create 4, delete 8, admin 16. */
  readonly perms: number;
  readonly scheme: string;
  readonly id: string;
}
export const ALL_PERMS = 31;
/** Everybody may do everything. */
export const OPEN_ACL: readonly Permission[] = [{ perms: ALL_PERMS, scheme: 'world', id: 'anyone' }];
/** Who makes the node, by the credentials of its session, may do everything, and nobody else anything. */
export const CREATOR_ACL: readonly Permission[] = [{ perms: ALL_PERMS, scheme: 'auth', id: '' }];

/** Who we are, by ZooKeeper's digest scheme. */
export interface DigestCredentials {
  readonly user: string;
  readonly password: string;
}
