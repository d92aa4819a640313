import { describe, expect, test } from 'vitest';
import { type HttpRequest, StateStoreError } from '../../src/base/ports.ts';
import type { SchedulerPorts } from '../../src/framework/scheduler.ts';
import { portsWithin } from '../../src/framework/term-ports.ts';
import { createFixedMasterSource } from '../../src/mesos/master-source.ts';
import { serializeRecord } from '../../src/protocol/record.ts';
import { createOrderKey } from '../../src/protocol/signature.ts';
import { silentLogger } from '../silent-logger.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { createMemoryStore } from '../sim/memory-store.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import { record } from './fixtures.ts';

function world() {
  const sent: string[] = [];
  const store = createMemoryStore();
  const archive = createMemoryArchiveStore();
  let release: () => void = () => undefined;
  const ports: SchedulerPorts = {
    transport: {
      request: async ({ url }) => {
        sent.push(url);
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        return { status: 202, headers: {}, body: (async function* () {})() };
      },
    },
    masters: createFixedMasterSource('master:5050'),
    clock: createVirtualClock(),
    random: { next: () => 0 },
    ids: { uuid: () => 'id' },
    log: silentLogger,
    store,
    members: {
      status: (url) => Promise.reject(new Error(url)),
      order: async (url, _order, signal) => {
        sent.push(url);
        return await new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        });
      },
    },
    orderKey: createOrderKey().key,
    archive: {
      place: 'memory',
      givenUp: null,
      open: () => Promise.resolve(archive),
      connect: (url) => {
        throw new Error(url);
      },
      openSpool: () => Promise.resolve(null),
      limits: {},
      fullSchedule: null,
      retain: null,
      verification: null,
    },
  };
  const over = new AbortController();
  const clock = { isLate: false, isOvertaken: false };
  const time = {
    over: over.signal,
    holds: () => !clock.isLate,
    leads: () => !clock.isLate && !clock.isOvertaken,
  };
  return { sent, store, archive, over, clock, release: () => release(), ...portsWithin(ports, time) };
}

const call = (headers: Record<string, string> = { 'mesos-stream-id': 'stream' }): HttpRequest => ({
  method: 'POST',
  url: 'http://master:5050/api/v1/scheduler',
  headers,
  body: '{}',
  signal: new AbortController().signal,
});
const ORDER = { order: '{}', signature: '' };

describe('once the term is over', () => {
  test('nothing goes out: no call, no order, no write', async () => {
    const { sent, store, over, ports } = world();
    over.abort(new Error('the session ended'));
    await expect(ports.transport.request(call())).rejects.toMatchObject({ code: 'aborted' });
    await expect(ports.members.order('http://member', ORDER, call().signal)).rejects.toMatchObject({
      code: 'aborted',
    });
    const bytes = serializeRecord(record());
    await expect(ports.store.save(bytes, null)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(ports.store.clear()).rejects.toMatchObject({ code: 'unavailable' });
    await expect(ports.store.append('audit', 'x')).rejects.toMatchObject({ code: 'unavailable' });
    expect(sent).toEqual([]);
    expect(store.history).toEqual([]);
  });

  test('nor does it when only the clock says so: a process that was paused has not been told yet', async () => {
    const { sent, clock, ports } = world();
    clock.isLate = true;
    await expect(ports.transport.request(call())).rejects.toMatchObject({ code: 'aborted' });
    await expect(ports.store.clear()).rejects.toMatchObject({ code: 'unavailable' });
    expect(sent).toEqual([]);
  });

  test('an order that is under way is given up', async () => {
    const { sent, over, ports } = world();
    const order = ports.members.order('http://member', ORDER, call().signal);
    over.abort(new Error('the session ended'));
    await expect(order).rejects.toThrow('the session ended');
    expect(sent).toEqual(['http://member']);
  });

  test('what was begun is waited for', async () => {
    const { over, ports, settled, release } = world();
    const answer = ports.transport.request(call());
    over.abort(new Error('the session ended'));
    let isSettled = false;
    const waiting = settled().then(() => {
      isSettled = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isSettled).toBe(false);
    release();
    await answer;
    await waiting;
    expect(isSettled).toBe(true);
  });
});

describe('an archive', () => {
  const never = new AbortController().signal;
  const bytes = Buffer.from('x');

  test('is written to the end of what is under way when we were told to stop', async () => {
    const { archive, over, ports } = world();
    const store = await ports.archive?.open(never);
    const object = await store?.growing?.create('log', bytes, never);
    over.abort(new Error('SIGTERM'));
    await object?.append(bytes);
    await store?.put('proof', bytes, { ifAbsent: true, signal: never });
    expect([...archive.objects.keys()]).toEqual(['log', 'proof']);
    expect(archive.objects.get('log')?.toString()).toBe('xx');
  });

  test('is not written any more once somebody else leads, and is still read', async () => {
    const { archive, clock, ports } = world();
    const store = await ports.archive?.open(never);
    const object = await store?.growing?.create('log', bytes, never);
    clock.isOvertaken = true;
    const aborted = { code: 'aborted' };
    await expect(object?.append(bytes)).rejects.toMatchObject(aborted);
    await expect(store?.put('a', bytes, { ifAbsent: true, signal: never })).rejects.toMatchObject(aborted);
    await expect(store?.remove('log', never)).rejects.toMatchObject(aborted);
    await expect(store?.growing?.create('b', bytes, never)).rejects.toMatchObject(aborted);
    await expect(ports.archive?.open(never)).rejects.toMatchObject(aborted);
    await object?.close();
    expect(await store?.head('log', never)).not.toBeNull();
    expect([...archive.objects.keys()]).toEqual(['log']);
  });
});

describe('before a subscription', () => {
  test('the record is read, and where it cannot be, none is made', async () => {
    const { sent, store, ports } = world();
    store.load = () => Promise.reject(new StateStoreError('unavailable', 'the session has expired'));
    await expect(ports.transport.request(call({}))).rejects.toMatchObject({ code: 'connect-failed' });
    expect(sent).toEqual([]);
  });

  test('and of no other call is that asked', async () => {
    const { sent, store, ports, release } = world();
    store.load = () => Promise.reject(new StateStoreError('unavailable', 'the session has expired'));
    const answer = ports.transport.request(call());
    await new Promise((resolve) => setImmediate(resolve));
    release();
    expect((await answer).status).toBe(202);
    expect(sent).toEqual(['http://master:5050/api/v1/scheduler']);
  });
});
