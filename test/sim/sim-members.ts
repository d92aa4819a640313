import type { Clock } from '../../src/base/ports.ts';
import { PROTOCOL_VERSION } from '../../src/protocol/launch.ts';
import { inProtocol, memberStatusSchema } from '../../src/protocol/member-status.ts';
import { type Members, MembersError, STATUS_WAIT_MS_MAX } from '../../src/protocol/members-port.ts';
import { signedOrderSchema } from '../../src/protocol/orders.ts';
import type { Network } from './network.ts';
import type { SimMember } from './sim-member.ts';

export interface SimMembersOptions {
  readonly clock: Clock;
  readonly network: Network;
  /** The supervisors of all hosts. */
  readonly members: ReadonlySet<SimMember>;
  /** Who asks. */
  readonly fromHost: string;
  /** The newest version of the protocol that it can read; this build's. */
  readonly understood?: number;
}

/** What the real transport waits for a connection to a host that does not answer. */
const CONNECT_MS = 5_000;

/** Supervisors of a simulated world, asked over its network. */
export function createSimMembers(options: SimMembersOptions): Members {
  const { clock, network, members, fromHost, understood = PROTOCOL_VERSION } = options;
  const reach = async (url: string, signal: AbortSignal): Promise<SimMember> => {
    const { hostname, port } = new URL(url);
    await clock.sleep(network.latencyMs(fromHost, hostname), signal);
    if (!network.reachable(fromHost, hostname)) {
      await clock.sleep(CONNECT_MS, signal);
      throw new MembersError('unreachable', `${url}: no connection within ${CONNECT_MS} ms`);
    }
    for (const member of members) {
      const there = member.host === hostname && String(member.launch.ports.supervisor) === port;
      if (there && member.listening) return member;
    }
    throw new MembersError('unreachable', `${url}: connection refused`);
  };

  /** An answer arrives only over a network that is there, from a process that lives to the end of it. */
  const ask = async <T>(
    url: string,
    signal: AbortSignal,
    question: (member: SimMember) => Promise<T>,
  ): Promise<T> => {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const giveUp = () => reject(new MembersError('aborted', `${url}: the question was given up`));
    const breakOff = () => reject(new MembersError('unreachable', `${url}: the connection broke`));
    let asked: SimMember | null = null;
    const exchange = async (): Promise<void> => {
      const member = await reach(url, signal);
      if (signal.aborted) return;
      asked = member;
      member.onExit.add(breakOff);
      const value = await question(member);
      await clock.sleep(network.latencyMs(member.host, fromHost));
      if (network.reachable(fromHost, member.host)) resolve(value);
    };
    signal.addEventListener('abort', giveUp);
    if (signal.aborted) giveUp();
    else exchange().catch(reject);
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
      (asked as SimMember | null)?.onExit.delete(breakOff);
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
        return await member.order(parsed.data);
      }),
  };
}
