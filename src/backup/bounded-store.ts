import { orAborted, startDeadline } from '../base/deadline.ts';
import type { Clock } from '../base/ports.ts';
import { type ArchiveStore, ArchiveStoreError } from './store-port.ts';

/**
 * The same store, but that a look, a removal and each step of a list or of reading fails as `unavailable` when it takes
 * longer than `callMsMax`, even where the store takes no notice of being given up, as a mount that hangs. What is put
 * is not bounded: it takes as long as its content.
 */
export function boundedStore(store: ArchiveStore, clock: Clock, callMsMax: number): ArchiveStore {
  const soon = async <T>(signal: AbortSignal, work: (within: AbortSignal) => Promise<T>): Promise<T> => {
    const deadline = startDeadline(clock, callMsMax, signal);
    try {
      return await orAborted(deadline.signal, work(deadline.signal));
    } catch (error) {
      // A store that takes notice may have said so first, in its own words.
      if (deadline.passed) {
        throw new ArchiveStoreError('unavailable', `${store.place} has not answered within ${callMsMax} ms`);
      }
      if (signal.aborted) throw new ArchiveStoreError('aborted', 'the archive was not waited for');
      throw error;
    } finally {
      deadline.release();
    }
  };
  const stepwise = async function* <T>(
    signal: AbortSignal,
    begin: (within: AbortSignal) => AsyncIterable<T>,
  ): AsyncGenerator<T, void, undefined> {
    const over = new AbortController();
    const steps = begin(AbortSignal.any([signal, over.signal]))[Symbol.asyncIterator]();
    let isAtRest = true;
    try {
      for (;;) {
        isAtRest = false;
        const { done, value } = await soon(signal, async () => await steps.next());
        isAtRest = true;
        if (done === true) return;
        yield value;
      }
    } finally {
      over.abort();
      // One that hangs in a step would hang here too.
      if (isAtRest) await steps.return?.();
    }
  };
  return {
    ...store,
    head: async (key, signal) => await soon(signal, async (within) => await store.head(key, within)),
    remove: async (key, signal) => await soon(signal, async (within) => await store.remove(key, within)),
    read: (key, options) => stepwise(options.signal, (signal) => store.read(key, { ...options, signal })),
    list: (prefix, options) =>
      stepwise(options.signal, (signal) => store.list(prefix, { ...options, signal })),
  };
}
