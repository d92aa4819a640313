import { type ArchiveStore, ArchiveStoreError } from '../../src/backup/store-port.ts';
import type { MemoryArchiveStore } from '../sim/memory-archive-store.ts';
import type { RandomStream } from '../sim/prng.ts';

/**
 * Runs several who use one store at once, one step of one of them at a time, chosen by chance: so any of them may
 * stand still anywhere for as long as it likes, and the same seed gives the same run.
 */
export interface Interleaving {
  /** The store as one of them sees it: every call waits its turn before it does something, and before it tells. */
  storeOf(actor: string): ArchiveStore;
  /** From now on it does not come to its turn any more: what it was about to do is never done. */
  kill(actor: string): void;
  /** Calls fail with this probability, before or after they have done it; an append in its middle too. */
  failing: number;
  /** Gives one of those who wait their turn. `false` where nobody waits. */
  step(): Promise<boolean>;
}

interface Waiting {
  readonly actor: string;
  readonly go: () => void;
}

export function interleave(memory: MemoryArchiveStore, random: RandomStream): Interleaving {
  let waiting: Waiting[] = [];
  const dead = new Set<string>();
  /** Whom chance favours for a while: else all would be equally fast. */
  let favourite: string | null = null;

  const failed = () => new ArchiveStoreError('unavailable', 'as the test wants it');
  const turn = async (actor: string): Promise<void> => {
    await new Promise<void>((resolve) => waiting.push({ actor, go: resolve }));
    if (random.chance(run.failing)) throw failed();
  };
  const around = async <T>(actor: string, work: () => Promise<T>): Promise<T> => {
    await turn(actor);
    const result = await work();
    await turn(actor);
    return result;
  };

  const run: Interleaving = {
    failing: 0,
    kill: (actor) => {
      dead.add(actor);
      waiting = waiting.filter((each) => each.actor !== actor);
    },
    step: async () => {
      // All that needs no turn is done before the next one is given.
      await new Promise<void>((resolve) => setImmediate(resolve));
      waiting = waiting.filter(({ actor }) => !dead.has(actor));
      if (waiting.length === 0) return false;
      if (random.chance(0.1)) favourite = random.chance(0.5) ? random.pick(waiting).actor : null;
      const favoured = waiting.filter(({ actor }) => actor === favourite);
      const chosen = random.pick(favoured.length > 0 && random.chance(0.9) ? favoured : waiting);
      waiting = waiting.filter((each) => each !== chosen);
      chosen.go();
      return true;
    },
    storeOf: (actor) => {
      const { growing } = memory;
      return {
        ...memory,
        put: async (key, content, options) =>
          await around(actor, async () => await memory.put(key, content, options)),
        head: async (key, signal) => await around(actor, async () => await memory.head(key, signal)),
        read: async function* (key, options) {
          await turn(actor);
          for await (const part of memory.read(key, options)) {
            const middle = random.integer(0, part.byteLength);
            yield part.subarray(0, middle);
            await turn(actor);
            yield part.subarray(middle);
          }
        },
        list: async function* (prefix, options) {
          await turn(actor);
          yield* memory.list(prefix, options);
        },
        growing:
          growing === null
            ? null
            : {
                create: async (key, first, signal) =>
                  await around(actor, async () => {
                    const object = await growing.create(key, first, signal);
                    let isBroken = false;
                    return {
                      close: object.close,
                      append: async (bytes) => {
                        if (isBroken) throw failed();
                        isBroken = true;
                        const middle = random.integer(0, bytes.byteLength);
                        await turn(actor);
                        await object.append(bytes.subarray(0, middle));
                        await turn(actor);
                        await object.append(bytes.subarray(middle));
                        await turn(actor);
                        isBroken = false;
                      },
                    };
                  }),
              },
      };
    },
  };
  return run;
}
