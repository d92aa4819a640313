import type { SchedulerPorts } from '../../src/framework/scheduler.ts';
import { callKinds, orderKinds, saveKinds } from './scheduler-actions.ts';

/** Is told of everything that a scheduler does to the world, by kind. */
export interface PortWatcher {
  before(kinds: readonly string[]): void;
  /** It was done. */
  after(kinds: readonly string[]): void;
  /** It was not, as far as is known. */
  refused(kinds: readonly string[], why: string): void;
}

/** The same ports, watched. */
export function watchPorts(ports: SchedulerPorts, watcher: PortWatcher): SchedulerPorts {
  const { transport, members } = ports;
  const watched = async <T>(
    kinds: readonly string[],
    work: () => Promise<T>,
    refusalIn: (answer: T) => string | null,
  ): Promise<T> => {
    watcher.before(kinds);
    let answer: T;
    try {
      answer = await work();
    } catch (error) {
      watcher.refused(kinds, String(error));
      throw error;
    }
    const refusal = refusalIn(answer);
    if (refusal === null) watcher.after(kinds);
    else watcher.refused(kinds, refusal);
    return answer;
  };

  return {
    ...ports,
    store: watchedStore(ports.store, watched),
    members: {
      status: (url, last, signal) => members.status(url, last, signal),
      order: async (url, order, signal) =>
        await watched(
          orderKinds(order),
          async () => await members.order(url, order, signal),
          ({ outcome, problem }) => (outcome === 'done' ? null : `${outcome}: ${problem}`),
        ),
    },
    transport: {
      request: async (request) =>
        await watched(
          request.url.endsWith('/api/v1/scheduler') ? callKinds(request.body) : [],
          async () => await transport.request(request),
          ({ status }) => (status === 200 || status === 202 ? null : `status ${status}`),
        ),
    },
  };
}

type Watched = <T>(
  kinds: readonly string[],
  work: () => Promise<T>,
  refusalIn: (answer: T) => string | null,
) => Promise<T>;

function watchedStore(store: SchedulerPorts['store'], watched: Watched): SchedulerPorts['store'] {
  let stored: Uint8Array | null = null;
  return {
    ...store,
    load: async () => {
      const found = await store.load();
      stored = found?.bytes ?? null;
      return found;
    },
    save: async (bytes, expectedVersion) => {
      const kinds = saveKinds(stored, bytes);
      const version = await watched(
        kinds,
        async () => await store.save(bytes, expectedVersion),
        () => null,
      );
      stored = bytes;
      return version;
    },
  };
}
