import { LOG_ENTRIES_MAX, type LogKind, type StateStore, StateStoreError } from '../../src/base/ports.ts';

/** A {@link StateStore} in memory: durable for as long as it is held. */
export function createMemoryStore(): StateStore {
  let stored: { readonly bytes: Uint8Array; readonly version: string } | null = null;
  let saves = 0;
  const logs = new Map<LogKind, readonly string[]>();
  return {
    load: async () => (stored === null ? null : { bytes: stored.bytes.slice(), version: stored.version }),
    save: async (bytes, expectedVersion) => {
      const version = stored?.version ?? null;
      if (version !== expectedVersion) {
        throw new StateStoreError(
          'conflict',
          `version ${version} is stored, ${expectedVersion} was expected`,
        );
      }
      saves += 1;
      stored = { bytes: bytes.slice(), version: String(saves) };
      return stored.version;
    },
    append: async (kind, entry) => {
      logs.set(kind, [...(logs.get(kind) ?? []), entry].slice(-LOG_ENTRIES_MAX));
    },
    read: async (kind) => logs.get(kind) ?? [],
  };
}
