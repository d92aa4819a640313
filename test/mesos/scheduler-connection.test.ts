import { describe, expect, it } from 'vitest';
import { HttpTransportError } from '../../src/base/ports.ts';
import { RETRY_MS_FIRST, RETRY_MS_MAX } from '../../src/mesos/backoff.ts';
import type { ConnectionEvent, MesosConnection } from '../../src/mesos/connection.ts';
import type { MasterHeaders } from '../../src/mesos/credentials.ts';
import { MesosError } from '../../src/mesos/errors.ts';
import { HEAD_DEADLINE_MS, REDIRECTS_MAX } from '../../src/mesos/master-request.ts';
import { createFixedMasterSource, type MasterSource } from '../../src/mesos/master-source.ts';
import {
  CALL_DEADLINE_MS,
  createSchedulerConnection,
  REFUSED_MS_MAX,
  type SchedulerConnectionOptions,
  STEADY_MS,
} from '../../src/mesos/scheduler-connection.ts';
import { FIRST_EVENT_MS, RECORD_MS_MAX } from '../../src/mesos/scheduler-stream.ts';
import type { Call, FrameworkInfo } from '../../src/mesos/wire.ts';
import { createByteStream, type MemoryHandler } from '../sim/memory-transport.ts';
import { createVirtualClock, type VirtualClock } from '../sim/virtual-clock.ts';
import {
  createNetwork,
  createRecordedLog,
  createServedStream,
  type Network,
  type ServedStream,
  streamAnswer,
  subscribedEvent,
} from './network.ts';

const M1 = 'http://m1:5050';
const M2 = 'http://m2:5050';
const INFO: FrameworkInfo = { user: 'root', name: 'etcd', roles: ['etcd'], failover_timeout: 10 };

interface World {
  readonly clock: VirtualClock;
  readonly network: Network;
  readonly events: readonly ConnectionEvent[];
  readonly connection: MesosConnection;
  /** What `run` ended in; `null` while it runs. */
  readonly end: () => { readonly error: unknown } | null;
  readonly stop: () => Promise<void>;
  readonly kinds: () => readonly string[];
}

function start(
  prepare: (network: Network) => void,
  more: Partial<SchedulerConnectionOptions> = {},
  addresses = 'm1,m2',
): World {
  const clock = createVirtualClock();
  const network = createNetwork();
  prepare(network);
  const events: ConnectionEvent[] = [];
  const connection = createSchedulerConnection({
    transport: network.transport,
    clock,
    random: { next: () => 0.5 },
    log: createRecordedLog(),
    masters: createFixedMasterSource(addresses),
    frameworkInfo: () => INFO,
    frameworkId: null,
    onEvent: (event) => events.push(event),
    ...more,
  });
  const controller = new AbortController();
  let end: { readonly error: unknown } | null = null;
  const run = connection.run(controller.signal).then(
    () => {
      end = { error: null };
    },
    (error: unknown) => {
      end = { error };
    },
  );
  return {
    clock,
    network,
    events,
    connection,
    end: () => end,
    kinds: () => events.map((event) => (event.kind === 'disconnected' ? event.error.code : event.kind)),
    stop: async () => {
      controller.abort();
      await run;
      await clock.settle();
      expect(clock.pending).toBe(0);
    },
  };
}

/** A master that takes every SUBSCRIBE with a new stream, and every call. */
function createMaster(streamIdPrefix = 'stream'): {
  handler: MemoryHandler;
  streams: ServedStream[];
} {
  const streams: ServedStream[] = [];
  return {
    streams,
    handler: (request) => {
      const call = JSON.parse(request.body ?? '') as { type: string };
      if (call.type !== 'SUBSCRIBE') return { status: 202 };
      const stream = createServedStream();
      streams.push(stream);
      stream.send(subscribedEvent());
      return streamAnswer(stream, `${streamIdPrefix}-${streams.length}`);
    },
  };
}

const bodyOf = (world: World, index: number): unknown =>
  JSON.parse(world.network.requests.at(index)?.body ?? 'null');
const lastError = (world: World): MesosError => {
  const event = world.events.at(-1);
  if (event?.kind !== 'disconnected') throw new Error(`the last event is ${event?.kind}`);
  return event.error;
};

