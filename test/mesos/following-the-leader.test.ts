import { afterEach, beforeEach, expect, it } from 'vitest';
import { HttpTransportError } from '../../src/base/ports.ts';
import type { ConnectionEvent } from '../../src/mesos/connection.ts';
import { MesosError } from '../../src/mesos/errors.ts';
import type { MasterSource } from '../../src/mesos/master-source.ts';
import { createSchedulerConnection } from '../../src/mesos/scheduler-connection.ts';
import type { MemoryHandler } from '../sim/memory-transport.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import {
  createNetwork,
  createRecordedLog,
  createServedStream,
  type ServedStream,
  streamAnswer,
  subscribedEvent,
} from './network.ts';

const M1 = 'http://m1:5050';
const M2 = 'http://m2:5050';

/** A source that knows who leads, as ZooKeeper does. */
function createElected(first: string | null) {
  let leader = first;
  let told = first;
  let news = Promise.withResolvers<void>();
  const source: MasterSource = {
    next: () => {
      told = leader;
      return leader === null
        ? Promise.reject(new MesosError('no-master', 'nobody leads'))
        : Promise.resolve([leader]);
    },
    changed: async (signal) => {
      const aborted = Promise.withResolvers<void>();
      signal.addEventListener('abort', () => aborted.resolve(), { once: true });
      if (signal.aborted) aborted.resolve();
      while (!signal.aborted && (leader === null || leader === told)) {
        await Promise.race([news.promise, aborted.promise]);
      }
    },
  };
  return {
    source,
    elect: (next: string | null) => {
      leader = next;
      news.resolve();
      news = Promise.withResolvers<void>();
    },
  };
}

let streams: ServedStream[] = [];
/** A master that takes every SUBSCRIBE and keeps its stream open. */
const subscribing: MemoryHandler = () => {
  const stream = createServedStream();
  streams.push(stream);
  stream.send(subscribedEvent());
  return streamAnswer(stream, 'stream');
};

const clock = createVirtualClock();
let network: ReturnType<typeof createNetwork>;
let events: ConnectionEvent[];
let stop: () => Promise<void>;
beforeEach(() => {
  network = createNetwork();
  events = [];
  streams = [];
});
afterEach(async () => {
  await stop();
  expect(clock.pending).toBe(0);
});

function start(masters: MasterSource): void {
  const controller = new AbortController();
  const run = createSchedulerConnection({
    transport: network.transport,
    clock,
    random: { next: () => 0.5 },
    log: createRecordedLog(),
    masters,
    frameworkInfo: () => ({ user: 'root', name: 'etcd', roles: ['etcd'], failover_timeout: 10 }),
    frameworkId: null,
    onEvent: (event) => events.push(event),
  }).run(controller.signal);
  stop = async () => {
    controller.abort();
    await run;
    await clock.settle();
  };
}
const subscribedTo = (): readonly string[] => network.requests.map(({ url }) => new URL(url).origin);
const subscriptions = (): number => events.filter(({ kind }) => kind === 'subscribed').length;

it('leaves a master that leads no more though it goes on talking, for the one that leads', async () => {
  const elected = createElected(M1);
  for (const master of [M1, M2]) network.serve(master, subscribing);
  start(elected.source);
  await clock.runUntil(() => subscriptions() === 1, 1_000);
  const startMs = clock.monotonicMs();
  elected.elect(M2);
  await clock.runUntil(() => subscriptions() === 2, 5_000);
  expect(subscribedTo()).toEqual([M1, M2]);
  expect(clock.monotonicMs() - startMs).toBeLessThan(1_000);
});

it('stays where it is while nobody else leads', async () => {
  const elected = createElected(M1);
  network.serve(M1, subscribing);
  start(elected.source);
  await clock.runUntil(() => subscriptions() === 1, 1_000);
  elected.elect(null);
  await clock.advance(5_000);
  elected.elect(M1);
  await clock.advance(5_000);
  expect(subscriptions()).toBe(1);
  expect(events).toHaveLength(1);
});

it('goes to a new leader at once, in the middle of a long wait for the old one', async () => {
  const elected = createElected(M1);
  network.serve(M1, () => {
    throw new HttpTransportError('connect-failed', 'nobody listens');
  });
  network.serve(M2, subscribing);
  start(elected.source);
  await clock.advance(60_000);
  expect(subscriptions()).toBe(0);
  const startMs = clock.monotonicMs();
  elected.elect(M2);
  await clock.runUntil(() => subscriptions() === 1, 20_000);
  expect(clock.monotonicMs() - startMs).toBeLessThan(1_000);
});

it('asks who leads again after a redirect to a master that is dead', async () => {
  const elected = createElected(M2);
  network.serve(M2, () => ({ status: 307, headers: { location: '//m1:5050/master/api/v1/scheduler' } }));
  start(elected.source);
  await clock.advance(300);
  expect(subscribedTo()).toContain(M2);
  expect(subscriptions()).toBe(0);
  network.serve(M2, subscribing);
  await clock.runUntil(() => subscriptions() === 1, 10_000);
});

it('tries the master that led the last time where it cannot be known who leads', async () => {
  const elected = createElected(M1);
  network.serve(M1, subscribing);
  start(elected.source);
  await clock.runUntil(() => subscriptions() === 1, 1_000);
  elected.elect(null);
  streams[0]?.end();
  await clock.runUntil(() => subscriptions() === 2, 20_000);
  expect(subscribedTo()).toEqual([M1, M1]);
});
