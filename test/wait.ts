import { describeError } from '../src/base/errors.ts';
import { claimPortRange, isPortFree, type PortRange } from '../src/local/port-range.ts';
import { createSystemClock } from '../src/runtime/clock.ts';
import { createSystemRandom } from '../src/runtime/random.ts';

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

/** Ports that a file of tests goes round in. */
const STRIP_PORTS = 100;
let strip: PortRange | null = null;
let taken = 0;

/**
 * Ports of loopback that nobody listens at, and that nobody is told of soon. One that is picked now and bound later
 * has to stay free in between: so they are a strip that no other process takes, outside of what the kernel gives to
 * connections and to whoever asks for any.
 */
export async function freePorts(count: number): Promise<number[]> {
  strip ??= await claimPortRange(STRIP_PORTS, createSystemRandom());
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries += 1) {
    if (tries === STRIP_PORTS) throw new Error(`of the ports from ${strip.begin} on not ${count} are free`);
    const port = strip.begin + (taken % STRIP_PORTS);
    taken += 1;
    if (await isPortFree(port)) ports.push(port);
  }
  return ports;
}
