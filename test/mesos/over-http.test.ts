import { afterEach, expect, it } from 'vitest';
import type { ConnectionEvent, MesosConnection } from '../../src/mesos/connection.ts';
import { createFixedMasterSource } from '../../src/mesos/master-source.ts';
import { createSchedulerConnection } from '../../src/mesos/scheduler-connection.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { serveOnLoopback } from '../sim/loopback-server.ts';
import type { MemoryHandler, MemoryRequest } from '../sim/memory-transport.ts';
import { until } from '../wait.ts';
import {
  createRecordedLog,
  createServedStream,
  type ServedStream,
  streamAnswer,
  subscribedEvent,
} from './network.ts';

/** The client over real sockets and real time: that its parts fit the world, all else is tested in memory. */

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Master {
  readonly base: string;
  readonly requests: MemoryRequest[];
  readonly streams: ServedStream[];
}

async function startMaster(instead?: MemoryHandler): Promise<Master> {
  const requests: MemoryRequest[] = [];
  const streams: ServedStream[] = [];
  const server = await serveOnLoopback((request) => {
    requests.push(request);
    if (instead !== undefined) return instead(request);
    if (request.headers['mesos-stream-id'] !== undefined) return { status: 202 };
    const stream = createServedStream();
    streams.push(stream);
    stream.send(subscribedEvent());
    return streamAnswer(stream, `stream-${streams.length}`);
  });
  cleanups.push(() => server.close());
  return { base: server.base, requests, streams };
}

function startClient(addresses: string): { events: ConnectionEvent[]; connection: MesosConnection } {
  const transport = createHttpTransport();
  const events: ConnectionEvent[] = [];
  const controller = new AbortController();
  const connection = createSchedulerConnection({
    transport,
    clock: createSystemClock(),
    random: createSystemRandom(),
    log: createRecordedLog(),
    masters: createFixedMasterSource(addresses),
    frameworkInfo: () => ({ user: 'root', name: 'etcd', roles: ['etcd'] }),
    frameworkId: null,
    onEvent: (event) => events.push(event),
  });
  const run = connection.run(controller.signal);
  cleanups.push(async () => {
    controller.abort();
    await run;
    await transport.close();
  });
  return { events, connection };
}

const kinds = (events: readonly ConnectionEvent[]): readonly string[] => events.map((event) => event.kind);

it('subscribes through a standby, follows events, calls, and comes back when the master breaks off', async () => {
  const leader = await startMaster();
  const standby = await startMaster((request) => ({
    status: 307,
    headers: { location: `${leader.base.slice('http:'.length)}/master${new URL(request.url).pathname}` },
  }));
  const { events, connection } = startClient(standby.base);
  await until('the next event', 5_000, () => events.length === 1);
  expect(leader.requests[0]?.url).toBe(`${leader.base}/master/api/v1/scheduler`);

  const offers = Array.from({ length: 2000 }, (_, index) => ({
    id: { value: `O${index}` },
    framework_id: { value: 'F' },
    agent_id: { value: 'S' },
    hostname: 'größe-😀.example'.repeat(20),
    resources: [],
  }));
  leader.streams[0]?.send({ type: 'OFFERS', offers: { offers } });
  await until('the next event', 5_000, () => events.length === 2);
  expect(events[1]).toEqual({ kind: 'event', event: { type: 'OFFERS', offers: { offers } } });

  await Promise.all(Array.from({ length: 20 }, () => connection.call({ type: 'SUPPRESS' })));
  expect(leader.requests.filter((request) => request.headers['mesos-stream-id'] === 'stream-1')).toHaveLength(
    20,
  );

  leader.streams[0]?.fail();
  await until('the next event', 5_000, () => events.length === 4);
  expect(kinds(events)).toEqual(['subscribed', 'event', 'disconnected', 'subscribed']);
  await connection.call({ type: 'REVIVE' });
  expect(leader.requests.at(-1)?.headers['mesos-stream-id']).toBe('stream-2');
});

it('leaves the stream when it ends, so that the master sees the scheduler go', async () => {
  const master = await startMaster();
  const { events } = startClient(master.base);
  await until('the next event', 5_000, () => events.length === 1);
  await cleanups.pop()?.();
  await until('the next event', 5_000, () => master.streams[0]?.left === true);
});
