import { DeadlineError, orAborted, startDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import {
  type Clock,
  type Ids,
  LOG_ENTRIES_MAX,
  LOG_ENTRY_BYTES_MAX,
  LOG_KINDS,
  type Logger,
  type LogKind,
  type StateStore,
  StateStoreError,
} from '../base/ports.ts';
import { RECORD_BYTES_MAX } from '../protocol/record.ts';
import { isCode, isTransient, ZooKeeperError } from '../zookeeper/errors.ts';
import { childPath, type FrameworkNodes, sequenceOf } from '../zookeeper/nodes.ts';
import { CREATOR_ACL, OPEN_ACL, type ZooKeeper, type ZooKeeperSession } from '../zookeeper/port.ts';
import { ensureNode, removeTree, tightenTree } from '../zookeeper/tree.ts';
import { decodeStateFile, encodeStateFile } from './state-header.ts';

export interface ZooKeeperStateStoreOptions {
  readonly zooKeeper: ZooKeeper;
  readonly nodes: FrameworkNodes;
  /** Whether our session has credentials: then our nodes are for whoever has them alone. */
  readonly isProtected: boolean;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
}

/** A log is cut to its newest {@link LOG_ENTRIES_MAX} entries when it has this many more. */
const LOG_SLACK_ENTRIES = 20;
/** Entries that are read side by side. */
const READS_AT_ONCE = 32;
/** Milliseconds that anything may take, new tries included. */
const DEADLINE_MS = 15_000;
const RETRIES_MAX = 5;
/** Before the first new try; doubles with each. */
const RETRY_MS_FIRST = 50;
/** Names the one child of the record's node: it tells the node from any that had its path before. */
const LIFE_PREFIX = 'life-';

/**
 * The cluster record in ZooKeeper:
 *
 *     <base>/record                   the record, with a checksum in front
 *     <base>/record/life-<uuid>       made and removed with it, in one step
 *     <base>/logs/<kind>/<number>     an entry of a log
 *
 * A version is that child's name and the node's own version: every save checks both in one step, so what was read
 * from a node that has been removed since is never taken for what its successor holds.
 *
 * With credentials, nodes that others may use are closed to them, which is logged.
 * Rejects with a {@link StateStoreError}.
 */
export async function openZooKeeperStateStore(options: ZooKeeperStateStoreOptions): Promise<StateStore> {
  const { nodes, log } = options;
  if (options.isProtected) {
    await inSession(options, isTransient, async (session) => {
      const open = await tightenTree(session, nodes.base);
      if (open.length > 0) {
        log.warn('zookeeper nodes were open to others and are closed now', {
          count: open.length,
          nodes: open.slice(0, 10),
        });
      }
    });
  }
  return {
    load: () => inSession(options, isTransient, (session) => loadRecord(session, nodes.record)),
    save: async (bytes, expectedVersion) => {
      if (bytes.byteLength > RECORD_BYTES_MAX) throw tooLarge(bytes.byteLength);
      return await inSession(options, isUndone, async (session) =>
        expectedVersion === null
          ? await createRecord(session, options, bytes)
          : await replaceRecord(session, nodes.record, bytes, expectedVersion),
      );
    },
    append: async (kind, entry) => {
      const text = JSON.stringify(entry);
      if (Buffer.byteLength(text) > LOG_ENTRY_BYTES_MAX) throw tooLarge(Buffer.byteLength(text));
      await inSession(options, isUndone, (session) => appendEntry(session, options, kind, text));
    },
    read: (kind) =>
      inSession(options, isTransient, (session) => readEntries(session, logFolder(nodes, kind))),
    clear: () =>
      inSession(options, isTransient, async (session) => {
        // The record goes last: what is left after a crash still says whose the logs are.
        for (const kind of LOG_KINDS) await removeTree(session, logFolder(nodes, kind));
        await removeTree(session, nodes.logs);
        await removeRecord(session, nodes.record);
      }),
  };
}

const logFolder = (nodes: FrameworkNodes, kind: LogKind): string => childPath(nodes.logs, kind);

// --- the record --------------------------------------------------------------------------------------------------

async function loadRecord(
  session: ZooKeeperSession,
  path: string,
): Promise<{ bytes: Uint8Array; version: string } | null> {
  try {
    // The life is read first: should the node be made anew in between, the version fits neither.
    const [life, ...others] = await livesOf(session, path);
    const { data, stat } = await session.get(path);
    if (life === undefined || others.length > 0) throw corrupt(path, `it has ${others.length} lives`);
    return { bytes: decodeStateFile(data, path).bytes, version: `${life}.${stat.version}` };
  } catch (error) {
    if (isCode(error, 'no-node')) return null;
    throw error;
  }
}

async function createRecord(
  session: ZooKeeperSession,
  { nodes, isProtected, ids }: ZooKeeperStateStoreOptions,
  bytes: Uint8Array,
): Promise<string> {
  const acl = isProtected ? CREATOR_ACL : OPEN_ACL;
  const life = `${LIFE_PREFIX}${ids.uuid()}`;
  await ensureNode(session, nodes.base, { base: nodes.base, acl });
  try {
    await session.multi([
      { kind: 'create', path: nodes.record, data: encodeStateFile({ version: 1, bytes }), acl },
      { kind: 'create', path: childPath(nodes.record, life), data: new Uint8Array(), acl },
    ]);
  } catch (error) {
    if (isCode(error, 'node-exists')) throw conflict(nodes.record, null, error);
    throw error;
  }
  return `${life}.0`;
}

async function replaceRecord(
  session: ZooKeeperSession,
  path: string,
  bytes: Uint8Array,
  expectedVersion: string,
): Promise<string> {
  const [, life, number] = /^(life-[0-9a-f-]{1,64})\.(\d{1,10})$/.exec(expectedVersion) ?? [];
  if (life === undefined) throw conflict(path, expectedVersion);
  const version = Number(number);
  try {
    await session.multi([
      { kind: 'check', path: childPath(path, life), version: null },
      { kind: 'set', path, data: encodeStateFile({ version: version + 2, bytes }), version },
    ]);
  } catch (error) {
    if (isCode(error, 'no-node', 'bad-version')) throw conflict(path, expectedVersion, error);
    throw error;
  }
  return `${life}.${version + 1}`;
}

async function removeRecord(session: ZooKeeperSession, path: string): Promise<void> {
  try {
    const lives = await livesOf(session, path);
    await session.multi([
      ...lives.map((life) => ({ kind: 'remove' as const, path: childPath(path, life), version: null })),
      { kind: 'remove', path, version: null },
    ]);
  } catch (error) {
    if (!isCode(error, 'no-node')) throw error;
  }
}

async function livesOf(session: ZooKeeperSession, path: string): Promise<readonly string[]> {
  return (await session.children(path)).filter((name) => name.startsWith(LIFE_PREFIX));
}

// --- the logs ----------------------------------------------------------------------------------------------------

async function appendEntry(
  session: ZooKeeperSession,
  { nodes, isProtected }: ZooKeeperStateStoreOptions,
  kind: LogKind,
  text: string,
): Promise<void> {
  const folder = logFolder(nodes, kind);
  const acl = isProtected ? CREATOR_ACL : OPEN_ACL;
  await ensureNode(session, folder, { base: nodes.base, acl });
  const data = encodeStateFile({ version: 1, bytes: Buffer.from(text, 'utf8') });
  await session.create(childPath(folder, 'entry-'), data, { sequential: true, acl });
  const names = await entryNames(session, folder).catch(() => []);
  if (names.length <= LOG_ENTRIES_MAX + LOG_SLACK_ENTRIES) return;
  for (const name of names.slice(0, -LOG_ENTRIES_MAX)) {
    // The entry is there; what is too many goes now or with the next one.
    await session.remove(childPath(folder, name), null).catch(() => undefined);
  }
}

async function readEntries(session: ZooKeeperSession, folder: string): Promise<readonly string[]> {
  const names = (await entryNames(session, folder)).slice(-LOG_ENTRIES_MAX);
  const entries: string[] = [];
  for (let at = 0; at < names.length; at += READS_AT_ONCE) {
    const some = names.slice(at, at + READS_AT_ONCE);
    entries.push(
      ...(await Promise.all(some.map((name) => readEntry(session, childPath(folder, name))))).flat(),
    );
  }
  return entries;
}

/** Nothing where it has been cut off meanwhile, or is damaged: the others are worth reading all the same. */
async function readEntry(session: ZooKeeperSession, path: string): Promise<readonly string[]> {
  try {
    const { data } = await session.get(path);
    const entry: unknown = JSON.parse(Buffer.from(decodeStateFile(data, path).bytes).toString('utf8'));
    return typeof entry === 'string' ? [entry] : [];
  } catch (error) {
    if (isCode(error, 'no-node') || error instanceof StateStoreError) return [];
    throw error;
  }
}

/** Oldest first. */
async function entryNames(session: ZooKeeperSession, folder: string): Promise<readonly string[]> {
  try {
    const names = await session.children(folder);
    return names.toSorted((left, right) => (sequenceOf(left) < sequenceOf(right) ? -1 : 1));
  } catch (error) {
    if (isCode(error, 'no-node')) return [];
    throw error;
  }
}

// --- sessions and errors -----------------------------------------------------------------------------------------

/** Nothing was done for certain, so a write may be tried again. */
function isUndone(error: unknown): boolean {
  return isTransient(error) && error.code !== 'connection-lost';
}

/** Does `work` in a connected session, again where `isWorthAgain` says so of what it ended in. */
async function inSession<T>(
  { zooKeeper, nodes, clock }: Pick<ZooKeeperStateStoreOptions, 'zooKeeper' | 'nodes' | 'clock'>,
  isWorthAgain: (error: unknown) => boolean,
  work: (session: ZooKeeperSession) => Promise<T>,
): Promise<T> {
  const deadline = startDeadline(clock, DEADLINE_MS, NEVER);
  const { signal } = deadline;
  try {
    for (let tries = 0; ; tries += 1) {
      try {
        return await orAborted(signal, zooKeeper.session({ signal }).then(work));
      } catch (error) {
        if (tries >= RETRIES_MAX || signal.aborted || !isWorthAgain(error)) throw error;
        await clock.sleep(RETRY_MS_FIRST * 2 ** tries, signal);
      }
    }
  } catch (error) {
    throw stateStoreError(nodes.base, error);
  } finally {
    deadline.release();
  }
}
const NEVER = new AbortController().signal;

function stateStoreError(path: string, error: unknown): unknown {
  if (!(error instanceof ZooKeeperError)) {
    return error instanceof DeadlineError
      ? new StateStoreError('unavailable', `${path} in ZooKeeper: no answer within ${DEADLINE_MS / 1000} s`)
      : error;
  }
  const message = `${path} in ZooKeeper cannot be used: ${describeError(error)}`;
  if (isCode(error, 'no-auth', 'auth-failed')) {
    return new StateStoreError('unreadable', message, {
      cause: error,
      hint: 'The nodes are for other credentials. Name the file that holds them with --zk-auth-file.',
    });
  }
  return new StateStoreError('unavailable', message, {
    cause: error,
    hint: error.hint ?? 'Check that a majority of the ensemble runs and that its addresses are right.',
  });
}

function conflict(path: string, expected: string | null, cause?: unknown): StateStoreError {
  const name = expected === null ? 'none' : `version ${expected}`;
  return new StateStoreError('conflict', `${path} holds another version, expected was ${name}`, { cause });
}

function corrupt(path: string, problem: string): StateStoreError {
  return new StateStoreError('corrupt', `the node ${path} is damaged: ${problem}`, {
    hint: 'Remove it with all below it, and start with --bootstrap=adopt while the members run.',
  });
}

function tooLarge(sizeBytes: number): StateStoreError {
  return new StateStoreError('too-large', `${sizeBytes} bytes are more than what is stored at once`);
}