describe('subscribing', () => {
  it('sends SUBSCRIBE, tells of it, and then of the events in their order', async () => {
    const master = createMaster();
    const world = start((network) => network.serve(M1, master.handler), {
      suppressedRoles: () => ['etcd'],
      headers: () => Promise.resolve({ authorization: 'Bearer x' }),
    });
    await world.clock.settle();
    expect(world.network.requests[0]).toMatchObject({
      method: 'POST',
      url: `${M1}/api/v1/scheduler`,
      headers: {
        accept: 'application/json',
        'content-type': 'application/json',
        authorization: 'Bearer x',
      },
    });
    expect(world.network.requests[0]?.headers).not.toHaveProperty('mesos-stream-id');
    expect(bodyOf(world, 0)).toEqual({
      type: 'SUBSCRIBE',
      subscribe: { framework_info: INFO, suppressed_roles: ['etcd'] },
    });
    master.streams[0]?.send(
      { type: 'HEARTBEAT' },
      { type: 'OFFERS', offers: { offers: [] } },
      { type: 'NOVELTY' },
      { type: 'RESCIND', rescind: { offer_id: { value: 'O1' } } },
    );
    await world.clock.settle();
    expect(world.events).toEqual([
      {
        kind: 'subscribed',
        frameworkId: 'F-0000',
        master: { id: 'M1', hostname: 'm1', port: 5050 },
      },
      { kind: 'event', event: { type: 'OFFERS', offers: { offers: [] } } },
      { kind: 'event', event: { type: 'UNKNOWN', name: 'NOVELTY' } },
      { kind: 'event', event: { type: 'RESCIND', rescind: { offer_id: { value: 'O1' } } } },
    ]);
    await world.stop();
    expect(world.end()).toEqual({ error: null });
    expect(master.streams[0]?.left).toBe(true);
  });

  it('comes back with the id it was given, in the call and in framework_info', async () => {
    const master = createMaster();
    const world = start((network) => network.serve(M1, master.handler), {
      frameworkInfo: () => ({ ...INFO, id: { value: 'stale' } }),
    });
    await world.clock.settle();
    expect(bodyOf(world, 0)).toEqual({ type: 'SUBSCRIBE', subscribe: { framework_info: INFO } });
    master.streams[0]?.end();
    await world.clock.advance(RETRY_MS_FIRST);
    expect(bodyOf(world, 1)).toEqual({
      type: 'SUBSCRIBE',
      framework_id: { value: 'F-0000' },
      subscribe: { framework_info: { ...INFO, id: { value: 'F-0000' } } },
    });
    expect(world.kinds()).toEqual(['subscribed', 'connection-lost', 'subscribed']);
    await world.stop();
  });

  it('resumes an id of an earlier life', async () => {
    const master = createMaster();
    const world = start((network) => network.serve(M1, master.handler), { frameworkId: 'F-7' });
    await world.clock.settle();
    expect(bodyOf(world, 0)).toMatchObject({ framework_id: { value: 'F-7' } });
    await world.stop();
  });

  it('tells nothing more once it was ended, even of what had come in the same chunk', async () => {
    const stream = createServedStream();
    const controller = new AbortController();
    const events: ConnectionEvent[] = [];
    const network = createNetwork();
    network.serve(M1, () => streamAnswer(stream));
    const connection = createSchedulerConnection({
      transport: network.transport,
      clock: createVirtualClock(),
      random: { next: () => 0 },
      log: createRecordedLog(),
      masters: createFixedMasterSource('m1'),
      frameworkInfo: () => INFO,
      frameworkId: null,
      onEvent: (event) => {
        events.push(event);
        controller.abort();
      },
    });
    stream.send(subscribedEvent(), { type: 'OFFERS', offers: { offers: [] } });
    await connection.run(controller.signal);
    expect(events.map((event) => event.kind)).toEqual(['subscribed']);
  });

  it('lets a bug in the receiver of events out, and does not take it for a lost connection', async () => {
    const master = createMaster();
    const world = start((network) => network.serve(M1, master.handler), {
      onEvent: () => {
        throw new TypeError('a bug');
      },
    });
    await world.clock.settle();
    expect(world.end()).toMatchObject({ error: new TypeError('a bug') });
    expect(master.streams[0]?.left).toBe(true);
  });
});

