import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RevisionEvents } from '../../src/backup/events.ts';
import { etcdBinaries } from '../real-etcd/binaries.ts';
import { type CuttingLanes, expectFollowed, startCuttingLanes } from '../real-etcd/cut-streams.ts';
import { formed, type PlainCluster, startPlainCluster } from '../real-etcd/plain-cluster.ts';
import { createChance } from '../sim/prng.ts';
import { until } from '../wait.ts';
import { scaled } from './scale.ts';
import { recordWatch } from './watch-recorder.ts';

const SEED = Number(process.env['SEED'] ?? 1);
/** Cuts of a large stream, of all that there are around the edges of its frames. */
const EDGES = scaled(120);
/** Of a small stream, every so many bytes; 1 with the newest version. */
const SMALL_STEP = 29;
/** At the edge itself, beside it, and within and behind the head of the frame that follows. */
const OFFSETS = [-1, 0, 1, 8, 9, 10];
const SMALL_BYTES = 8 * 1024;

const binaries = etcdBinaries().toSorted((one, other) => one.version.minor - other.version.minor);

describe.for(binaries.map((binary) => ({ binary, name: binary.version.text })))(
  'a watch of etcd $name whose connection is cut',
  ({ binary }) => {
    let cluster: PlainCluster;
    let url: string;
    let clusterId: string;
    let theirs: Etcd3;
    let lanes: CuttingLanes;
    beforeAll(async () => {
      cluster = await startPlainCluster(binary, 1);
      const [status] = await formed(cluster);
      clusterId = status?.clusterId ?? '';
      url = cluster.members[0]?.clientUrl ?? '';
      theirs = new Etcd3({ hosts: url });
      lanes = await startCuttingLanes(url);
    });
    afterAll(async () => {
      theirs.close();
      await lanes.close();
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
    test('at any byte of 8 KiB, gives every revision once and whole', async () => {
      const first = (await put('small', 1)) + 1n;
      let last = first;
      for (let at = 0; at < 48; at += 1) last = await put(`cut/${at % 9}`, (at * 7) % 330);
      const history = await told(first, last);
      const { first: proxy } = lanes;
      await expectFollowed(proxy, clusterId, history);
      const whole = proxy.passedBytes;
      expect(whole).toBeGreaterThan(SMALL_BYTES);
      const step = binary === binaries.at(-1) ? 1 : Math.max(1, Math.floor(SMALL_STEP / scaled(1)));
      const cuts = Array.from({ length: Math.ceil(whole / step) }, (_, at) => 1 + at * step);
      await lanes.run(cuts, async (through, cut) => {
        through.cutNextAfter(cut);
        await expectFollowed(through, clusterId, history);
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
      const { first: proxy } = lanes;
      await expectFollowed(proxy, clusterId, history);
      const frames = proxy.frameEnds.length;
      expect(frames).toBeGreaterThan(200);
      console.log(
        `${proxy.passedBytes} bytes in ${frames} frames; again: SEED=${SEED} npx vitest run --project archive cuts`,
      );
      const every = Array.from({ length: frames }, (_, frame) =>
        OFFSETS.map((offset) => ({ frame, offset })),
      ).flat();
      const edges = createChance(SEED).stream('edges').shuffle(every).slice(0, EDGES);
      await lanes.run(edges, async (through, { frame, offset }) => {
        through.cutNextAtFrame(frame, offset);
        await expectFollowed(through, clusterId, history);
      });
    }, 900_000);
  },
);
