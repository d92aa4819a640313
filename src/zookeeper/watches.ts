import type { WatchEvent } from './messages.ts';

/**
 * The watches of one connection. All that wait for the same thing share one promise, so asking again and again
 * costs nothing. They end with the connection: all resolve, and whoever waits looks again on the next one.
 */
export interface Watches {
  /** Of a node's data, or of its existence. */
  data(path: string): Promise<void>;
  children(path: string): Promise<void>;
  fire(event: WatchEvent): void;
  fireAll(): void;
}

type Waiting = Map<string, PromiseWithResolvers<void>>;

export function createWatches(): Watches {
  const data: Waiting = new Map();
  const children: Waiting = new Map();
  return {
    data: (path) => waitIn(data, path),
    children: (path) => waitIn(children, path),
    fire: ({ path, kind }) => {
      if (kind !== 'children') resolveIn(data, path);
      if (kind === 'children' || kind === 'removed') resolveIn(children, path);
    },
    fireAll: () => {
      for (const waiting of [data, children]) {
        for (const path of [...waiting.keys()]) resolveIn(waiting, path);
      }
    },
  };
}

function waitIn(waiting: Waiting, path: string): Promise<void> {
  const found = waiting.get(path) ?? Promise.withResolvers<void>();
  waiting.set(path, found);
  return found.promise;
}

function resolveIn(waiting: Waiting, path: string): void {
  waiting.get(path)?.resolve();
  waiting.delete(path);
}