describe('calls', () => {
  it('carry the stream id and the framework id', async () => {
    const master = createMaster();
    const world = start((network) => network.serve(M1, master.handler));
    await world.clock.settle();
    await world.connection.call({ type: 'REVIVE', revive: { roles: ['etcd'] } });
    expect(world.network.requests[1]).toMatchObject({
      method: 'POST',
      url: `${M1}/api/v1/scheduler`,
      headers: { 'mesos-stream-id': 'stream-1', 'content-type': 'application/json' },
    });
    expect(bodyOf(world, 1)).toEqual({
      framework_id: { value: 'F-0000' },
      type: 'REVIVE',
      revive: { roles: ['etcd'] },
    });
    await world.stop();
  });

  it('are refused without a subscription: before the first, after a loss, after the end', async () => {
    const stream = createServedStream();
    const world = start((network) => network.serve(M1, () => streamAnswer(stream)));
    const suppress = (): Promise<void> => world.connection.call({ type: 'SUPPRESS' });
    await expect(suppress()).rejects.toMatchObject({ code: 'not-subscribed' });
    await world.clock.settle();
    await expect(suppress()).rejects.toMatchObject({ code: 'not-subscribed' });
    stream.send(subscribedEvent());
    await world.clock.settle();
    stream.fail();
    await world.clock.settle();
    await expect(suppress()).rejects.toMatchObject({ code: 'not-subscribed' });
    await world.stop();
    await expect(suppress()).rejects.toMatchObject({ code: 'not-subscribed' });
  });

  it.each([
    [400, 'bad-call'],
    [401, 'refused-unauthenticated'],
    [403, 'refused-forbidden'],
    [404, 'not-mesos'],
    [405, 'not-mesos'],
    [415, 'not-mesos'],
    [500, 'no-master'],
    [503, 'no-master'],
    [203, 'not-mesos'],
  ])(
    'answered with %i reject with %s and what the master said, and the subscription stands',
    async (status, code) => {
      const master = createMaster();
      const world = start((network) =>
        network.serve(M1, (request) =>
          request.headers['mesos-stream-id'] === undefined
            ? master.handler(request)
            : { status, body: 'because\n  so' },
        ),
      );
      await world.clock.settle();
      const call = world.connection.call({ type: 'SUPPRESS' });
      await expect(call).rejects.toMatchObject({ code, message: expect.stringContaining('because so') });
      expect(world.kinds()).toEqual(['subscribed']);
      await world.stop();
    },
  );

  it.each([
    [403, 'Framework is not subscribed'],
    [400, 'Framework cannot be found'],
  ])('answered with %i %s mean that the stream is one of before: we subscribe anew', async (status, body) => {
    const master = createMaster();
    const world = start((network) =>
      network.serve(M1, (request) =>
        request.headers['mesos-stream-id'] === 'stream-1' ? { status, body } : master.handler(request),
      ),
    );
    await world.clock.settle();
    const call = world.connection.call({ type: 'SUPPRESS' });
    await expect(call).rejects.toMatchObject({ message: expect.stringContaining(body) });
    await world.clock.advance(RETRY_MS_FIRST);
    expect(world.kinds()).toEqual(['subscribed', 'connection-lost', 'subscribed']);
    await world.stop();
  });

  it('have a deadline, and keep at most 64 KiB of a refusal', async () => {
    const master = createMaster();
    const silent = createByteStream();
    const huge = createByteStream();
    for (let chunk = 0; chunk < 1000; chunk += 1) huge.push('x'.repeat(1024));
    const bodies = [silent, huge];
    const world = start((network) =>
      network.serve(M1, (request) =>
        request.headers['mesos-stream-id'] === undefined
          ? master.handler(request)
          : { status: 400, body: bodies.shift() ?? '' },
      ),
    );
    await world.clock.settle();
    const slow = world.connection.call({ type: 'SUPPRESS' });
    void world.clock.advance(CALL_DEADLINE_MS);
    await expect(slow).rejects.toMatchObject({ code: 'timeout' });
    const loud = world.connection.call({ type: 'SUPPRESS' }).catch((error: unknown) => error);
    const error = (await loud) as MesosError;
    expect(error.code).toBe('bad-call');
    expect(error.message.length).toBeLessThan(2000);
    expect(huge.left).toBe(true);
    await world.stop();
  });

  it('that get no head are given up, and so are those under way when all ends', async () => {
    const master = createMaster();
    const world = start((network) =>
      network.serve(M1, (request) =>
        request.headers['mesos-stream-id'] === undefined ? master.handler(request) : new Promise(() => {}),
      ),
    );
    await world.clock.settle();
    const slow = world.connection.call({ type: 'SUPPRESS' }).catch((error: unknown) => error);
    await world.clock.advance(CALL_DEADLINE_MS);
    expect(await slow).toMatchObject({ code: 'timeout' });
    const cut = world.connection.call({ type: 'SUPPRESS' }).catch((error: unknown) => error);
    await world.clock.settle();
    await world.stop();
    expect(await cut).toMatchObject({ code: 'aborted' });
  });

  it.each<[call: Call, status: number, kinds: readonly string[]]>([
    [{ type: 'DECLINE', decline: { offer_ids: [{ value: 'O1' }] } }, 503, ['connection-lost', 'subscribed']],
    [
      { type: 'ACCEPT', accept: { offer_ids: [{ value: 'O1' }], operations: [] } },
      500,
      ['connection-lost', 'subscribed'],
    ],
    [{ type: 'DECLINE', decline: { offer_ids: [{ value: 'O1' }] } }, 400, []],
    [{ type: 'REVIVE' }, 503, []],
  ])(
    'that answer offers and are lost end the subscription, since Mesos takes the offers back then alone',
    async (call, status, kinds) => {
      const master = createMaster();
      const world = start((network) =>
        network.serve(M1, (request) =>
          request.headers['mesos-stream-id'] === undefined ? master.handler(request) : { status, body: '' },
        ),
      );
      await world.clock.settle();
      await expect(world.connection.call(call)).rejects.toThrow();
      await world.clock.advance(RETRY_MS_FIRST);
      expect(world.kinds()).toEqual(['subscribed', ...kinds]);
      await world.stop();
    },
  );

  it('that are redirected mean that the master leads no more: it is looked for at once', async () => {
    const old = createMaster();
    const next = createMaster('next');
    let leads = true;
    const world = start((network) => {
      network.serve(M1, (request) =>
        leads
          ? old.handler(request)
          : { status: 307, headers: { location: '//m2:5050/master/api/v1/scheduler' } },
      );
      network.serve(M2, next.handler);
    });
    await world.clock.settle();
    leads = false;
    await expect(world.connection.call({ type: 'SUPPRESS' })).rejects.toMatchObject({
      code: 'connection-lost',
    });
    await world.clock.advance(RETRY_MS_FIRST);
    expect(world.kinds()).toEqual(['subscribed', 'connection-lost', 'subscribed']);
    await world.connection.call({ type: 'SUPPRESS' });
    expect(world.network.requests.at(-1)).toMatchObject({
      url: `${M2}/master/api/v1/scheduler`,
      headers: { 'mesos-stream-id': 'next-1' },
    });
    await world.stop();
  });

  it('of TEARDOWN end the subscription for good, whichever is seen first, its answer or the stream’s end', async () => {
    for (const streamFirst of [true, false]) {
      const master = createMaster();
      const world = start((network) =>
        network.serve(M1, async (request) => {
          if (request.headers['mesos-stream-id'] === undefined) return await master.handler(request);
          if (streamFirst) master.streams[0]?.end();
          await world.clock.sleep(20);
          return { status: 202 };
        }),
      );
      await world.clock.settle();
      const torn = world.connection.call({ type: 'TEARDOWN' });
      await world.clock.advance(RETRY_MS_FIRST);
      await torn;
      expect(world.end()).toMatchObject({ error: { code: 'framework-removed' } });
      expect(master.streams).toHaveLength(1);
    }
  });
});

