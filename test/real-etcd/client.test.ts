import { describe, expect, test } from 'vitest';
import { createEtcdClient } from '../../src/etcd/client.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { codeOf, etcdClientContract } from '../contract/etcd-client.ts';
import { freePorts, until } from '../wait.ts';
import { etcdBinaries } from './binaries.ts';
import { startPlainCluster } from './plain-cluster.ts';
import { turnAuthenticationOn } from './users.ts';

const clock = createSystemClock();

describe.for(etcdBinaries().map((binary) => [binary.version.text, binary] as const))(
  'etcd %s',
  ([, binary]) => {
    etcdClientContract(async (size, quotaBytes) => await startPlainCluster(binary, size, quotaBytes));

    test('with its authentication on a quorum is confirmed all the same, and none where there is none', async () => {
      const cluster = await startPlainCluster(binary, 3);
      try {
        const [first, ...others] = cluster.members;
        if (first === undefined) throw new Error('no member was started');
        const confirmed = async () => await first.client.confirmQuorum(AbortSignal.timeout(3000));
        await until('a quorum serves', 20_000, async () => !(await confirmed()).needsUser);
        await turnAuthenticationOn(first.clientUrl);
        await until('it asks for a user', 5000, async () => (await confirmed()).needsUser);
        // Whether it tells how it is without a user is a matter of its version.
        expect(['done', 'needs-user']).toContain(
          await codeOf(first.client.status(AbortSignal.timeout(3000))),
        );
        for (const { process } of others) process.signal('SIGKILL');
        await until(
          'no quorum is confirmed any more',
          10_000,
          async () => (await codeOf(confirmed())) !== 'done',
        );
        expect(await codeOf(confirmed())).not.toBe('needs-user');
      } finally {
        await cluster.close();
      }
    });
  },
);

test('where no member ever was nobody is available, soon', async () => {
  const [port = 0] = await freePorts(1);
  const client = createEtcdClient({ url: `http://127.0.0.1:${port}` }, clock);
  const beforeMs = clock.monotonicMs();
  expect(await codeOf(client.status(AbortSignal.timeout(5000)))).toBe('unavailable');
  expect(clock.monotonicMs() - beforeMs).toBeLessThan(2000);
  client.close();
});
