import type { Clock } from '../../src/base/ports.ts';
import { PROTOCOL_VERSION } from '../../src/protocol/launch.ts';
import { inProtocol, memberStatusSchema } from '../../src/protocol/member-status.ts';
import { type Members, MembersError, STATUS_WAIT_MS_MAX } from '../../src/protocol/members-port.ts';
import { type SignedOrder, signedOrderSchema } from '../../src/protocol/orders.ts';
import type { Network } from './network.ts';
import type { SimMember } from './sim-member.ts';

export interface SimMembersOptions {
  readonly clock: Clock;
  readonly network: Network;
  /** The supervisors of all hosts. */
  readonly members: ReadonlySet<SimMember>;
  /** Who asks. */
  readonly fromHost: string;
  /** Told of every order that was carried out. */
  readonly onDone?: (task: string, order: SignedOrder) => void;
  /** The newest version of the protocol that it can read; this build's. */
  readonly understood?: number;
}

/** What the real transport waits for a connection to a host that does not answer. */
const CONNECT_MS = 5_000;

/**
 * Supervisors of a simulated world, asked over its network. What was sent arrives, though whoever sent it may have
 * given up, and in bad weather it arrives twice, late or never; so do the answers.
 */
export function createSimMembers(options: SimMembersOptions): Members {
  const { clock, network, members, fromHost, understood = PROTOCOL_VERSION } = options;
  const memberAt = (url: string): SimMember => {
    const { hostname, port } = new URL(url);
    for (const member of members) {
      const there = member.host === hostname && String(member.launch.ports.supervisor) === port;
      if (there && member.listening) return member;
    }
    throw new MembersError('unreachable', `${url}: connection refused`);
  };

  const ask = async <T>(
    url: string,
    signal: AbortSignal,
    question: (member: SimMember) => Promise<T>,
  ): Promise<T> => {
    const { hostname } = new URL(url);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const asked = new Set<SimMember>();
    let isOver = false;
    const giveUp = () => reject(new MembersError('aborted', `${url}: the question was given up`));
    const breakOff = () => reject(new MembersError('unreachable', `${url}: the connection broke`));

    const exchange = async (arrivesInMs: number): Promise<void> => {
      await clock.sleep(arrivesInMs);
      if (!network.reachable(fromHost, hostname)) {
        await clock.sleep(CONNECT_MS, signal);
        throw new MembersError('unreachable', `${url}: no connection within ${CONNECT_MS} ms`);
      }
      const member = memberAt(url);
      if (!isOver) {
        asked.add(member);
        member.onExit.add(breakOff);
      }
      const value = await question(member);
      const [answeredInMs] = network.fateOf(member.host, fromHost);
      if (answeredInMs === undefined) return;
      await clock.sleep(answeredInMs);
      if (network.reachable(member.host, fromHost)) resolve(value);
    };
    signal.addEventListener('abort', giveUp);
    if (signal.aborted) giveUp();
    else for (const arrivesInMs of network.fateOf(fromHost, hostname)) exchange(arrivesInMs).catch(reject);
    try {
      return await promise;
    } finally {
      isOver = true;
      signal.removeEventListener('abort', giveUp);
      for (const member of asked) member.onExit.delete(breakOff);
    }
  };

  return {
    status: async (url, wait, signal) => {
      const { after, waitMs } = wait ?? { after: 0, waitMs: 0 };
      if (!(Number.isInteger(after) && waitMs >= 0 && waitMs <= STATUS_WAIT_MS_MAX)) {
        throw new MembersError('malformed', `${url} does not wait ${waitMs} ms for a change of ${after}`);
      }
      return await ask(url, signal, async (member) => {
        const told = await member.status(wait, signal);
        // Read again only where something is left out: this is asked for very often.
        return understood < PROTOCOL_VERSION ? memberStatusSchema.parse(inProtocol(told, understood)) : told;
      });
    },
    order: async (url, order, signal) =>
      await ask(url, signal, async (member) => {
        const parsed = signedOrderSchema.safeParse(order);
        if (!parsed.success) throw new MembersError('malformed', `${url}: ${parsed.error.message}`);
        const receipt = await member.order(parsed.data);
        if (receipt.outcome === 'done') options.onDone?.(member.launch.task, parsed.data);
        return receipt;
      }),
  };
}
