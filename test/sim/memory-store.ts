import {
  LOG_ENTRIES_MAX,
  LOG_ENTRY_BYTES_MAX,
  type LogKind,
  type StateStore,
  StateStoreError,
} from '../../src/base/ports.ts';
import { RECORD_BYTES_MAX } from '../../src/protocol/record.ts';

/** A state store in memory that outlives the schedulers which use it, and can be told to fail. */
export interface MemoryStore extends StateStore {
  /** Every record that was ever saved, oldest first. */
  readonly history: readonly Uint8Array[];
  /** What is stored now. */
  stored(): Uint8Array | null;
  /** The next save fails: before it took effect, or after, when the writer cannot know. */
  failNext(how: 'before' | 'after'): void;
  /** Puts back what was stored that many saves ago, or the oldest there is. `false`: there is nothing. */
  rollBack(saves: number): boolean;
  /** Runs before every save takes effect. */
  onSave(listener: (bytes: Uint8Array) => void): void;
}

export function createMemoryStore(): MemoryStore {
  const history: Uint8Array[] = [];
  /** Saves that a `clear` has forgotten. */
  let forgotten = 0;
  const logs = new Map<LogKind, readonly string[]>();
  let failure: 'before' | 'after' | null = null;
  let listener = (_bytes: Uint8Array): void => {};
  const version = (): string | null => (history.length === forgotten ? null : String(history.length));
  return {
    history,
    stored: () => (history.length === forgotten ? null : (history.at(-1) ?? null)),
    failNext: (how) => {
      failure = how;
    },
    rollBack: (saves) => {
      const older = history[Math.max(forgotten, history.length - 1 - saves)];
      if (older === undefined) return false;
      history.push(older);
      return true;
    },
    onSave: (next) => {
      listener = next;
    },
    load: () => {
      const bytes = history.length === forgotten ? undefined : history.at(-1);
      return Promise.resolve(
        bytes === undefined ? null : { bytes: bytes.slice(), version: String(history.length) },
      );
    },
    save: (bytes, expectedVersion) => {
      const how = failure;
      failure = null;
      if (how === 'before') return Promise.reject(unavailable());
      if (bytes.byteLength > RECORD_BYTES_MAX) {
        return Promise.reject(new StateStoreError('too-large', `${bytes.byteLength} bytes are too many`));
      }
      if (expectedVersion !== version()) {
        const message = `version ${version()} is stored, expected was ${expectedVersion}`;
        return Promise.reject(new StateStoreError('conflict', message));
      }
      listener(bytes);
      history.push(bytes.slice());
      return how === 'after' ? Promise.reject(unavailable()) : Promise.resolve(String(history.length));
    },
    append: (kind, entry) => {
      const sizeBytes = Buffer.byteLength(JSON.stringify(entry));
      if (sizeBytes > LOG_ENTRY_BYTES_MAX) {
        return Promise.reject(new StateStoreError('too-large', `${sizeBytes} bytes are too many`));
      }
      logs.set(kind, [...(logs.get(kind) ?? []), entry].slice(-LOG_ENTRIES_MAX));
      return Promise.resolve();
    },
    read: (kind) => Promise.resolve(logs.get(kind) ?? []),
    clear: () => {
      forgotten = history.length;
      logs.clear();
      return Promise.resolve();
    },
  };
}

function unavailable(): StateStoreError {
  return new StateStoreError('unavailable', 'the store was told to fail');
}