describe('a silent master', () => {
  it.each([
    [15, 37_500],
    [1, 2500],
    [0.01, 2000],
    [0, 37_500],
    [-3, 37_500],
    [100_000, 120_000],
  ])(
    'that announced a heartbeat every %d s is lost after %d ms and a second look',
    async (seconds, silenceMs) => {
      const stream = createServedStream();
      const world = start((network) => network.serve(M1, () => streamAnswer(stream)), {}, 'm1');
      stream.send(subscribedEvent('F', seconds));
      await world.clock.settle();
      await world.clock.advance(silenceMs + 249);
      expect(world.kinds()).toEqual(['subscribed']);
      await world.clock.advance(1);
      expect(world.kinds()).toEqual(['subscribed', 'heartbeat-missed']);
      expect(stream.left).toBe(true);
      await world.stop();
    },
  );

  it('is not lost while anything comes', async () => {
    const stream = createServedStream();
    const world = start((network) => network.serve(M1, () => streamAnswer(stream)), {}, 'm1');
    stream.send(subscribedEvent());
    for (let beat = 0; beat < 100; beat += 1) {
      await world.clock.advance(30_000);
      stream.send({ type: 'HEARTBEAT' });
    }
    await world.clock.advance(37_000);
    expect(world.kinds()).toEqual(['subscribed']);
    await world.stop();
  });

  it('is not lost when we were stopped for hours and its heartbeats wait to be read', async () => {
    const stream = createServedStream();
    const world = start((network) => network.serve(M1, () => streamAnswer(stream)), {}, 'm1');
    stream.send(subscribedEvent());
    await world.clock.settle();
    await world.clock.advance(37_500);
    stream.send({ type: 'HEARTBEAT' });
    await world.clock.advance(30_000);
    expect(world.kinds()).toEqual(['subscribed']);
    await world.stop();
  });

  it('that never says SUBSCRIBED is left', async () => {
    const stream = createServedStream();
    const world = start((network) => network.serve(M1, () => streamAnswer(stream)), {}, 'm1');
    await world.clock.advance(FIRST_EVENT_MS + 250);
    expect(world.kinds()).toEqual(['timeout']);
    expect(stream.left).toBe(true);
    await world.stop();
  });

  it('that never answers at all is left, and the next one is tried', async () => {
    const master = createMaster();
    const world = start((network) => {
      network.serve(M1, () => new Promise(() => {}));
      network.serve(M2, master.handler);
    });
    await world.clock.advance(HEAD_DEADLINE_MS - 1);
    expect(world.network.requests).toHaveLength(1);
    await world.clock.advance(1);
    expect(world.kinds()).toEqual(['subscribed']);
    expect(world.network.requests[0]?.gone.aborted).toBe(true);
    await world.stop();
  });

  it('that lets one record trickle in for ever is lost', async () => {
    const stream = createServedStream();
    const world = start((network) => network.serve(M1, () => streamAnswer(stream)), {}, 'm1');
    stream.send(subscribedEvent());
    stream.push('1000000\n');
    for (let passedMs = 0; passedMs <= RECORD_MS_MAX; passedMs += 10_000) {
      expect(world.kinds()).toEqual(passedMs === 0 ? [] : ['subscribed']);
      await world.clock.advance(10_000);
      stream.push(' ');
    }
    await world.clock.settle();
    expect(world.kinds()).toEqual(['subscribed', 'connection-lost']);
    await world.stop();
  });
});

