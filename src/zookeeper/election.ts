import * as z from 'zod';
import type { Clock, Ids, Leadership, LeadershipTerm, Logger } from '../base/ports.ts';
import { isCode, isTransient, ZooKeeperError } from './errors.ts';
import { childPath, type FrameworkNodes, sequenceOf } from './nodes.ts';
import { CREATOR_ACL, OPEN_ACL, type ZooKeeper, type ZooKeeperSession } from './port.ts';
import { ensureNode } from './tree.ts';

export interface ElectionOptions {
  readonly zooKeeper: ZooKeeper;
  readonly nodes: FrameworkNodes;
  /** Whether our session has credentials: then our nodes are for whoever has them alone. */
  readonly isProtected: boolean;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  /** Base URL of our API, for those who ask a standby. */
  readonly url: string;
}

/**
 * The part of the session timeout by which we stop leading before the servers may let another lead. It covers what
 * a follower needs to pass on to its leader that we are alive (half a tick, of which a session has two at least)
 * and the time between two of our heartbeats.
 */
const MARGIN_PART = 3;
/** Milliseconds between two tries while the connection changes. */
const RETRY_MS = 200;
/** Tries to take our node away, for as long as the session lives. */
const WITHDRAWALS_MAX = 50;

/** What a candidate's node says. */
const candidateSchema = z.object({ url: z.string().max(2_000) });

/**
 * An election by ephemeral sequential nodes: the lowest leads, each other one watches its predecessor and the
 * leader. A node is named after its candidate, so a node whose making was never answered is found again.
 */
export function createElection(options: ElectionOptions): Leadership {
  const { zooKeeper, clock, log } = options;
  const candidate: Candidate = { ...options, id: options.ids.uuid(), leaderUrl: null };
  return {
    async lead(signal) {
      let session: ZooKeeperSession | null = null;
      for (;;) {
        try {
          session = await zooKeeper.session({ signal });
          const path = await becomeFirst(candidate, session, signal);
          const term = startTerm(candidate, session, path);
          if (term !== null) return term;
        } catch (error) {
          // Who gave up must not be elected later; with the session's end the node goes in any case.
          if (signal.aborted && session !== null) void withdraw(candidate, session);
          if (!isTransient(error)) throw error;
          log.debug('leadership waits for zookeeper', { reason: error.message });
        }
        await clock.sleep(RETRY_MS, signal);
      }
    },
    leaderUrl: () => candidate.leaderUrl,
  };
}

interface Candidate extends ElectionOptions {
  readonly id: string;
  leaderUrl: string | null;
}

/** Stands in the election until our node is the lowest, and resolves with its path. */
async function becomeFirst(
  candidate: Candidate,
  session: ZooKeeperSession,
  signal: AbortSignal,
): Promise<string> {
  const folder = candidate.nodes.election;
  for (;;) {
    if (signal.aborted) throw new ZooKeeperError('aborted', 'waiting for leadership was given up');
    const names = await namesInOrder(session, folder);
    const mine = await ownName(candidate, session, names);
    if (mine === null) {
      await enter(candidate, session);
      continue;
    }
    const place = names.indexOf(mine);
    const [first = mine] = names;
    if (place === 0) return childPath(folder, mine);
    await noteLeader(candidate, session, childPath(folder, first));
    const ahead = new Set([first, names[place - 1] as string]);
    const watched = await Promise.all(
      [...ahead].map(async (name) => await session.watchStat(childPath(folder, name))),
    );
    if (watched.some(({ stat }) => stat === null)) continue;
    await anyOf([...watched.map(({ changed }) => changed), aborted(signal), aborted(session.ended)]);
  }
}

async function namesInOrder(session: ZooKeeperSession, folder: string): Promise<readonly string[]> {
  try {
    const names = await session.children(folder);
    return names.toSorted((left, right) => (sequenceOf(left) < sequenceOf(right) ? -1 : 1));
  } catch (error) {
    if (isCode(error, 'no-node')) return [];
    throw error;
  }
}

/** Our node of this session; one of an earlier session, which would only be waited for, is removed. */
async function ownName(
  { id, nodes }: Candidate,
  session: ZooKeeperSession,
  names: readonly string[],
): Promise<string | null> {
  let own: string | null = null;
  for (const name of names.filter((each) => each.startsWith(id))) {
    const path = childPath(nodes.election, name);
    const stat = await session.stat(path);
    if (stat?.owner === session.id && own === null) own = name;
    else if (stat !== null) await removeIfThere(session, path);
  }
  return own;
}

