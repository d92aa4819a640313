import { expect } from 'vitest';
import type { RevisionEvents } from '../../src/backup/events.ts';
import { createFollower } from '../../src/backup/follower.ts';
import { createInbox } from '../../src/backup/inbox.ts';
import { createStreamClient } from '../../src/etcd/stream-client.ts';
import { shown } from '../backup/sample-log.ts';
import { silentLogger } from '../silent-logger.ts';
import { clock, until } from '../wait.ts';
import { type CuttingProxy, startCuttingProxy } from './cutting-proxy.ts';

/** Streams that are cut are followed so many at a time. */
const LANES = 12;

/** Proxies before one etcd that each cut connections of their own. */
export interface CuttingLanes {
  readonly first: CuttingProxy;
  /** Each item in its turn, on whichever proxy is free. */
  run<T>(items: readonly T[], work: (proxy: CuttingProxy, item: T) => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

export async function startCuttingLanes(url: string): Promise<CuttingLanes> {
  const port = Number(new URL(url).port);
  const first = await startCuttingProxy(port);
  const others = Array.from({ length: LANES - 1 }, async () => await startCuttingProxy(port));
  const proxies = [first, ...(await Promise.all(others))];
  return {
    first,
    run: async (items, work) => {
      const left = items.values();
      const lane = async (proxy: CuttingProxy): Promise<void> => {
        for (const item of left) await work(proxy, item);
      };
      await Promise.all(proxies.map(lane));
    },
    close: async () => void (await Promise.all(proxies.map(async (proxy) => await proxy.close()))),
  };
}

/** Follows through a proxy as an archiver does, whatever the proxy does, and expects every revision once, whole. */
export async function expectFollowed(
  proxy: CuttingProxy,
  clusterId: string,
  history: readonly RevisionEvents[],
): Promise<void> {
  const inbox = createInbox({ bytesMax: 1e9, batchBytesMax: 1e9 });
  const [start, last] = [history[0]?.revision ?? 0n, history.at(-1)?.revision ?? 0n];
  const follower = createFollower({
    clusterId,
    start,
    members: () => Promise.resolve([{ url: `http://127.0.0.1:${proxy.port}` }]),
    connect: (to) => createStreamClient({ url: to }, clock),
    inbox,
    clock,
    logger: silentLogger,
    onGap: (gap) => expect(gap).toBeNull(),
  });
  const over = new AbortController();
  const running = follower.run(over.signal);
  try {
    await until('all has come', 60_000, () => follower.status().seenRevision >= last);
  } finally {
    over.abort();
    await running;
  }
  const entry = inbox.peek();
  const came = entry?.kind === 'batch' ? entry.batch.revisions : [];
  expect(shown(came.filter(({ revision }) => revision <= last))).toEqual(shown(history));
}
