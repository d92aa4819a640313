import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKvClient } from '../../src/etcd/client.ts';
import type { KvClient } from '../../src/etcd/port.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { until } from '../wait.ts';
import { etcdBinaries } from './binaries.ts';
import { formed, type PlainCluster, type PlainEtcd, startPlainCluster } from './plain-cluster.ts';

const within = () => AbortSignal.timeout(5_000);
/** As the independent client tells an id: decimal, ours in hex. */
const hexOf = (id: string): string => BigInt(id).toString(16);

// Our codec is written by hand: a client that shares nothing with it must read what it wrote, and the reverse.
describe.for(etcdBinaries().map((binary) => [binary.version.text, binary] as const))(
  'etcd %s, through ours and through etcd3',
  ([, binary]) => {
    let cluster: PlainCluster;
    let member: PlainEtcd;
    let ours: KvClient;
    let theirs: Etcd3;
    beforeAll(async () => {
      cluster = await startPlainCluster(binary, 1);
      await formed(cluster);
      member = cluster.members[0] as PlainEtcd;
      ours = createKvClient({ url: member.clientUrl }, createSystemClock());
      theirs = new Etcd3({
        hosts: member.clientUrl,
        defaultCallOptions: () => ({ deadline: Date.now() + 5_000 }),
      });
    });
    afterAll(async () => {
      ours.close();
      theirs.close();
      await cluster.close();
    });

    test.for([
      ['a', '1'],
      ['/registry/pods/größe-日本-🦉', 'Wert mit „Zeichen“ and \u0000 inside'],
      ['empty', ''],
      ['long', 'x'.repeat(1_000_000)],
    ] as const)('what ours puts under %j etcd3 gets', async ([key, value]) => {
      const { revision } = await ours.put(key, value, within());
      expect(await theirs.get(key).string()).toBe(value);
      const found = (await theirs.get(key).exec()).kvs[0];
      expect(found?.mod_revision).toBe(revision);
    });

    test('what etcd3 puts ours reads, in its range, in order, and no more than asked for', async () => {
      const keys = ['range/a', 'range/b', 'range/c', 'range/ü'];
      for (const key of keys.toReversed()) await theirs.put(key).value(`value of ${key}`).exec();
      await theirs.put('rangf').value('behind the range').exec();
      const read = await ours.range('range/', 'range0', 10, within());
      expect(read.map(({ key }) => key)).toEqual(keys);
      for (const { key, value, modRevision } of read) {
        expect(value).toBe(`value of ${key}`);
        expect(modRevision).toBe((await theirs.get(key).exec()).kvs[0]?.mod_revision);
      }
      expect((await ours.range('range/', 'range0', 2, within())).map(({ key }) => key)).toEqual(
        keys.slice(0, 2),
      );
    });

    test('both tell the same of the member', async () => {
      const [status, seen] = [await member.client.status(within()), await theirs.maintenance.status()];
      expect(status).toMatchObject({
        version: seen.version,
        memberId: hexOf(seen.header.member_id),
        clusterId: hexOf(seen.header.cluster_id),
        leaderId: hexOf(seen.leader),
        raftTerm: seen.raftTerm,
        revision: seen.header.revision,
      });
      expect(status.dbSizeBytes).toBeGreaterThan(0);
      expect(await member.client.alarms(within())).toEqual([]);
    });

    test('both list the same members, a learner that ours added too', async () => {
      const peerUrl = 'http://127.0.0.1:1';
      const { memberId } = await until(
        'the add is accepted',
        20_000,
        async () => await member.client.memberAddLearner(peerUrl, within()),
      );
      const seen = (await theirs.cluster.memberList({})).members.map((listed) => ({
        id: hexOf(listed.ID),
        name: listed.name,
        peerUrls: listed.peerURLs,
        clientUrls: listed.clientURLs,
      }));
      const told = await member.client.members(within());
      expect(told.map(({ isLearner: _, ...rest }) => rest)).toEqual(seen);
      expect(told.find(({ id }) => id === memberId)).toMatchObject({ peerUrls: [peerUrl], isLearner: true });
      await theirs.cluster.memberRemove({ ID: BigInt(`0x${memberId}`).toString() });
      expect(await member.client.members(within())).toHaveLength(1);
    });
  },
);