describe('trying again', () => {
  it('waits longer and longer, within bounds, and never in step', async () => {
    const random = { value: 0 };
    const world = start(() => {}, { random: { next: () => random.value } });
    const retries: number[] = [];
    for (let tries = 0; tries < 12; tries += 1) {
      random.value = tries % 2 === 0 ? 0 : 0.999_999;
      await world.clock.runUntil(() => world.events.length > tries, RETRY_MS_MAX);
      const event = world.events[tries];
      retries.push(event?.kind === 'disconnected' ? event.retryMs : -1);
    }
    for (const [index, retryMs] of retries.entries()) {
      const ceilingMs = Math.min(RETRY_MS_FIRST * 2 ** index, RETRY_MS_MAX);
      expect(retryMs).toBe(Math.round(index % 2 === 0 ? ceilingMs / 2 : ceilingMs));
    }
    await world.stop();
  });

  it('begins small again after a subscription that held, and not after one that fell at once', async () => {
    const master = createMaster();
    const world = start((network) => network.serve(M1, master.handler), {}, 'm1');
    const retryMsAfterHolding = async (heldMs: number): Promise<number> => {
      await world.clock.runUntil(() => world.events.at(-1)?.kind === 'subscribed', RETRY_MS_MAX);
      await world.clock.advance(heldMs);
      master.streams.at(-1)?.fail();
      await world.clock.settle();
      const event = world.events.at(-1);
      return event?.kind === 'disconnected' ? event.retryMs : -1;
    };
    expect(await retryMsAfterHolding(10)).toBe(150);
    expect(await retryMsAfterHolding(10)).toBe(300);
    expect(await retryMsAfterHolding(10)).toBe(600);
    expect(await retryMsAfterHolding(STEADY_MS)).toBe(150);
    expect(await retryMsAfterHolding(10)).toBe(300);
    await world.stop();
  });

  it('says what was wrong with each master', async () => {
    const world = start((network) => network.serve(M2, () => ({ status: 503, body: 'No leader elected' })));
    await world.clock.settle();
    expect(lastError(world)).toMatchObject({ code: 'no-master' });
    expect(lastError(world).message).toContain(`no connection to ${M1}`);
    expect(lastError(world).message).toContain(`${M2} answers 503: No leader elected`);
    await world.stop();
  });

  it('is not done for the first try when that was asked for', async () => {
    const first = start(() => {}, { firstAttempt: 'fatal' });
    await first.clock.settle();
    expect(first.end()).toMatchObject({ error: { code: 'no-master' } });
    expect(first.events).toEqual([]);

    const master = createMaster();
    const later = start((network) => network.serve(M1, master.handler), { firstAttempt: 'fatal' }, 'm1');
    await later.clock.settle();
    master.streams[0]?.end();
    later.network.stop(M1);
    await later.clock.advance(60_000);
    expect(later.end()).toBeNull();
    await later.stop();
  });

  it('goes on when the source of masters fails, knows none, or never answers', async () => {
    const answers: MasterSource['next'][] = [
      () => Promise.reject(new MesosError('no-master', 'the source is gone')),
      () => Promise.reject(new Error('an odd failure')),
      () => Promise.resolve([]),
      () => new Promise(() => {}),
      () => Promise.resolve([M1]),
    ];
    const master = createMaster();
    const world = start((network) => network.serve(M1, master.handler), {
      masters: { next: async (signal) => await (answers.shift()?.(signal) ?? []) },
    });
    await world.clock.runUntil(() => world.kinds().includes('subscribed'), 120_000);
    expect(world.kinds()).toEqual(['no-master', 'no-master', 'no-master', 'no-master', 'subscribed']);
    await world.stop();
  });
});

