import { errorOfNumber, ZooKeeperError } from './errors.ts';
import { createJuteReader, createJuteWriter, type JuteReader, type JuteWriter } from './jute.ts';
import {
  type Change,
  type CreateOptions,
  type DigestCredentials,
  type NodeContent,
  type NodeStat,
  OPEN_ACL,
  type Permission,
} from './port.ts';

/**
 * What goes over the wire, from `zookeeper.jute` of Apache ZooKeeper: a handshake, then requests that are
 * answered in their order, and events of watches in between.
 */

/** A request, and how its answer is read. */
export interface Request<T> {
  readonly type: number;
  /** For messages. */
  readonly path: string;
  write(writer: JuteWriter): void;
  read(reader: JuteReader): T;
}

/** The numbers of requests (`ZooDefs.OpCode`). */
const OP = {
  create: 1,
  remove: 2,
  stat: 3,
  get: 4,
  set: 5,
  acl: 6,
  setAcl: 7,
  sync: 9,
  children: 12,
  check: 13,
  multi: 14,
  authenticate: 100,
  close: -11,
  /** In the answer to a multi: this part failed. */
  error: -1,
} as const;
const EPHEMERAL = 1;
const SEQUENTIAL = 2;
/** A version that every node has. */
const ANY_VERSION = -1;

// --- the handshake -------------------------------------------------------------------------------------------

export interface SessionTicket {
  readonly id: bigint;
  readonly password: Uint8Array;
}
/** Asks for a new session. */
export const NO_TICKET: SessionTicket = { id: 0n, password: new Uint8Array(16) };

export function connectFrame(ticket: SessionTicket, timeoutMs: number): Uint8Array {
  // The last transaction seen is left at 0: with it, servers that were wiped would turn us away for ever instead
  // of saying that the session is over. What it is for, never to see older state, every read's sync gives.
  return createJuteWriter()
    .int(0)
    .long(0n)
    .int(timeoutMs)
    .long(ticket.id)
    .bytes(ticket.password)
    .bool(false)
    .frame();
}

/** `null`: the session is over. */
export function readConnectAnswer(frame: Uint8Array): { ticket: SessionTicket; timeoutMs: number } | null {
  const reader = createJuteReader(frame);
  reader.int();
  const timeoutMs = reader.int();
  const id = reader.long();
  const password = reader.bytes();
  return timeoutMs <= 0 ? null : { ticket: { id, password }, timeoutMs };
}

// --- requests and answers --------------------------------------------------------------------------------------

export const XID_EVENT = -1;
export const XID_AUTHENTICATE = -4;

export function requestFrame(xid: number, request: Request<unknown>): Uint8Array {
  const writer = createJuteWriter().int(xid).int(request.type);
  request.write(writer);
  return writer.frame();
}

export interface Answer {
  readonly xid: number;
  /** 0, or the number of an error. */
  readonly error: number;
  /** Stands behind the header. */
  readonly reader: JuteReader;
}
export function readAnswer(frame: Uint8Array): Answer {
  const reader = createJuteReader(frame);
  const xid = reader.int();
  reader.long();
  return { xid, error: reader.int(), reader };
}

/** What happened at a path (`Watcher.Event.EventType`). */
export interface WatchEvent {
  readonly path: string;
  readonly kind: 'created' | 'removed' | 'changed' | 'children';
}
/** `null` for an event of a later ZooKeeper. */
export function readWatchEvent({ reader }: Answer): WatchEvent | null {
  const type = reader.int();
  reader.int();
  const path = reader.text();
  const kind = ([null, 'created', 'removed', 'changed', 'children'] as const)[type] ?? null;
  return kind === null ? null : { path, kind };
}

export const authenticateRequest = ({ user, password }: DigestCredentials): Request<void> => ({
  type: OP.authenticate,
  path: 'authentication',
  write: (writer) =>
    void writer
      .int(0)
      .text('digest')
      .bytes(Buffer.from(`${user}:${password}`, 'utf8')),
  read: () => undefined,
});

export const closeRequest: Request<void> = {
  type: OP.close,
  path: 'closing',
  write: () => undefined,
  read: () => undefined,
};

/** Answered once the leader has been reached: what is read afterwards has all that was written before. */
export const syncRequest: Request<void> = {
  type: OP.sync,
  path: '/',
  write: (writer) => void writer.text('/'),
  read: () => undefined,
};

export const getRequest = (path: string, watch: boolean): Request<NodeContent> => ({
  type: OP.get,
  path,
  write: (writer) => void writer.text(path).bool(watch),
  read: (reader) => ({ data: reader.bytes(), stat: readStat(reader) }),
});

export const statRequest = (path: string, watch: boolean): Request<NodeStat> => ({
  type: OP.stat,
  path,
  write: (writer) => void writer.text(path).bool(watch),
  read: readStat,
});