async function enter({ id, url, nodes, isProtected }: Candidate, session: ZooKeeperSession): Promise<void> {
  const acl = isProtected ? CREATOR_ACL : OPEN_ACL;
  await ensureNode(session, nodes.election, { base: nodes.base, acl });
  const data = Buffer.from(JSON.stringify({ id, url }), 'utf8');
  await session.create(childPath(nodes.election, `${id}-`), data, { ephemeral: true, sequential: true, acl });
}

/** What it says that cannot be understood leaves us with what was known before. */
async function noteLeader(candidate: Candidate, session: ZooKeeperSession, path: string): Promise<void> {
  try {
    const { data } = await session.get(path);
    const parsed = candidateSchema.safeParse(JSON.parse(Buffer.from(data).toString('utf8')));
    if (parsed.success) candidate.leaderUrl = parsed.data.url;
  } catch (error) {
    if (!(error instanceof SyntaxError) && !isCode(error, 'no-node')) throw error;
  }
}

/** `null` where it is not certain any more that the session lives. */
function startTerm(candidate: Candidate, session: ZooKeeperSession, path: string): LeadershipTerm | null {
  const { clock, log } = candidate;
  const over = new AbortController();
  const limitMs = (): number => session.certainUntilMs() - session.timeoutMs / MARGIN_PART;
  const end = (reason: string): void => {
    if (over.signal.aborted) return;
    candidate.leaderUrl = null;
    log.warn('leadership over', { node: path, reason });
    over.abort(new ZooKeeperError('session-ended', `this scheduler does not lead any more: ${reason}`));
  };
  const holds = (): boolean => {
    if (clock.monotonicMs() >= limitMs()) end('the session may have expired');
    return !over.signal.aborted;
  };
  if (session.ended.aborted || clock.monotonicMs() >= limitMs()) return null;

  const watchClock = async (): Promise<void> => {
    while (holds()) await clock.sleep(Math.max(1, Math.ceil(limitMs() - clock.monotonicMs())), over.signal);
  };
  const watchNode = async (): Promise<void> => {
    while (!over.signal.aborted) {
      try {
        const { stat, changed } = await session.watchStat(path);
        if (stat?.owner !== session.id) end('its node is gone');
        await anyOf([changed, aborted(over.signal)]);
      } catch {
        if (session.ended.aborted) end('the session has ended');
        // Whatever ZooKeeper does not tell us, the clock decides.
        await clock.sleep(RETRY_MS, over.signal);
      }
    }
  };
  session.ended.addEventListener('abort', () => end('the session has ended'), {
    once: true,
    signal: over.signal,
  });
  candidate.leaderUrl = candidate.url;
  log.info('leadership taken', { node: path, session: session.id });
  void watchClock();
  void watchNode();
  return {
    over: over.signal,
    holds,
    resign: async () => {
      end('it was given up');
      await withdraw(candidate, session);
    },
  };
}

/** Takes our node out of the election; with the session's end it goes by itself. Never rejects. */
async function withdraw({ id, nodes, clock }: Candidate, session: ZooKeeperSession): Promise<void> {
  for (let tries = 0; tries < WITHDRAWALS_MAX && !session.ended.aborted; tries += 1) {
    try {
      const names = await namesInOrder(session, nodes.election);
      for (const name of names.filter((each) => each.startsWith(id))) {
        await removeIfThere(session, childPath(nodes.election, name));
      }
      return;
    } catch {
      await clock.sleep(RETRY_MS, session.ended);
    }
  }
}

async function removeIfThere(session: ZooKeeperSession, path: string): Promise<void> {
  try {
    await session.remove(path, null);
  } catch (error) {
    if (!isCode(error, 'no-node')) throw error;
  }
}

interface Aborted {
  readonly promise: Promise<void>;
  release(): void;
}

function aborted(signal: AbortSignal): Aborted {
  const { promise, resolve } = Promise.withResolvers<void>();
  const listener = (): void => resolve();
  if (signal.aborted) resolve();
  else signal.addEventListener('abort', listener, { once: true });
  return { promise, release: () => signal.removeEventListener('abort', listener) };
}

async function anyOf(events: readonly (Promise<void> | Aborted)[]): Promise<void> {
  try {
    await Promise.race(events.map((event) => ('release' in event ? event.promise : event)));
  } finally {
    for (const event of events) if ('release' in event) event.release();
  }
}
