import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RevisionEvents } from '../../src/backup/events.ts';
import { createFollower } from '../../src/backup/follower.ts';
import { listFulls, takeFull, verifyFull } from '../../src/backup/full.ts';
import { createInbox } from '../../src/backup/inbox.ts';
import { createWatchAssembly } from '../../src/backup/watch-assembly.ts';
import { createEtcdClient, createKvClient } from '../../src/etcd/client.ts';
import type { KvClient, StreamClient } from '../../src/etcd/port.ts';
import { createStreamClient } from '../../src/etcd/stream-client.ts';
import { openDirectoryArchiveStore } from '../../src/runtime/directory-archive-store.ts';
import { placeIn } from '../archive/archiving.ts';
import { contentOf, never, shown } from '../backup/sample-log.ts';
import { silentLogger } from '../silent-logger.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { createChance } from '../sim/prng.ts';
import { clock, until } from '../wait.ts';
import { type Archiving, startArchiving } from './archiving-process.ts';
import { etcdBinaries } from './binaries.ts';
import { expectFollowed, startCuttingLanes } from './cut-streams.ts';
import { formed, type PlainCluster, startPlainCluster } from './plain-cluster.ts';

/** A stream is cut every so many bytes; test/archive/cuts.test.ts does so at each. */
const CUT_STEP = 61;