describe('finding the leader', () => {
  it('follows the redirect of a standby, calls the leader there, and remembers it', async () => {
    const master = createMaster();
    let asked = 0;
    const world = start(
      (network) => {
        network.serve(M1, () => {
          asked += 1;
          return { status: 307, headers: { location: '//m2:5050/master/api/v1/scheduler' } };
        });
        network.serve(M2, master.handler);
      },
      {},
      'm1',
    );
    await world.clock.settle();
    await world.connection.call({ type: 'SUPPRESS' });
    master.streams[0]?.fail();
    await world.clock.advance(RETRY_MS_FIRST);
    expect(world.network.requests.map((request) => request.url)).toEqual([
      `${M1}/api/v1/scheduler`,
      `${M2}/master/api/v1/scheduler`,
      `${M2}/master/api/v1/scheduler`,
      `${M2}/master/api/v1/scheduler`,
    ]);
    expect(asked).toBe(1);
    await world.stop();
  });

  it('survives a standby that redirects to a dead leader for seconds', async () => {
    const old = createMaster();
    const next = createMaster('next');
    let elected = false;
    const world = start((network) => {
      network.serve(M1, old.handler);
      network.serve(M2, (request) =>
        elected
          ? next.handler(request)
          : { status: 307, headers: { location: '//m1:5050/master/api/v1/scheduler' } },
      );
    });
    await world.clock.settle();
    world.network.stop(M1);
    old.streams[0]?.fail();
    await world.clock.advance(4500);
    expect(new Set(world.kinds().slice(1))).toEqual(new Set(['connection-lost', 'no-master']));
    expect(world.network.requests.length).toBeGreaterThan(4);
    elected = true;
    await world.clock.advance(RETRY_MS_MAX);
    expect(world.kinds().at(-1)).toBe('subscribed');
    expect(bodyOf(world, -1)).toMatchObject({ framework_id: { value: 'F-0000' } });
    await world.stop();
  });

  it('gives up on masters that redirect to each other, for this try', async () => {
    const world = start(
      (network) => {
        network.serve(M1, () => ({ status: 307, headers: { location: '//m2:5050' } }));
        network.serve(M2, () => ({ status: 302, headers: { location: '//m1:5050' } }));
      },
      {},
      'm1',
    );
    await world.clock.settle();
    expect(world.kinds()).toEqual(['redirect-loop']);
    expect(world.network.requests).toHaveLength(REDIRECTS_MAX + 1);
    await world.stop();
  });

  it('shows no credentials to a master that is reached without TLS by a redirect from one that is', async () => {
    const world = start(
      (network) => {
        network.serve('https://m1', () => ({ status: 307, headers: { location: `${M2}/api/v1/scheduler` } }));
        network.serve(M2, createMaster().handler);
      },
      { headers: () => Promise.resolve({ authorization: 'secret' }) },
      'https://m1',
    );
    await world.clock.settle();
    expect(world.kinds()).toEqual(['not-mesos']);
    expect(world.network.requests).toHaveLength(1);
    await world.stop();
  });
});

