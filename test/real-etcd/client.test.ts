import { describe, expect, test } from 'vitest';
import { createEtcdClient } from '../../src/etcd/client.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { codeOf, etcdClientContract } from '../contract/etcd-client.ts';
import { freePorts } from '../wait.ts';
import { etcdBinaries } from './binaries.ts';
import { startPlainCluster } from './plain-cluster.ts';

const clock = createSystemClock();

describe.for(etcdBinaries().map((binary) => [binary.version.text, binary] as const))(
  'etcd %s',
  ([, binary]) =>
    etcdClientContract(async (size, quotaBytes) => await startPlainCluster(binary, size, quotaBytes)),
);

test('where no member ever was nobody is available, soon', async () => {
  const [port = 0] = await freePorts(1);
  const client = createEtcdClient({ url: `http://127.0.0.1:${port}` }, clock);
  const beforeMs = clock.monotonicMs();
  expect(await codeOf(client.status(AbortSignal.timeout(5000)))).toBe('unavailable');
  expect(clock.monotonicMs() - beforeMs).toBeLessThan(2000);
  client.close();
});
