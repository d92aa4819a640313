import { type ObjectContent, partsOf } from './store-port.ts';

/** A content in pieces of a wanted size. */
export interface Pieces {
  /** The next bytes: fewer than wanted only at the end. */
  take(bytesMax: number): Promise<Uint8Array>;
  /** Copies the next bytes to the beginning of `target`, and resolves with how many: fewer than fit only at the end. */
  fill(target: Uint8Array): Promise<number>;
  /** Lets go of the content. Safe to repeat. */
  close(): Promise<void>;
}

export function createPieces(content: ObjectContent): Pieces {
  const parts = partsOf(content);
  let rest: Uint8Array = new Uint8Array();
  /** The next that are there, at most so many; `null` at the end. */
  const next = async (bytesMax: number): Promise<Uint8Array | null> => {
    while (rest.byteLength === 0) {
      const { done, value } = await parts.next();
      if (done === true) return null;
      rest = value;
    }
    const some = rest.subarray(0, bytesMax);
    rest = rest.subarray(some.byteLength);
    return some;
  };
  return {
    take: async (bytesMax) => {
      const taken: Uint8Array[] = [];
      for (let left = bytesMax; left > 0; ) {
        const some = await next(left);
        if (some === null) break;
        taken.push(some);
        left -= some.byteLength;
      }
      return taken.length === 1 && taken[0] !== undefined ? taken[0] : Buffer.concat(taken);
    },
    fill: async (target) => {
      let filled = 0;
      while (filled < target.byteLength) {
        const some = await next(target.byteLength - filled);
        if (some === null) break;
        target.set(some, filled);
        filled += some.byteLength;
      }
      return filled;
    },
    close: async () => void (await parts.return()),
  };
}
