import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EtcdError } from '../../src/etcd/port.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { formed, type PlainCluster, type PlainEtcd } from '../real-etcd/plain-cluster.ts';
import { freePorts, until } from '../wait.ts';

const clock = createSystemClock();
/** The least that is taken for a quota here: twenty large values. */
const QUOTA_BYTES = 20 * 1024 * 1024;
const VALUE = 'x'.repeat(1024 * 1024);
const within = (ms: number) => AbortSignal.timeout(ms);
/** How a call ended: `done`, or the code of its error. */
export const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  await promise.then(
    () => 'done',
    (error: unknown) => (error instanceof EtcdError ? error.code : `unexpected: ${String(error)}`),
  );
const unusedPeerUrl = async (): Promise<string> => `http://127.0.0.1:${(await freePorts(1))[0]}`;

/**
 * What every implementation of `EtcdClient` keeps, asking the etcd that it asks: etcd's own gates among it. What the
 * model shows of etcd is what etcd does.
 * @param start runs a cluster of that size, in real time.
 */
export function etcdClientContract(
  start: (size: number, quotaBytes?: number) => Promise<PlainCluster>,
): void {
  let cluster: PlainCluster;
  const at = (index: number): PlainEtcd => {
    const member = cluster.members[index];
    if (member === undefined) throw new Error(`no member ${index}`);
    return member;
  };

  /** Asks until the gate, which depends on how long the cluster has stood, is open; nothing else may refuse. */
  const addedLearner = async (peerUrl: string): Promise<string> => {
    const refusals = new Set<string>();
    const { memberId } = await until('the add is accepted', 20_000, async () => {
      try {
        return await at(0).client.memberAddLearner(peerUrl, within(3000));
      } catch (error) {
        refusals.add(error instanceof EtcdError ? error.code : String(error));
        return null;
      }
    });
    expect([...refusals].filter((code) => code !== 'unhealthy-cluster')).toEqual([]);
    return memberId;
  };

  describe('a cluster of three', () => {
    beforeAll(async () => {
      cluster = await start(3);
    });
    afterAll(async () => await cluster.close());

    test('three members agree on cluster, leader and list; a linearizable read is answered', async () => {
      const statuses = await formed(cluster);
      expect(new Set(statuses.map(({ clusterId }) => clusterId)).size).toBe(1);
      expect(new Set(statuses.map(({ memberId }) => memberId)).size).toBe(3);
      for (const { memberId, version, isLearner, errors } of statuses) {
        expect(memberId).toMatch(/^[1-9a-f][0-9a-f]*$/);
        expect(version).toMatch(/^3\.\d+\.\d+$/);
        expect(isLearner).toBe(false);
        expect(errors).toEqual([]);
      }
      const members = await until('all have published themselves', 10_000, async () => {
        const listed = await at(1).client.members(within(1000));
        return listed.every(({ name }) => name !== '') ? listed : null;
      });
      expect(members.map(({ name }) => name).toSorted()).toEqual(['m0', 'm1', 'm2']);
      expect(members.flatMap(({ peerUrls }) => peerUrls).toSorted()).toEqual(
        [0, 1, 2].map((index) => at(index).peerUrl).toSorted(),
      );
      await at(2).client.confirmQuorum(within(2000));
      expect(await at(2).client.alarms(within(2000))).toEqual([]);
    });

    test('a learner is added after five seconds, promoted when it is level, and removed with exit code 0', async () => {
      const [peer = 0, client = 0] = await freePorts(2);
      const peerUrl = `http://127.0.0.1:${peer}`;
      const memberId = await addedLearner(peerUrl);
      expect(await codeOf(at(1).client.memberAddLearner(peerUrl, within(3000)))).toMatch(
        /peer-url-exists|member-exists/,
      );
      expect(await codeOf(at(1).client.memberAddLearner(await unusedPeerUrl(), within(3000)))).toBe(
        'too-many-learners',
      );
      expect(await codeOf(at(1).client.memberPromote(memberId, within(3000)))).toBe('learner-not-ready');

      const joined = await cluster.join('m3', { peer, client });
      const status = await until(
        'the learner serves',
        20_000,
        async () => await joined.client.status(within(500)),
      );
      expect(status).toMatchObject({ memberId, isLearner: true });
      const { confirmQuorum, members, alarms, memberRemove } = joined.client;
      const calls = [confirmQuorum, members, alarms, (signal: AbortSignal) => memberRemove(memberId, signal)];
      for (const call of calls) expect(await codeOf(call(within(2000)))).toBe('refused-on-learner');

      await until('it is promoted, asked through a follower', 20_000, async () => {
        const { leaderId, memberId: own } = await at(0).client.status(within(1000));
        const follower = leaderId === own ? at(1) : at(0);
        await follower.client.memberPromote(memberId, within(3000));
        return true;
      });
      // Who sees a quorum has seen every change that was committed before.
      await at(2).client.confirmQuorum(within(2000));
      expect(await at(2).client.members(within(1000))).toContainEqual(
        expect.objectContaining({ id: memberId, isLearner: false }),
      );
      const promoted = await until('it says so', 5000, async () => {
        const now = await joined.client.status(within(500));
        return now.isLearner ? null : now;
      });
      expect(promoted.memberId).toBe(memberId);
      expect(await codeOf(at(0).client.memberPromote(memberId, within(3000)))).toBe('not-a-learner');

      await until('it is removed', 20_000, async () => {
        await at(0).client.memberRemove(memberId, within(9000));
        return true;
      });
      // 0, or 2 where etcd trips over its own end.
      expect((await joined.process.exit).code).toBeOneOf([0, 2]);
      expect(joined.lines.join('\n')).toContain('the member has been permanently removed from the cluster');
      const again = await cluster.restart(joined);
      expect((await again.process.exit).code).toBeOneOf([0, 2]);
      expect(again.lines.join('\n')).toContain('the member has been permanently removed from the cluster');
      expect(await codeOf(at(0).client.memberRemove(memberId, within(3000)))).toBe('member-not-found');
      // A follower of an old etcd asks its leader until it is late.
      expect(await codeOf(at(0).client.memberPromote(memberId, within(1000)))).toMatch(
        /member-not-found|aborted/,
      );
    });

    test('leadership is handed over, and only by the leader', async () => {
      const { leaderId } = await at(0).client.status(within(1000));
      const statuses = await Promise.all(
        [0, 1, 2].map(async (index) => await at(index).client.status(within(1000))),
      );
      const leader = statuses.findIndex(({ memberId }) => memberId === leaderId);
      const heir = (leader + 1) % 3;
      const heirId = statuses[heir]?.memberId ?? '';
      expect(await codeOf(at(heir).client.moveLeader(heirId, within(3000)))).toBe('not-leader');
      await at(leader).client.moveLeader(heirId, within(5000));
      await until('all know the new leader', 5000, async () => {
        const now = await Promise.all(
          [0, 1, 2].map(async (index) => await at(index).client.status(within(1000))),
        );
        return now.every((status) => status.leaderId === heirId);
      });
    });

    test('without a quorum: local evidence at once, everything else bounded', async () => {
      at(1).process.signal('SIGKILL');
      at(2).process.signal('SIGKILL');
      await Promise.all([at(1).process.exit, at(2).process.exit]);
      const status = await until('the rest knows no leader', 10_000, async () => {
        const now = await at(0).client.status(within(1000));
        return now.leaderId === null ? now : null;
      });
      expect(status.errors.join()).toContain('no leader');
      expect(await at(0).client.members(within(1000))).toHaveLength(3);
      const before = performance.now();
      expect(await codeOf(at(0).client.confirmQuorum(within(300)))).toBe('aborted');
      expect(performance.now() - before).toBeLessThan(2000);
      expect(await codeOf(at(0).client.memberAddLearner('http://127.0.0.1:1', within(500)))).not.toBe('done');
    });
  });

  describe('the gates of a cluster of three', () => {
    beforeAll(async () => {
      cluster = await start(3);
    });
    afterAll(async () => await cluster.close());

    test('nobody is added until every voter has been connected for five seconds', async () => {
      await formed(cluster);
      const memberId = await addedLearner(await unusedPeerUrl());
      const youngestMs = Math.max(...cluster.members.map(({ startedAtMs }) => startedAtMs));
      expect(clock.monotonicMs() - youngestMs).toBeGreaterThanOrEqual(4_500);
      expect(await codeOf(at(1).client.moveLeader(memberId, within(2000)))).not.toBe('done');
      expect(await codeOf(at(2).client.memberRemove(memberId, within(5000)))).toBe('done');
    });

    test('while one is dead nobody is added and no other is removed; it is itself at once', async () => {
      const statuses = await formed(cluster);
      const [leader = 0, dead = 0, rest = 0] = [0, 1, 2].toSorted(
        (left, right) => Number(isLeader(statuses[right])) - Number(isLeader(statuses[left])),
      );
      const idOf = (index: number) => statuses[index]?.memberId ?? '';
      at(dead).process.signal('SIGKILL');
      await at(dead).process.exit;
      const peerUrl = await unusedPeerUrl();
      // Also after the five seconds for which the others have been connected.
      await clock.sleep(6_000);
      const { client } = at(leader);
      expect(await codeOf(client.memberAddLearner(peerUrl, within(3000)))).toBe('unhealthy-cluster');
      expect(await codeOf(client.memberRemove(idOf(rest), within(3000)))).toBe('unhealthy-cluster');
      expect(await client.members(within(1000))).toHaveLength(3);

      const beforeMs = clock.monotonicMs();
      await client.memberRemove(idOf(dead), within(5000));
      const { memberId } = await client.memberAddLearner(peerUrl, within(5000));
      expect(clock.monotonicMs() - beforeMs).toBeLessThan(4_500);
      const listed = await client.members(within(1000));
      expect(listed.map(({ id }) => id).toSorted()).toEqual([idOf(leader), idOf(rest), memberId].toSorted());
      expect(listed.find(({ id }) => id === memberId)).toMatchObject({ name: '', isLearner: true });
      expect(await codeOf(client.memberPromote(memberId, within(3000)))).toBe('learner-not-ready');
    });
  });

  describe('the space of a cluster of three', () => {
    beforeAll(async () => {
      cluster = await start(3, QUOTA_BYTES);
    });
    afterAll(async () => await cluster.close());

    const fill = async (key: string): Promise<string> =>
      await codeOf(at(0).keys.put(key, VALUE, within(5000)));
    const statusOf = async (index: number) => await at(index).client.status(within(2000));
    const revisionOf = async (): Promise<string> => (await statusOf(0)).revision;

    test('the database grows with its history until a member reaches its quota; then all refuse writes', async () => {
      await formed(cluster);
      const outcomes: string[] = [];
      for (let count = 0; count < 40 && outcomes.at(-1) !== 'no-space'; count += 1) {
        outcomes.push(await fill(`key-${count % 2}`));
      }
      expect(outcomes.at(-1)).toBe('no-space');
      // 20 MiB of values of 1 MiB, of which two are live.
      expect(outcomes.length).toBeGreaterThan(10);
      await until('all know of the alarm', 5000, async () => {
        const all = await Promise.all([0, 1, 2].map(statusOf));
        return all.every(({ errors }) => errors.some((error) => /memberID:\d+ alarm:NOSPACE/.test(error)));
      });
      expect(await codeOf(at(1).keys.put('other', 'small', within(5000)))).toBe('no-space');
      const alarms = await at(2).client.alarms(within(2000));
      expect(alarms.map(({ alarm }) => alarm)).toEqual(alarms.map(() => 'NOSPACE'));
      // Which of them comes to its quota first is a matter of pages.
      const members = await Promise.all([0, 1, 2].map(async (index) => (await statusOf(index)).memberId));
      expect(alarms).not.toHaveLength(0);
      expect(members).toEqual(expect.arrayContaining(alarms.map(({ memberId }) => memberId)));
    });

    test('the sizes of keys are told page by page, also under an alarm', async () => {
      const first = await at(1).client.keySizes(new Uint8Array([0]), 1, within(5000));
      expect(first).toEqual({
        keys: [{ key: Uint8Array.from(Buffer.from('key-0')), bytes: 5 + VALUE.length }],
        more: true,
      });
      const from = Buffer.from('key-0\0');
      const rest = await at(1).client.keySizes(from, 100, within(5000));
      expect(rest.keys.map(({ key }) => Buffer.from(key).toString())).toEqual(['key-1']);
      expect(rest.more).toBe(false);
    });

    test('a compaction frees pages in the file, and is refused where it was made or is yet to come', async () => {
      const revision = await revisionOf();
      const future = String(BigInt(revision) + 100n);
      expect(await codeOf(at(1).client.compact(future, true, within(5000)))).toBe('future-revision');
      const before = await statusOf(1);
      expect(await codeOf(at(1).client.compact(revision, true, within(10_000)))).toBe('done');
      expect(await codeOf(at(1).client.compact(revision, true, within(5000)))).toBe('compacted');
      await until('the pages are free', 10_000, async () => {
        const now = await statusOf(1);
        expect(now.dbSizeBytes).toBeGreaterThanOrEqual(before.dbSizeInUseBytes);
        // 3.4 counts free pages anew with its next write, and takes none now.
        return now.dbSizeInUseBytes < QUOTA_BYTES / 2 || now.version.startsWith('3.4.');
      });
      expect(await fill('key-0')).toBe('no-space');
    });

    test('defragmenting brings the file down to what is in use, one member at a time', async () => {
      for (const index of [0, 1, 2]) {
        const before = await statusOf(index);
        await at(index).client.defragment(within(20_000));
        const after = await until('it answers again', 10_000, async () => await statusOf(index));
        expect(after.dbSizeBytes).toBeLessThan(before.dbSizeBytes / 2);
        expect(after.dbSizeBytes - after.dbSizeInUseBytes).toBeLessThan(after.dbSizeBytes / 4);
      }
    });

    test('the alarm stands until it is disarmed, although there is space', async () => {
      expect(await fill('key-0')).toBe('no-space');
      for (const { memberId, alarm } of await at(0).client.alarms(within(2000))) {
        if (alarm === 'NOSPACE') await at(1).client.disarm(memberId, alarm, within(5000));
      }
      expect(await at(2).client.alarms(within(2000))).toEqual([]);
      expect(await fill('key-0')).toBe('done');
      const { memberId } = await statusOf(2);
      expect(await codeOf(at(0).client.disarm(memberId, 'NOSPACE', within(5000)))).toBe('done');
    });

    test('members that hold the same have one hash at a revision', async () => {
      const revision = await revisionOf();
      for (const index of [0, 1, 2]) {
        await until(
          'it has applied that',
          5000,
          async () => BigInt((await statusOf(index)).revision) >= BigInt(revision),
        );
      }
      const hashes = await Promise.all(
        [0, 1, 2].map(async (index) => await at(index).client.hashKv(revision, within(5000))),
      );
      expect(hashes[0]?.compactRevision).toMatch(/^[1-9]\d*$/);
      expect(new Set(hashes.map((hash) => JSON.stringify(hash))).size).toBe(1);
      expect(await codeOf(at(0).client.hashKv('2', within(5000)))).toBe('compacted');
      const future = String(BigInt(revision) + 100n);
      expect(await codeOf(at(0).client.hashKv(future, within(5000)))).toBe('future-revision');
    });

    test('members have a hash of the present, though it was compacted up to that', async () => {
      const revision = await revisionOf();
      await at(0).client.compact(revision, true, within(5000));
      const hashOf = async (index: number) => await at(index).client.hashKv(revision, within(5000));
      await until('the others have compacted too', 5000, async () => {
        const hashes = await Promise.all([0, 1, 2].map(hashOf));
        return new Set(hashes.map((hash) => JSON.stringify(hash))).size === 1;
      });
    });

    test('a CORRUPT alarm stops reads and writes, and hides neither the quorum nor the hashes', async () => {
      const { memberId } = await statusOf(1);
      const revision = await revisionOf();
      await at(0).keys.raiseAlarm(memberId, 'CORRUPT', within(5000));
      await until('writes are refused', 5000, async () => (await fill('key-0')) === 'corrupt-cluster');
      expect(await codeOf(at(2).client.confirmQuorum(within(2000)))).toBe('done');
      expect(await codeOf(at(2).client.hashKv(revision, within(5000)))).toBe('done');
      expect(await codeOf(at(2).client.compact(revision, false, within(5000)))).toBe('corrupt-cluster');
      expect(await at(2).client.alarms(within(2000))).toEqual([{ memberId, alarm: 'CORRUPT' }]);
      await at(0).client.disarm(memberId, 'CORRUPT', within(5000));
      expect(await fill('key-0')).toBe('done');
    });
  });

  test('a call that was given up, and one after closing, are aborted', async () => {
    cluster = await start(1);
    try {
      await formed(cluster);
      const { client } = at(0);
      expect(await codeOf(client.status(AbortSignal.abort()))).toBe('aborted');
      const giveUp = new AbortController();
      const given = client.confirmQuorum(giveUp.signal);
      giveUp.abort();
      expect(await codeOf(given)).toBe('aborted');
      const open = client.confirmQuorum(within(5000));
      client.close();
      expect(await codeOf(open)).toBe('aborted');
      expect(await codeOf(client.status(within(5000)))).toBe('aborted');
    } finally {
      await cluster.close();
    }
  });

  test('a member that has ended is unavailable, soon', async () => {
    cluster = await start(1);
    try {
      await formed(cluster);
      at(0).process.signal('SIGKILL');
      await at(0).process.exit;
      const beforeMs = clock.monotonicMs();
      expect(await codeOf(at(0).client.status(within(5000)))).toBe('unavailable');
      expect(clock.monotonicMs() - beforeMs).toBeLessThan(2000);
    } finally {
      await cluster.close();
    }
  });
}

function isLeader(status: { memberId: string; leaderId: string | null } | undefined): boolean {
  return status !== undefined && status.leaderId === status.memberId;
}
