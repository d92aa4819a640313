import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RevisionEvents } from '../../src/backup/events.ts';
import { createFollower } from '../../src/backup/follower.ts';
import { createInbox } from '../../src/backup/inbox.ts';
import { createStreamClient } from '../../src/etcd/stream-client.ts';
import { shown } from '../backup/sample-log.ts';
import { etcdBinaries } from '../real-etcd/binaries.ts';
import { type CuttingProxy, startCuttingProxy } from '../real-etcd/cutting-proxy.ts';
import { formed, type PlainCluster, startPlainCluster } from '../real-etcd/plain-cluster.ts';
import { silentLogger } from '../silent-logger.ts';
import { createChance } from '../sim/prng.ts';
import { clock, until } from '../wait.ts';
import { scaled } from './scale.ts';
import { recordWatch } from './watch-recorder.ts';

const SEED = Number(process.env['SEED'] ?? 1);
/** Cuts of a large stream, of all that there are around the edges of its frames. */
const EDGES = scaled(120);
/** Of a small stream, every so many bytes; 1 with the newest version. */
const SMALL_STEP = 29;
/** At the edge itself, beside it, and within and behind the head of the frame that follows. */
const OFFSETS = [-1, 0, 1, 8, 9, 10];
const LANES = 12;
const SMALL_BYTES = 8 * 1024;

const binaries = etcdBinaries().toSorted((one, other) => one.version.minor - other.version.minor);

describe.for(binaries.map((binary) => ({ binary, name: binary.version.text })))(
  'a watch of etcd $name whose connection is cut',
  ({ binary }) => {
    let cluster: PlainCluster;
    let url: string;
    let clusterId: string;
    let theirs: Etcd3;
    let proxies: readonly CuttingProxy[];
    beforeAll(async () => {
      cluster = await startPlainCluster(binary, 1);
      const [status] = await formed(cluster);
      clusterId = status?.clusterId ?? '';
      url = cluster.members[0]?.clientUrl ?? '';
      theirs = new Etcd3({ hosts: url });
      const port = Number(new URL(url).port);
      proxies = await Promise.all(Array.from({ length: LANES }, async () => await startCuttingProxy(port)));
    });
    afterAll(async () => {
      theirs.close();
      await Promise.all(proxies.map(async (proxy) => await proxy.close()));
      await cluster.close();
    });

    const put = async (key: string, bytes: number): Promise<bigint> => {
      const { header } = await theirs.kv.put({ key: Buffer.from(key), value: Buffer.alloc(bytes, key) });
      return BigInt(header.revision);
    };
    /** What a watch that nobody cuts is told. */
    const told = async (first: bigint, last: bigint): Promise<readonly RevisionEvents[]> => {
      const watch = recordWatch(url, first);
      await until('all was told', 30_000, () => watch.lastRevision >= last);
      // Of the last revision a part may be under way.
      const next = await put('end', 1);
      await until('all was told', 30_000, () => watch.lastRevision >= next);
      const revisions = watch.revisions().filter(({ revision }) => revision <= last);
      watch.close();
      return revisions;
    };
    /** Follows through a proxy as an archiver does, whatever the proxy does, and expects every revision once, whole. */
    const follow = async (proxy: CuttingProxy, history: readonly RevisionEvents[]): Promise<void> => {
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
    };
    const inLanes = async <T>(items: readonly T[], work: (proxy: CuttingProxy, item: T) => Promise<void>) => {
      const left = [...items];
      const lane = async (proxy: CuttingProxy): Promise<void> => {
        for (let item = left.shift(); item !== undefined; item = left.shift()) await work(proxy, item);
      };
      await Promise.all(proxies.map(lane));
    };

    test('at any byte of 8 KiB, gives every revision once and whole', async () => {
      const first = (await put('small', 1)) + 1n;
      let last = first;
      for (let at = 0; at < 48; at += 1) last = await put(`cut/${at % 9}`, (at * 7) % 330);
      const history = await told(first, last);
      const [proxy] = proxies;
      if (proxy === undefined) throw new Error('there is no proxy');
      await follow(proxy, history);
      const whole = proxy.passedBytes;
      expect(whole).toBeGreaterThan(SMALL_BYTES);
      const step = binary === binaries.at(-1) ? 1 : Math.max(1, Math.floor(SMALL_STEP / scaled(1)));
      const cuts = Array.from({ length: Math.ceil(whole / step) }, (_, at) => 1 + at * step);
      await inLanes(cuts, async (through, cut) => {
        through.cutNextAfter(cut);
        await follow(through, history);
      });
    }, 900_000);

    test(`around the edges of frames, with revisions in fragments, gives every revision once and whole`, async () => {
      const first = (await put('large', 1)) + 1n;
      // A thousand long keys, which are deleted in one revision: etcd sends it in fragments.
      const long = (at: number) => Buffer.from(`long/${String(at).padStart(4, '0')}/${'k'.repeat(2_500)}`);
      for (let at = 0; at < 1_000; at += 100) {
        const success = Array.from({ length: 100 }, (_, index) => ({
          request_put: { key: long(at + index), value: Buffer.alloc(10, at) },
        }));
        await theirs.kv.txn({ success });
      }
      const deleted = await theirs.kv.deleteRange({
        key: Buffer.from('long/'),
        range_end: Buffer.from('long0'),
      });
      const last = BigInt(deleted.header.revision);
      const history = await told(first, last);
      const largest = Math.max(
        ...history.map(({ events }) => events.reduce((sum, event) => sum + event.byteLength, 0)),
      );
      expect(largest).toBeGreaterThan(2.1 * 1024 * 1024);
      const [proxy] = proxies;
      if (proxy === undefined) throw new Error('there is no proxy');
      await follow(proxy, history);
      const frames = proxy.frameEnds.length;
      expect(frames).toBeGreaterThan(200);
      console.log(
        `${proxy.passedBytes} bytes in ${frames} frames; again: SEED=${SEED} npx vitest run --project archive cuts`,
      );
      const every = Array.from({ length: frames }, (_, frame) =>
        OFFSETS.map((offset) => ({ frame, offset })),
      ).flat();
      const edges = createChance(SEED).stream('edges').shuffle(every).slice(0, EDGES);
      await inLanes(edges, async (through, { frame, offset }) => {
        through.cutNextAtFrame(frame, offset);
        await follow(through, history);
      });
    }, 900_000);
  },
);
