import { createServer } from 'node:net';
import { describeError } from '../src/base/errors.ts';
import { createSystemClock } from '../src/runtime/clock.ts';

export const clock = createSystemClock();

/** Milliseconds between two looks. */
const LOOK_MS = 20;

/**
 * Looks until there is something to see, and returns it. What a look throws is the reason why there was nothing,
 * and is told when the time is over.
 */
export async function until<T>(
  what: string,
  limitMs: number,
  look: () => T | null | undefined | false | Promise<T | null | undefined | false>,
): Promise<T> {
  const endMs = clock.monotonicMs() + limitMs;
  let why = '';
  while (clock.monotonicMs() < endMs) {
    try {
      const seen = await look();
      if (seen !== null && seen !== undefined && seen !== false) return seen;
      why = '';
    } catch (error) {
      if (error instanceof GiveUp) throw error;
      why = `: ${describeError(error)}`;
    }
    await clock.sleep(LOOK_MS);
  }
  throw new Error(`not within ${limitMs / 1000} s: ${what}${why}`);
}

/** Thrown by a look when there is nothing to wait for any more. */
export class GiveUp extends Error {}

/** Ports of loopback that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address !== null && typeof address === 'object') ports.push(address.port);
  }
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  return ports;
}
