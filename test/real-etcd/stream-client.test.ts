import { Etcd3 } from 'etcd3';
import { describe, expect, test } from 'vitest';
import { listFulls } from '../../src/backup/full.ts';
import { createEtcdClient, createKvClient } from '../../src/etcd/client.ts';
import { createStreamClient } from '../../src/etcd/stream-client.ts';
import { archiveEtcd, placeIn } from '../archive/archiving.ts';
import { never } from '../backup/sample-log.ts';
import { type StreamSubject, streamClientContract } from '../contract/stream-client.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { clock, until } from '../wait.ts';
import { type EtcdBinary, etcdBinaries } from './binaries.ts';
import { formed, startPlainCluster } from './plain-cluster.ts';

async function startSubject(binary: EtcdBinary): Promise<StreamSubject & { readonly url: string }> {
  const cluster = await startPlainCluster(binary, 1);
  await formed(cluster);
  const url = cluster.members[0]?.clientUrl ?? '';
  const kv = createKvClient({ url }, clock);
  const plain = createEtcdClient({ url }, clock);
  const theirs = new Etcd3({ hosts: url });
  let writes = 0;
  let users = 0;
  return {
    url,
    connect: () => createStreamClient({ url }, clock),
    write: async () => {
      writes += 1;
      await kv.put(`key/${writes % 7}`, 'v'.repeat(writes), never);
    },
    compact: async (revision) => await plain.compact(String(revision), true, never),
    grant: async () => {
      const { ID } = await theirs.leaseClient.leaseGrant({ TTL: 90 });
      return { id: BigInt(ID), ttlSeconds: 90n };
    },
    changeUsers: async () => {
      users += 1;
      await theirs.auth.userAdd({ name: `user-${users}`, password: 'x' });
    },
    tellsAuth: binary.version.minor >= 5,
    close: async () => {
      kv.close();
      plain.close();
      theirs.close();
      await cluster.close();
    },
  };
}

describe.for(etcdBinaries().map((binary) => [binary.version.text, binary] as const))(
  'etcd %s',
  ([, binary]) => {
    streamClientContract(async () => await startSubject(binary));

    test('a change of users leads to a full where the member tells of it', async () => {
      const subject = await startSubject(binary);
      const client = subject.connect();
      const { clusterId } = await client.status(never);
      client.close();
      const store = createMemoryArchiveStore();
      const place = await placeIn(store, clusterId);
      const { archive, epoch } = place;
      const over = new AbortController();
      const archiver = archiveEtcd(place, subject.url, { limits: { segmentMs: 0, authMs: 50 } }, over.signal);
      const fulls = async () =>
        (await listFulls(archive, epoch, never)).map(({ document }) => document.authRevision);
      try {
        await until('there is a full', 20_000, () => archiver.status().lastFull);
        expect(await fulls()).toEqual(['1']);
        await subject.changeUsers();
        if (subject.tellsAuth)
          await until('there is another', 20_000, async () => (await fulls()).length === 2);
        else await archiver.fullNow('test');
        // Also an etcd that does not tell has it in its data.
        expect(await fulls()).toEqual(['1', '2']);
        await clock.sleep(200);
        expect(await fulls()).toHaveLength(2);
      } finally {
        over.abort();
        await archiver.ended;
        await subject.close();
      }
    });
  },
);
