import { expect, test } from 'vitest';
import type { Gap } from '../../src/backup/documents.ts';
import { createFollower } from '../../src/backup/follower.ts';
import { createInbox } from '../../src/backup/inbox.ts';
import { createProver } from '../../src/backup/prover.ts';
import { encodeFields } from '../../src/etcd/protobuf.ts';
import { silentLogger } from '../silent-logger.ts';
import { clock, until } from '../wait.ts';
import { createFakeMember, FAKE_CLUSTER } from './fake-member.ts';
import { never } from './sample-log.ts';
import { watchAnswer } from './watch-answer.ts';

/** That a revision puts a key under a lease. */
const leasedPut = (revision: bigint, lease: bigint): Buffer =>
  encodeFields([
    [
      2,
      encodeFields([
        [1, Buffer.from('key')],
        [2, revision],
        [3, revision],
        [4, 1n],
        [6, lease],
      ]),
    ],
  ]);

test('a lease is asked for again after a while: it may have been granted anew; one that is gone stays as it was', async () => {
  let aheadMs = 0;
  let ttlSeconds: bigint | null = 3600n;
  let revision = 1n;
  let answered: (() => void) | null = null;
  const client = {
    ...createFakeMember().connect('http://m0'),
    leaseTtl: async () => await Promise.resolve(ttlSeconds),
    async *watchAll() {
      for (;;) {
        await new Promise<void>((resolve) => {
          answered = resolve;
        });
        const told = { clusterId: FAKE_CLUSTER, memberId: 'f', revision };
        yield watchAnswer(told, [leasedPut(revision, 7n)]);
      }
    },
  };
  const inbox = createInbox({ bytesMax: 1e6, batchBytesMax: 1 });
  const over = new AbortController();
  const follower = createFollower({
    clusterId: FAKE_CLUSTER,
    start: 2n,
    members: async () => await Promise.resolve([{ url: 'http://m0' }]),
    connect: () => client,
    inbox,
    clock: { ...clock, monotonicMs: () => clock.monotonicMs() + aheadMs },
    logger: silentLogger,
    onGap: () => expect.fail('there is none'),
  });
  void follower.run(over.signal);
  const putOnce = async () => {
    const answer = await until('it waits', 5_000, () => answered);
    revision += 1n;
    answered = null;
    answer();
    const entry = await until('it came', 5_000, () => inbox.peek());
    inbox.drop(entry);
    return entry.kind === 'batch' ? entry.batch.leases.map((lease) => lease.ttlSeconds) : null;
  };
  expect(await putOnce()).toEqual([3600n]);
  ttlSeconds = 60n;
  expect(await putOnce()).toEqual([]);
  aheadMs += 60_000;
  expect(await putOnce()).toEqual([60n]);
  aheadMs += 60_000;
  ttlSeconds = null;
  expect(await putOnce()).toEqual([]);
  over.abort();
});

test('a member that was restored, and has gone on with another history, is noticed at the revision that came last', async () => {
  const member = createFakeMember();
  const inbox = createInbox({ bytesMax: 1e6, batchBytesMax: 1e6 });
  const over = new AbortController();
  const gaps: Gap[] = [];
  let isForked = false;
  const begins: bigint[] = [];
  const follower = createFollower({
    clusterId: FAKE_CLUSTER,
    start: 2n,
    members: async () => await Promise.resolve([{ url: 'http://m0' }]),
    connect: (url) => {
      const client = member.connect(url);
      return {
        ...client,
        async *watchAll(from, signal) {
          begins.push(from);
          for await (const answer of client.watchAll(from, signal)) {
            const events = isForked
              ? answer.events.map((event) => Buffer.concat([event, encodeFields([[9, 1n]])]))
              : answer.events;
            yield { ...answer, events };
          }
        },
      };
    },
    inbox,
    clock,
    logger: silentLogger,
    onGap: (gap) => gaps.push(gap),
  });
  void follower.run(over.signal);
  const seen = async (revision: bigint) =>
    await until(`revision ${revision}`, 5_000, () => follower.status().seenRevision === revision);
  member.write(3);
  await seen(4n);
  member.breakAll();
  member.write(1);
  await seen(5n);
  expect(begins).toEqual([2n, 4n]);
  expect(gaps).toEqual([]);
  isForked = true;
  member.breakAll();
  member.write(1);
  await seen(6n);
  expect(gaps).toEqual([{ reason: 'lost', from: '5', to: '5' }]);
  // Compacted just up to what comes next: nothing is lost.
  member.compact(7n);
  member.breakAll();
  member.write(2);
  await seen(8n);
  expect(gaps).toHaveLength(1);
  over.abort();
});

test('no hash is taken of another cluster, which may listen where a member was', async () => {
  const member = createFakeMember();
  const proverOf = (clusterId: string) =>
    createProver({
      clusterId,
      member: () => 'http://m0',
      seenRevision: () => 1n,
      connect: (url) => member.connect(url),
      clock,
      logger: silentLogger,
      intervalMs: 1000,
    });
  expect(await proverOf(FAKE_CLUSTER).take(never)).toMatchObject({ revision: '1' });
  expect(await proverOf('def').take(never)).toBeNull();
});