describe('a refusal', () => {
  it.each([
    [400, 'refused-subscription'],
    [401, 'refused-unauthenticated'],
    [403, 'refused-forbidden'],
  ])('with %i is for good: %s', async (status, code) => {
    const world = start((network) => network.serve(M1, () => ({ status, body: 'Not you.' })));
    await world.clock.settle();
    expect(world.end()).toMatchObject({ error: { code, message: expect.stringContaining('Not you.') } });
    expect(world.network.requests).toHaveLength(1);
    expect(world.events).toEqual([]);
  });

  it.each([
    [404, 'not-mesos'],
    [405, 'not-mesos'],
    [406, 'not-mesos'],
    [415, 'not-mesos'],
    [500, 'no-master'],
    [502, 'no-master'],
    [503, 'no-master'],
    [204, 'not-mesos'],
    [418, 'not-mesos'],
  ])('with %i is tried again: %s', async (status, code) => {
    const world = start((network) => network.serve(M1, () => ({ status, body: 'Later.' })), {}, 'm1');
    await world.clock.settle();
    expect(world.kinds()).toEqual([code]);
    expect(lastError(world).message).toContain('Later.');
    await world.clock.advance(RETRY_MS_FIRST);
    expect(world.network.requests).toHaveLength(2);
    await world.stop();
  });

  it('whose words never end is cut, and one whose words never come is not waited for', async () => {
    const huge = createByteStream();
    for (let chunk = 0; chunk < 100; chunk += 1) huge.push('x'.repeat(1024));
    const silent = createByteStream();
    for (const body of [huge, silent]) {
      const world = start((network) => network.serve(M1, () => ({ status: 401, body })));
      await world.clock.advance(5000);
      expect(world.end()).toMatchObject({ error: { code: 'refused-unauthenticated' } });
      expect(body.left).toBe(true);
    }
  });

  it.each([
    ['Framework has been removed', 'framework-removed'],
    ['Completed framework attempted to re-register', 'framework-removed'],
    ['Framework failed over', 'failed-over'],
    ["'FrameworkInfo.roles' contains invalid role", 'refused-subscription'],
    ['Not authorized to register framework with roles { other }', 'refused-subscription'],
  ])('as the event ERROR %j is told, and for good: %s', async (message, code) => {
    const stream = createServedStream();
    stream.send({ type: 'ERROR', error: { message } });
    const world = start((network) => network.serve(M1, () => streamAnswer(stream)));
    await world.clock.settle();
    expect(world.end()).toMatchObject({ error: { code, message: expect.stringContaining(message) } });
    expect(world.events).toEqual([{ kind: 'event', event: { type: 'ERROR', error: { message } } }]);
    expect(stream.left).toBe(true);
  });

  it('as another principal than the one it began with is told what to do', async () => {
    const stream = createServedStream();
    const message = "Changing framework's principal is not allowed.";
    stream.send({ type: 'ERROR', error: { message } });
    const world = start((network) => network.serve(M1, () => streamAnswer(stream)));
    await world.clock.settle();
    expect(world.end()).toMatchObject({
      error: { code: 'refused-subscription', hint: expect.stringContaining('--principal') },
    });
  });

  it('by a master that cannot ask its authorizer is tried again', async () => {
    const master = createMaster();
    const message = 'Authorization failure: could not create ObjectApprovers for a framework: timed out';
    let tries = 0;
    const world = start((network) =>
      network.serve(M1, (request) => {
        tries += 1;
        if (tries > 1) return master.handler(request);
        const stream = createServedStream();
        stream.send({ type: 'ERROR', error: { message } });
        return streamAnswer(stream);
      }),
    );
    await world.clock.advance(RETRY_MS_FIRST);
    expect(world.kinds()).toEqual(['event', 'no-master', 'subscribed']);
    await world.stop();
  });

  it.each([
    ['Framework failed over', 'failed-over'],
    ['Framework has been removed', 'framework-removed'],
  ])('as the event ERROR %j ends a subscription that held', async (message, code) => {
    const master = createMaster();
    const world = start((network) => network.serve(M1, master.handler));
    await world.clock.settle();
    master.streams[0]?.send({ type: 'ERROR', error: { message } });
    await world.clock.settle();
    expect(world.end()).toMatchObject({ error: { code } });
    await expect(world.connection.call({ type: 'REVIVE' })).rejects.toMatchObject({ code: 'not-subscribed' });
  });

  it('as another event ERROR, once subscribed, is told and answered by subscribing anew', async () => {
    const master = createMaster();
    const world = start((network) => network.serve(M1, master.handler));
    await world.clock.settle();
    master.streams[0]?.send({ type: 'ERROR', error: { message: 'Something odd' } });
    await world.clock.advance(RETRY_MS_FIRST);
    expect(world.kinds()).toEqual(['subscribed', 'event', 'connection-lost', 'subscribed']);
    await world.stop();
  });
});