describe.for(etcdBinaries().map((binary) => [binary.version.text, binary] as const))(
  'archiving etcd %s',
  ([, binary]) => {
    let cluster: PlainCluster;
    let url: string;
    let kv: KvClient;
    let client: StreamClient;
    let clusterId: string;
    beforeAll(async () => {
      cluster = await startPlainCluster(binary, 1);
      const [status] = await formed(cluster);
      clusterId = status?.clusterId ?? '';
      url = cluster.members[0]?.clientUrl ?? '';
      kv = createKvClient({ url }, clock);
      client = createStreamClient({ url }, clock);
    });
    afterAll(async () => {
      kv.close();
      client.close();
      await cluster.close();
    });

    /** What etcd itself tells of the revisions from one to the newest. */
    const historyFrom = async (start: bigint): Promise<readonly RevisionEvents[]> => {
      const { revision } = await client.status(never);
      const assembly = createWatchAssembly(clusterId, start);
      const revisions: RevisionEvents[] = [];
      for await (const answer of client.watchAll(start, never)) {
        const step = assembly.take(answer);
        expect(step.ending).toBeNull();
        revisions.push(...step.revisions);
        if (assembly.next > BigInt(revision)) break;
      }
      return revisions;
    };

    test('a watch may be left, or given up, at any time', async () => {
      await kv.put('left', 'x', never);
      for await (const answer of client.watchAll(1n, never)) {
        if (answer.events.length > 0) break;
      }
      const giveUp = new AbortController();
      const watch = client.watchAll(1n, giveUp.signal)[Symbol.asyncIterator]();
      expect((await watch.next()).value).toMatchObject({ created: true, clusterId });
      await watch.next();
      const waiting = watch.next();
      giveUp.abort();
      await expect(waiting).rejects.toMatchObject({ code: 'aborted' });
      expect((await client.status(never)).clusterId).toBe(clusterId);
      expect(await client.leaseTtl(12345n, never)).toBeNull();
    });

    test('a full is what the member has, to the last bit, with its own revision', async () => {
      for (let at = 0; at < 50; at += 1) await kv.put(`full/${at}`, 'x'.repeat(10_000), never);
      const { revision } = await client.status(never);
      const { archive, epoch } = await placeIn(createMemoryArchiveStore(), clusterId);
      const full = await takeFull({ archive, epoch, generation: 1, client, clock, reason: 'test' }, never);
      expect(full.document).toMatchObject({ revision, revisionAtLeast: revision, clusterId });
      await verifyFull(archive, full, never);
      expect(await listFulls(archive, epoch, never)).toEqual([full]);
      const bytes = (archive.store as ReturnType<typeof createMemoryArchiveStore>).objects.get(
        `epochs/00000001/fulls/${full.name}/data`,
      );
      const data = bytes?.subarray(0, -32) ?? Buffer.alloc(0);
      expect(createHash('sha256').update(data).digest()).toEqual(bytes?.subarray(-32));
    });

    test('a stream that is cut at any byte gives every revision once and whole', async () => {
      const first = BigInt((await client.status(never)).revision) + 1n;
      for (let at = 0; at < 48; at += 1) await kv.put(`cut/${at % 9}`, 'v'.repeat((at * 7) % 330), never);
      const history = await historyFrom(first);
      const lanes = await startCuttingLanes(url);
      try {
        await expectFollowed(lanes.first, clusterId, history);
        const { passedBytes } = lanes.first;
        expect(passedBytes).toBeGreaterThan(8_000);
        const cuts = Array.from({ length: Math.ceil(passedBytes / CUT_STEP) }, (_, at) => 1 + at * CUT_STEP);
        await lanes.run(cuts, async (proxy, cut) => {
          proxy.cutNextAfter(cut);
          await expectFollowed(proxy, clusterId, history);
        });
      } finally {
        await lanes.close();
      }
    }, 600_000);

    test('an archiver that is killed at any moment, or followed by another, loses and repeats nothing', async () => {
      const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-archive-'));
      const random = createChance(7).stream('kills');
      const store = await openDirectoryArchiveStore(directory);
      const at = await placeIn(store, clusterId);
      const begin = BigInt((await client.status(never)).revision);
      const over = new AbortController();
      const writing = writeUntil(kv, over.signal);
      const archivers: Archiving[] = [];
      let durable = 0n;
      try {
        for (let generation = 1; generation <= 14; generation += 1) {
          const archiver = startArchiving(directory, url, generation);
          archivers.push(archiver);
          await until(`generation ${generation} archives`, 30_000, () => archiver.durable() > durable);
          await clock.sleep(random.integer(0, 120));
          // Some are left running: the next one fences them.
          if (random.chance(0.7)) archiver.child.kill('SIGKILL');
          else await until('it archives more', 30_000, () => archiver.durable() > durable + 5n);
          for (const each of archivers) if (each.durable() > durable) durable = each.durable();
        }
      } finally {
        over.abort();
        await writing;
      }
      const newest = BigInt((await client.status(never)).revision);
      const last = startArchiving(directory, url, 99);
      archivers.push(last);
      try {
        await until('all is archived', 30_000, () => last.durable() === newest);
        const { revisions, gaps } = await contentOf(at);
        expect(gaps.map(({ reason }) => reason)).toEqual(['begin']);
        const from = BigInt(gaps[0]?.to ?? 0) + 1n;
        expect(from).toBeGreaterThan(begin);
        expect(shown(revisions)).toEqual(shown(await historyFrom(from)));
        expect(newest).toBeGreaterThanOrEqual(durable);
        for (const { child, lines } of archivers) {
          if (child.exitCode !== null) expect(lines.at(-1)).toBe('ended fenced');
        }
      } finally {
        for (const { child } of archivers) child.kill('SIGKILL');
        await Promise.all(archivers.map(async ({ closed }) => await closed));
        await rm(directory, { recursive: true });
      }
    });

    test('what is compacted while nobody archives is a gap, and a full has it', async () => {
      const { archive, epoch } = await placeIn(createMemoryArchiveStore(), clusterId);
      const inbox = createInbox({ bytesMax: 1e9, batchBytesMax: 1e9 });
      const start = BigInt((await client.status(never)).revision) + 1n;
      for (let at = 0; at < 20; at += 1) await kv.put('compacted', `${at}`, never);
      const newest = BigInt((await client.status(never)).revision);
      const compactTo = newest - 5n;
      const plain = createEtcdClient({ url }, clock);
      await plain.compact(String(compactTo), true, never);
      plain.close();
      const gaps: unknown[] = [];
      const follower = createFollower({
        clusterId,
        start,
        members: () => Promise.resolve([{ url }]),
        connect: (to) => createStreamClient({ url: to }, clock),
        inbox,
        clock,
        logger: silentLogger,
        onGap: (gap) => gaps.push(gap),
      });
      const over = new AbortController();
      const running = follower.run(over.signal);
      await until('it has caught up', 20_000, () => follower.status().seenRevision === newest);
      over.abort();
      await running;
      expect(gaps).toEqual([{ reason: 'compacted', from: String(start), to: String(compactTo) }]);
      const full = await takeFull({ archive, epoch, generation: 1, client, clock, reason: 'gap' }, never);
      expect(BigInt(full.document.revision ?? 0)).toBeGreaterThanOrEqual(compactTo);
    });
  },
);

async function writeUntil(kv: KvClient, signal: AbortSignal): Promise<void> {
  for (let at = 0; !signal.aborted; at += 1) {
    await kv.put(`written/${at % 37}`, 'v'.repeat(at % 200), never);
    if (at % 10 === 0) await clock.sleep(1);
  }
}
