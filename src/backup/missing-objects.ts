import type { Archive } from './archive.ts';
import { EPOCHS_PREFIX, epochKey, epochWithin, fullOf, segmentKey, sequenceOf } from './names.ts';

/** An object that is not there, and what that means. */
export interface MissingObject {
  readonly object: string;
  readonly problem: string;
}

/**
 * Objects that are not there, though they were written before others that are: an epoch's document, without which
 * nobody sees the rest of it, and segments in the midst of a log, which ends before the first of them. Looks at every
 * name. What retention removes meanwhile is not taken for missing: it takes the oldest first, and the document last.
 * @param known numbers of epochs whose document was read, or made again.
 */
export async function findMissing(
  archive: Archive,
  known: ReadonlySet<number>,
  signal: AbortSignal,
): Promise<readonly MissingObject[]> {
  const { store } = archive;
  const problems: MissingObject[] = [];
  const isThere = async (key: string): Promise<boolean> => (await store.head(key, signal)) !== null;
  let epoch = 0;
  let sequence = 0;
  for await (const { key } of store.list(EPOCHS_PREFIX, { signal })) {
    const [number, next] = [epochWithin(key), sequenceOf(key)];
    // Data without a description belongs to nothing.
    if (number === null || (next === null && fullOf(key) === null && key !== epochKey(number))) continue;
    if (number !== epoch) {
      [epoch, sequence] = [number, 0];
      if (!known.has(epoch) && key !== epochKey(epoch) && !(await isThere(epochKey(epoch)))) {
        const problem = 'is not there, and nothing of this epoch can be restored without it';
        problems.push({ object: epochKey(epoch), problem });
      }
    }
    if (next === null) continue;
    const hole = segmentKey(epoch, sequence + 1);
    if (sequence > 0 && next > sequence + 1 && (await isThere(segmentKey(epoch, sequence)))) {
      const which = next === sequence + 2 ? 'is' : `and all up to segment ${next - 1} are`;
      const problem = `${which} not there: what segment ${next} and later ones have cannot be restored`;
      problems.push({ object: hole, problem });
    }
    sequence = next;
  }
  return problems;
}
