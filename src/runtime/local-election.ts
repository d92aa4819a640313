import { describeError } from '../base/errors.ts';
import type { Clock, Logger } from '../base/ports.ts';
import type { LeaderWatch, MasterElection } from '../local/leadership.ts';
import type { LocalMasterInfo } from '../local/master-info.ts';
import { childPath, sequenceOf } from '../zookeeper/nodes.ts';
import { OPEN_ACL, type ZooKeeper, type ZooKeeperSession } from '../zookeeper/port.ts';
import { ensureNode } from '../zookeeper/tree.ts';

/** The names of masters' nodes, before their numbers; what else there is beside them is none of an election's. */
const NODE_PREFIX = 'json.info_';
/** Real masters keep this beside their own nodes, so whoever looks for the leader must pass over it. */
const NEIGHBOUR = 'log_replicas';
/** Milliseconds between two tries where ZooKeeper cannot be had, and for one of them to get a session. */
const RETRY_MS = 200;
const SESSION_MS = 250;

export interface LocalElectionOptions {
  /** Of this process alone: it is closed with the election. */
  readonly zooKeeper: ZooKeeper;
  /** Below which the masters' nodes are. */
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Masters elect one of them as those of Mesos do: each has a sequential ephemeral node with its MasterInfo, and the
 * one with the lowest number leads for as long as its session is held for certain.
 */
export function createLocalElection(options: LocalElectionOptions): MasterElection {
  const closed = new AbortController();
  return {
    stand: (self, onLeader) => void followLeader(options, { self, onLeader, closed: closed.signal }),
    close: async () => {
      closed.abort();
      await options.zooKeeper.close();
    },
  };
}

/** The leader as agents see it. */
export function createLocalLeaderWatch(options: LocalElectionOptions): LeaderWatch {
  const closed = new AbortController();
  const urlOf = ({ address, hostname, port }: LocalMasterInfo) => `http://${address?.ip ?? hostname}:${port}`;
  return {
    follow: (onUrl) =>
      void followLeader(options, {
        self: null,
        onLeader: (leader) => onUrl(leader === null ? null : urlOf(leader)),
        closed: closed.signal,
      }),
    close: async () => {
      closed.abort();
      await options.zooKeeper.close();
    },
  };
}

interface Follower {
  /** `null` for whoever only looks. */
  readonly self: LocalMasterInfo | null;
  readonly onLeader: (leader: LocalMasterInfo | null) => void;
  readonly closed: AbortSignal;
}

/** Tells of every leader until it is closed. Whoever cannot know who leads holds nobody for the leader. */
async function followLeader(options: LocalElectionOptions, follower: Follower): Promise<void> {
  const { zooKeeper, clock, logger } = options;
  const { closed } = follower;
  let told: string | null | undefined;
  const tell = (leader: LocalMasterInfo | null): void => {
    const id = leader?.id ?? null;
    if (closed.aborted || told === id) return;
    told = id;
    follower.onLeader(leader);
  };
  let last: ZooKeeperSession | null = null;
  while (!closed.aborted) {
    const looked = new AbortController();
    try {
      const session = await zooKeeper.session({ signal: closed, waitMs: SESSION_MS });
      if (last !== null && session.id !== last.id) tell(null);
      last = session;
      const { leader, changed } = await look(session, options.path, follower.self);
      tell(leader);
      await Promise.race([changed, whenUncertain(session, clock, AbortSignal.any([closed, looked.signal]))]);
    } catch (error) {
      if (closed.aborted) return;
      logger.debug('leader unknown', { error: describeError(error) });
      await clock.sleep(RETRY_MS, closed);
    } finally {
      looked.abort();
    }
    // What happened meanwhile is not known any more: another may lead.
    if (last !== null && isUncertain(last, clock)) tell(null);
  }
}

/** Who leads now, and when that may be another. A candidate without a node of this session gets one first. */
async function look(session: ZooKeeperSession, path: string, self: LocalMasterInfo | null) {
  if (self !== null) await stand(session, path, self);
  const { names, changed } = await session.watchChildren(path);
  const [lowest] = masterNodes(names);
  if (lowest === undefined) return { leader: null, changed };
  const { data } = await session.get(childPath(path, lowest));
  return { leader: JSON.parse(Buffer.from(data).toString('utf8')) as LocalMasterInfo, changed };
}

async function stand(session: ZooKeeperSession, path: string, self: LocalMasterInfo): Promise<void> {
  await ensureNode(session, childPath(path, NEIGHBOUR), { base: path, acl: OPEN_ACL });
  // The answer to an earlier try may have been lost: what is there counts.
  for (const name of masterNodes(await session.children(path))) {
    const stat = await session.stat(childPath(path, name));
    if (stat?.owner === session.id) return;
  }
  const data = new TextEncoder().encode(JSON.stringify(sortKeys(self)));
  await session.create(childPath(path, NODE_PREFIX), data, { ephemeral: true, sequential: true });
}

/** The lowest number first. */
function masterNodes(names: readonly string[]): readonly string[] {
  return names
    .filter((name) => name.startsWith(NODE_PREFIX))
    .sort((left, right) => (sequenceOf(left) < sequenceOf(right) ? -1 : 1));
}

function sortKeys(info: LocalMasterInfo): unknown {
  return Object.fromEntries(Object.entries(info).sort(([left], [right]) => (left < right ? -1 : 1)));
}

function isUncertain(session: ZooKeeperSession, clock: Clock): boolean {
  return session.ended.aborted || clock.monotonicMs() >= session.certainUntilMs();
}

/** Resolves when the session may have ended: it has, or its servers were not heard of for too long. */
async function whenUncertain(session: ZooKeeperSession, clock: Clock, done: AbortSignal): Promise<void> {
  const over = AbortSignal.any([session.ended, done]);
  while (!over.aborted && !isUncertain(session, clock)) {
    await clock.sleep(Math.max(1, session.certainUntilMs() - clock.monotonicMs()), over);
  }
}