export const childrenRequest = (path: string, watch: boolean): Request<readonly string[]> => ({
  type: OP.children,
  path,
  write: (writer) => void writer.text(path).bool(watch),
  read: (reader) => reader.list((item) => item.text()),
});

export const createRequest = (path: string, data: Uint8Array, options: CreateOptions): Request<string> => ({
  type: OP.create,
  path,
  write: (writer) => writeCreate(writer, path, data, options),
  read: (reader) => reader.text(),
});

export const setRequest = (path: string, data: Uint8Array, version: number | null): Request<NodeStat> => ({
  type: OP.set,
  path,
  write: (writer) =>
    void writer
      .text(path)
      .bytes(data)
      .int(version ?? ANY_VERSION),
  read: readStat,
});

export const removeRequest = (path: string, version: number | null): Request<void> => ({
  type: OP.remove,
  path,
  write: (writer) => void writer.text(path).int(version ?? ANY_VERSION),
  read: () => undefined,
});

export const aclRequest = (path: string): Request<readonly Permission[]> => ({
  type: OP.acl,
  path,
  write: (writer) => void writer.text(path),
  read: (reader) => reader.list((item) => ({ perms: item.int(), scheme: item.text(), id: item.text() })),
});

export const setAclRequest = (path: string, acl: readonly Permission[]): Request<void> => ({
  type: OP.setAcl,
  path,
  write: (writer) => {
    writeAcl(writer.text(path), acl);
    writer.int(ANY_VERSION);
  },
  read: () => undefined,
});

export const multiRequest = (changes: readonly Change[]): Request<void> => ({
  type: OP.multi,
  path: changes.map(({ path }) => path).join(', '),
  write: (writer) => {
    for (const change of changes) writeChange(writer, change);
    writer.int(-1).bool(true).int(-1);
  },
  read: (reader) => readMultiAnswer(reader, changes),
});

function writeChange(writer: JuteWriter, change: Change): void {
  const type =
    change.kind === 'create'
      ? OP.create
      : change.kind === 'set'
        ? OP.set
        : change.kind === 'remove'
          ? OP.remove
          : OP.check;
  writer.int(type).bool(false).int(-1);
  switch (change.kind) {
    case 'create':
      writeCreate(writer, change.path, change.data, change.acl === undefined ? {} : { acl: change.acl });
      return;
    case 'set':
      writer
        .text(change.path)
        .bytes(change.data)
        .int(change.version ?? ANY_VERSION);
      return;
    case 'remove':
    case 'check':
      writer.text(change.path).int(change.version ?? ANY_VERSION);
  }
}

/** @throws ZooKeeperError what kept all of it from being done: the part that has a number of its own */
function readMultiAnswer(reader: JuteReader, changes: readonly Change[]): void {
  for (let at = 0; ; at += 1) {
    const type = reader.int();
    const done = reader.bool();
    reader.int();
    if (done) return;
    if (at >= changes.length)
      throw new ZooKeeperError('malformed', 'ZooKeeper answers more than was asked for');
    switch (type) {
      case OP.create:
        reader.text();
        break;
      case OP.set:
        readStat(reader);
        break;
      case OP.remove:
      case OP.check:
        break;
      case OP.error: {
        const number = reader.int();
        // Those before the one that failed have 0, those behind it "inconsistent" (-2).
        if (number !== 0 && number !== -2) throw errorOfNumber(number, changes[at]?.path ?? '');
        break;
      }
      default:
        throw new ZooKeeperError('malformed', `ZooKeeper answers a part of kind ${type}`);
    }
  }
}

function writeCreate(writer: JuteWriter, path: string, data: Uint8Array, options: CreateOptions): void {
  writer.text(path).bytes(data);
  writeAcl(writer, options.acl ?? OPEN_ACL);
  writer.int((options.ephemeral === true ? EPHEMERAL : 0) + (options.sequential === true ? SEQUENTIAL : 0));
}

function writeAcl(writer: JuteWriter, acl: readonly Permission[]): void {
  writer.int(acl.length);
  for (const { perms, scheme, id } of acl) writer.int(perms).text(scheme).text(id);
}

function readStat(reader: JuteReader): NodeStat {
  const created = reader.long();
  for (let skipped = 0; skipped < 3; skipped += 1) reader.long();
  const version = reader.int();
  reader.int();
  reader.int();
  const owner = reader.long();
  reader.int();
  reader.int();
  reader.long();
  return { version, created: hex(created), owner: owner === 0n ? null : hex(owner) };
}

/** As ZooKeeper's own tools write ids of sessions and transactions. */
export function hex(id: bigint): string {
  return BigInt.asUintN(64, id).toString(16);
}
