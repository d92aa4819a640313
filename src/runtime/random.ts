import type { Random } from '../base/ports.ts';

/** Not for secrets. */
export function createSystemRandom(): Random {
  return { next: () => Math.random() };
}
