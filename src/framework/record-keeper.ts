import { type Clock, type StateStore, StateStoreError } from '../base/ports.ts';
import { type ClusterRecord, parseRecord, serializeRecord } from '../protocol/record.ts';
import { SchedulerError } from './config.ts';

/** Holds the cluster record: what is stored, and what has been learnt since that is not worth a write yet. */
export interface RecordKeeper {
  /** The newest record, stored or not. Only after {@link open}. */
  readonly current: ClusterRecord;
  /** Reads what is stored; `null` where nothing is. Rejects with a `StateStoreError` or `RecordError`. */
  open(): Promise<ClusterRecord | null>;
  /**
   * Takes over `next`. Stored when it resolves, unless it differs only in what is counted up all the time:
   * that is stored once in {@link MINOR_SAVE_MS}. Rejects with a {@link SchedulerError} `record-conflict` when
   * somebody else has written, with a `StateStoreError` when it could not be stored: then nothing is taken over.
   */
  keep(next: ClusterRecord): Promise<Kept>;
  readonly saves: number;
}
/** `deferred`: only counters moved, and they were stored a moment ago. */
export type Kept = 'saved' | 'deferred' | 'unchanged';

/** Milliseconds between two writes that carry nothing but elapsed time and log positions. */
const MINOR_SAVE_MS = 1_000;

export function createRecordKeeper(store: StateStore, clock: Clock): RecordKeeper {
  let current: ClusterRecord | null = null;
  let storedText = '';
  let storedMajor = '';
  let version: string | null = null;
  let savedAtMs = Number.NEGATIVE_INFINITY;
  let saves = 0;

  const write = async (bytes: Uint8Array): Promise<string> => {
    try {
      return await store.save(bytes, version);
    } catch (error) {
      // A save that seemed to fail may have been carried out: then what is stored is what we meant.
      const found = await store.load().catch(() => null);
      if (found !== null && sameBytes(found.bytes, bytes)) return found.version;
      if (error instanceof StateStoreError && error.code === 'conflict') throw conflict(error);
      throw error;
    }
  };

  return {
    get current() {
      if (current === null) throw new SchedulerError('wrong-record', 'the cluster record was not opened');
      return current;
    },
    get saves() {
      return saves;
    },
    async open() {
      const stored = await store.load();
      if (stored === null) return null;
      current = parseRecord(stored.bytes);
      version = stored.version;
      storedText = JSON.stringify(current);
      storedMajor = majorText(current);
      return current;
    },
    async keep(next) {
      const text = JSON.stringify(next);
      if (text === storedText) {
        current = next;
        return 'unchanged';
      }
      const major = majorText(next);
      if (major === storedMajor && clock.monotonicMs() - savedAtMs < MINOR_SAVE_MS) {
        current = next;
        return 'deferred';
      }
      version = await write(serializeRecord(next));
      current = next;
      storedText = text;
      storedMajor = major;
      savedAtMs = clock.monotonicMs();
      saves += 1;
      return 'saved';
    },
  };
}

/** The record without what moves all the time. */
function majorText(record: ClusterRecord): string {
  return JSON.stringify(record, (key, value: unknown) => (MINOR_KEYS.has(key) ? undefined : value));
}
const MINOR_KEYS: ReadonlySet<string> = new Set([
  'absentMs',
  'handoverMs',
  'standInMs',
  'steadyMs',
  'waitedMs',
]);

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, index) => byte === b[index]);
}

function conflict(cause: StateStoreError): SchedulerError {
  return new SchedulerError('record-conflict', 'another scheduler has written the cluster record', {
    cause,
    hint: 'Only one scheduler of a cluster may run. If the other one is meant to run, leave this one stopped.',
  });
}