describe('a server that is no Mesos master', () => {
  const JSON_TYPE = { 'content-type': 'application/json' };
  const STREAM = { ...JSON_TYPE, 'mesos-stream-id': 's' };
  const endless = (): ReturnType<typeof createByteStream> => {
    const stream = createByteStream();
    for (let chunk = 0; chunk < 50; chunk += 1) stream.push('7'.repeat(1000));
    return stream;
  };

  it.each<[string, MemoryHandler]>([
    ['an HTML page', () => ({ status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' })],
    [
      'an HTML page with a stream id',
      () => ({ status: 200, headers: { ...STREAM, 'content-type': 'text/html' } }),
    ],
    ['plain JSON', () => ({ status: 200, headers: JSON_TYPE, body: '{"ok":true}' })],
    ['an empty 200', () => ({ status: 200 })],
    ['JSON where a stream belongs', () => ({ status: 200, headers: STREAM, body: '{"ok":true}' })],
    ['endless garbage without a newline', () => ({ status: 200, headers: STREAM, body: endless() })],
    ['a first record that is too large', () => ({ status: 200, headers: STREAM, body: '99999999999\n' })],
    ['a first record that is no event', () => ({ status: 200, headers: STREAM, body: '2\n[]' })],
    ['half a first record', () => ({ status: 200, headers: STREAM, body: '20\n{"type"' })],
    [
      'something that is not HTTP',
      () => {
        throw new HttpTransportError('malformed', 'the answer is not HTTP');
      },
    ],
    ['a redirect to a page', () => ({ status: 302, headers: { location: '/login' } })],
  ])('%s: not-mesos, and tried again', async (_what, handler) => {
    const world = start((network) => network.serve(M1, handler), {}, 'm1');
    await world.clock.settle();
    expect(world.kinds()).toEqual(['not-mesos']);
    expect(lastError(world).message).toContain(M1);
    await world.clock.advance(RETRY_MS_FIRST);
    expect(world.kinds()).toEqual(['not-mesos', 'not-mesos']);
    await world.stop();
  });

  it('is fatal where the first try may not fail', async () => {
    const world = start(
      (network) => network.serve(M1, () => ({ status: 200, body: 'hi' })),
      {
        firstAttempt: 'fatal',
      },
      'm1',
    );
    await world.clock.settle();
    expect(world.end()).toMatchObject({
      error: { code: 'not-mesos', hint: expect.stringContaining('5050') },
    });
  });

  it.each([
    ['a broken record', 'x', 'malformed-record'],
    ['a record that is too large', '99999999999\n', 'record-too-large'],
    ['an event that lacks what it must have', '17\n{"type":"OFFERS"}', 'malformed-record'],
    ['an end inside a record', '20\n{', 'malformed-record'],
  ])(
    '%s in a stream that was good is told as such, after what came before it',
    async (_what, bytes, code) => {
      const stream = createServedStream();
      const world = start((network) => network.serve(M1, () => streamAnswer(stream)), {}, 'm1');
      stream.send(subscribedEvent(), { type: 'OFFERS', offers: { offers: [] } });
      stream.push(bytes);
      stream.end();
      await world.clock.settle();
      expect(world.kinds()).toEqual(['subscribed', 'event', code]);
      await world.stop();
    },
  );
});

describe('credentials', () => {
  const TOKENS = ['old', 'new', 'newer'];

  /** Headers of a token that is renewed at most once. */
  function renewable(): { headers: MasterHeaders; asked: () => readonly string[] } {
    const asked: string[] = [];
    let at = 0;
    const headers = (): Promise<Record<string, string>> => {
      asked.push(TOKENS[at] ?? '');
      return Promise.resolve({ authorization: `token=${TOKENS[at]}` });
    };
    const renew = (refused: Readonly<Record<string, string>>): boolean => {
      if (refused['authorization'] !== 'token=old') return false;
      at = 1;
      return true;
    };
    return { headers: Object.assign(headers, { renew }), asked: () => asked };
  }

  it('that are refused are renewed, and the same is asked once more', async () => {
    const master = createMaster();
    const { headers, asked } = renewable();
    const world = start(
      (network) =>
        network.serve(M1, (request) =>
          request.headers['authorization'] === 'token=new' ? master.handler(request) : { status: 401 },
        ),
      { headers },
    );
    await world.clock.settle();
    expect(world.kinds()).toEqual(['subscribed']);
    expect(asked()).toEqual(['old', 'new']);
    await world.stop();
  });

  it('that are refused though they are new end it at the first subscription', async () => {
    const { headers, asked } = renewable();
    const world = start((network) => network.serve(M1, () => ({ status: 401 })), { headers });
    await world.clock.settle();
    expect(world.end()).toMatchObject({ error: { code: 'refused-unauthenticated' } });
    expect(asked()).toEqual(['old', 'new']);
  });

  it('that were good before are tried again for ten minutes, and then a person is needed', async () => {
    const master = createMaster();
    let isRefusing = false;
    const world = start((network) =>
      network.serve(M1, (request) => (isRefusing ? { status: 401, body: 'who?' } : master.handler(request))),
    );
    await world.clock.settle();
    isRefusing = true;
    master.streams[0]?.end();
    await world.clock.advance(REFUSED_MS_MAX / 2);
    expect(world.end()).toBeNull();
    expect(lastError(world)).toMatchObject({ code: 'refused-unauthenticated' });
    isRefusing = false;
    await world.clock.advance(RETRY_MS_MAX);
    expect(world.kinds().at(-1)).toBe('subscribed');
    isRefusing = true;
    master.streams[1]?.end();
    await world.clock.advance(REFUSED_MS_MAX - RETRY_MS_MAX);
    expect(world.end()).toBeNull();
    await world.clock.advance(3 * RETRY_MS_MAX);
    expect(world.end()).toMatchObject({ error: { code: 'refused-unauthenticated' } });
  });

  it('that cannot be had for the moment are asked for again, as a master is', async () => {
    const master = createMaster();
    let isAway = true;
    const world = start((network) => network.serve(M1, master.handler), {
      headers: () =>
        isAway ? Promise.reject(new MesosError('login-failed', 'no login')) : Promise.resolve({}),
    });
    await world.clock.advance(60_000);
    expect([world.end(), lastError(world).code]).toEqual([null, 'login-failed']);
    isAway = false;
    await world.clock.advance(RETRY_MS_MAX);
    expect(world.kinds().at(-1)).toBe('subscribed');
    await world.stop();
  });
});
