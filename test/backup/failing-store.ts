import { type ArchiveStore, ArchiveStoreError } from '../../src/backup/store-port.ts';

/**
 * A store that does not do what it is asked for, does only a part of it, or does not say that it has.
 * @param fails asked before each call, and after each that changes something.
 */
export function failingStore(
  store: ArchiveStore,
  fails: () => boolean,
  code: 'unavailable' | 'full' = 'unavailable',
): ArchiveStore {
  const maybe = (): void => {
    if (fails()) throw new ArchiveStoreError(code, 'as the test wants it');
  };
  const { growing } = store;
  return {
    ...store,
    put: async (key, content, options) => {
      maybe();
      const stored = await store.put(key, content, options);
      maybe();
      return stored;
    },
    async *read(key, options) {
      maybe();
      for await (const part of store.read(key, options)) {
        yield part;
        maybe();
      }
    },
    async *list(prefix, options) {
      maybe();
      for await (const object of store.list(prefix, options)) {
        yield object;
        maybe();
      }
    },
    head: async (key, signal) => {
      maybe();
      return await store.head(key, signal);
    },
    remove: async (key, signal) => {
      maybe();
      await store.remove(key, signal);
      maybe();
    },
    growing:
      growing === null
        ? null
        : {
            create: async (key, first, signal) => {
              maybe();
              const object = await growing.create(key, first, signal);
              maybe();
              let isBroken = false;
              return {
                close: object.close,
                append: async (bytes) => {
                  if (isBroken) throw new ArchiveStoreError(code, 'it failed before');
                  isBroken = true;
                  maybe();
                  await object.append(bytes.subarray(0, bytes.byteLength / 2));
                  maybe();
                  await object.append(bytes.subarray(bytes.byteLength / 2));
                  maybe();
                  isBroken = false;
                },
              };
            },
          },
  };
}
