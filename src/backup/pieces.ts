import { type ObjectContent, partsOf } from './store-port.ts';

/** A content in pieces of a wanted size. */
export interface Pieces {
  /** The next bytes: fewer than wanted only at the end. */
  take(bytesMax: number): Promise<Uint8Array>;
  /** Lets go of the content. Safe to repeat. */
  close(): Promise<void>;
}

export function createPieces(content: ObjectContent): Pieces {
  const parts = partsOf(content);
  let rest: Uint8Array = new Uint8Array();
  return {
    take: async (bytesMax) => {
      const taken: Uint8Array[] = [];
      let left = bytesMax;
      while (left > 0) {
        if (rest.byteLength === 0) {
          const { done, value } = await parts.next();
          if (done === true) break;
          rest = value;
        }
        const some = rest.subarray(0, left);
        taken.push(some);
        rest = rest.subarray(some.byteLength);
        left -= some.byteLength;
      }
      return taken.length === 1 && taken[0] !== undefined ? taken[0] : Buffer.concat(taken);
    },
    close: async () => void (await parts.return()),
  };
}
