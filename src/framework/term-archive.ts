import { type ArchiveStore, ArchiveStoreError } from '../backup/store-port.ts';
import type { ArchiveAccess } from './archive-access.ts';

/** Begins `work` unless it may not be any more, and counts it until it has ended. */
export type Begin = <T>(error: (message: string) => Error, work: () => Promise<T>) => Promise<T>;

/**
 * An archive that is written only within a term; what only reads goes on. Whoever is past the gate when it wakes does
 * no harm: a log's segments have names that one writer gets, `docs/archive.md` tells why.
 */
export function archiveWithin(archive: ArchiveAccess, begin: Begin): ArchiveAccess {
  return {
    ...archive,
    open: async (signal) => {
      const store = await begin(notWritten, async () => await archive.open(signal));
      return storeWithin(store, begin);
    },
  };
}

function storeWithin(store: ArchiveStore, begin: Begin): ArchiveStore {
  const { growing } = store;
  return {
    place: store.place,
    read: (key, options) => store.read(key, options),
    head: async (key, signal) => await store.head(key, signal),
    list: (prefix, options) => store.list(prefix, options),
    put: async (key, content, options) =>
      await begin(notWritten, async () => await store.put(key, content, options)),
    remove: async (key, signal) => await begin(notWritten, async () => await store.remove(key, signal)),
    growing:
      growing === null
        ? null
        : {
            create: async (key, first, signal) => {
              const object = await begin(notWritten, async () => await growing.create(key, first, signal));
              return {
                append: async (bytes) => await begin(notWritten, async () => await object.append(bytes)),
                close: async () => await object.close(),
              };
            },
          },
  };
}

const notWritten = (message: string): Error => new ArchiveStoreError('aborted', message);
