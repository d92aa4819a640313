import { MADE_ID } from './normalise.ts';
import { isObject, type Json } from './trace.ts';

/**
 * Which id of the recording is which of the present conversation: learned from what came, used in what is sent,
 * as a scheduler does.
 */
export interface LearnedIds {
  /** `observed` is what came where the recording has `recorded`. */
  learn(recorded: Json, observed: Json): void;
  /** `recorded` with the ids that were learned for those in it. */
  resolve(recorded: Json): Json;
}

export function createLearnedIds(): LearnedIds {
  const ids = new Map<string, string>();

  const learn = (recorded: Json, observed: Json, key: string): void => {
    if (typeof recorded === 'string' && typeof observed === 'string') {
      if (key === 'uuid') ids.set(recorded, observed);
      const made = observed.match(MADE_ID) ?? [];
      for (const [index, id] of (recorded.match(MADE_ID) ?? []).entries()) ids.set(id, made[index] ?? id);
    } else if (Array.isArray(recorded) && Array.isArray(observed)) {
      for (const [index, item] of (recorded as readonly Json[]).entries()) {
        learn(item, observed[index] as Json, key);
      }
    } else if (isObject(recorded) && isObject(observed)) {
      for (const [name, item] of Object.entries(recorded)) {
        if (observed[name] !== undefined) learn(item, observed[name], key === 'uuid' ? key : name);
      }
    }
  };

  const resolve = (recorded: Json): Json => {
    if (typeof recorded === 'string') {
      return ids.get(recorded) ?? recorded.replaceAll(MADE_ID, (id) => ids.get(id) ?? id);
    }
    if (Array.isArray(recorded)) return (recorded as readonly Json[]).map(resolve);
    if (!isObject(recorded)) return recorded;
    return Object.fromEntries(Object.entries(recorded).map(([name, item]) => [name, resolve(item)]));
  };

  return { learn: (recorded, observed) => learn(recorded, observed, ''), resolve };
}
