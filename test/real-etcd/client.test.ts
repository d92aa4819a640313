import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createEtcdClient } from '../../src/etcd/client.ts';
import { EtcdError } from '../../src/etcd/port.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { etcdBinaries } from './binaries.ts';
import { type PlainCluster, startPlainCluster } from './plain-etcd.ts';
import { freePorts, waitFor } from './wait.ts';

const within = (ms: number) => AbortSignal.timeout(ms);
const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  await promise.then(
    () => 'done',
    (error: unknown) => (error instanceof EtcdError ? error.code : `unexpected: ${String(error)}`),
  );

describe.for(etcdBinaries().map((binary) => [binary.version.text, binary] as const))(
  'etcd %s',
  ([, binary]) => {
    let cluster: PlainCluster;
    beforeAll(async () => {
      cluster = await startPlainCluster(binary, 3);
    });
    afterAll(async () => await cluster.close());
    const at = (index: number) => {
      const member = cluster.members[index];
      if (member === undefined) throw new Error(`no member ${index}`);
      return member;
    };

    test('three members agree on cluster, leader and list; a linearizable read is answered', async () => {
      const statuses = await Promise.all(
        [0, 1, 2].map((index) =>
          waitFor(`member ${index} answers with a leader`, 20_000, async () => {
            const status = await at(index).client.status(within(1000));
            return status.leaderId === null ? null : status;
          }),
        ),
      );
      expect(new Set(statuses.map(({ clusterId }) => clusterId)).size).toBe(1);
      expect(new Set(statuses.map(({ memberId }) => memberId)).size).toBe(3);
      for (const { memberId, version, isLearner, errors } of statuses) {
        expect(memberId).toMatch(/^[1-9a-f][0-9a-f]*$/);
        expect(version).toBe(binary.version.text);
        expect(isLearner).toBe(false);
        expect(errors).toEqual([]);
      }
      const members = await waitFor('all have published themselves', 10_000, async () => {
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
      const refusals = new Set<string>();
      const { memberId } = await waitFor('the add is accepted', 20_000, async () => {
        try {
          return await at(0).client.memberAddLearner(peerUrl, within(3000));
        } catch (error) {
          refusals.add(error instanceof EtcdError ? error.code : String(error));
          return null;
        }
      });
      // The gate depends on how long the cluster has stood; nothing but the gate may have refused.
      expect([...refusals].filter((code) => code !== 'unhealthy-cluster')).toEqual([]);
      expect(await codeOf(at(1).client.memberAddLearner(peerUrl, within(3000)))).toMatch(
        /peer-url-exists|member-exists/,
      );
      const [other = 0] = await freePorts(1);
      expect(await codeOf(at(1).client.memberAddLearner(`http://127.0.0.1:${other}`, within(3000)))).toBe(
        'too-many-learners',
      );
      expect(await codeOf(at(1).client.memberPromote(memberId, within(3000)))).toBe('learner-not-ready');

      const joined = await cluster.join('m3', { peer, client });
      const status = await waitFor(
        'the learner serves',
        20_000,
        async () => await joined.client.status(within(500)),
      );
      expect(status).toMatchObject({ memberId, isLearner: true });
      expect(await codeOf(joined.client.confirmQuorum(within(2000)))).toBe('refused-on-learner');

      await waitFor('it is promoted', 20_000, async () => {
        await at(0).client.memberPromote(memberId, within(3000));
        return true;
      });
      const promoted = await waitFor('it says so', 5000, async () => {
        const now = await joined.client.status(within(500));
        return now.isLearner ? null : now;
      });
      expect(promoted.memberId).toBe(memberId);
      expect(await codeOf(at(0).client.memberPromote(memberId, within(3000)))).toBe('not-a-learner');

      await waitFor('it is removed', 20_000, async () => {
        await at(0).client.memberRemove(memberId, within(9000));
        return true;
      });
      // 0, or 2 where etcd trips over its own end.
      expect((await joined.process.exit).code).toBeOneOf([0, 2]);
      expect(joined.lines.join('\n')).toContain('the member has been permanently removed from the cluster');
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
      await waitFor('all know the new leader', 5000, async () => {
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
      const status = await waitFor('the rest knows no leader', 10_000, async () => {
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

    test('a member that is not there is unavailable, soon', async () => {
      const [port = 0] = await freePorts(1);
      const client = createEtcdClient({ url: `http://127.0.0.1:${port}` }, createSystemClock());
      const before = performance.now();
      expect(await codeOf(client.status(within(5000)))).toBe('unavailable');
      expect(performance.now() - before).toBeLessThan(2000);
      client.close();
    });
  },
);
