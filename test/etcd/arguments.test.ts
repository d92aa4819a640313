import { expect, test } from 'vitest';
import { type EtcdStart, etcdArguments, listenHosts } from '../../src/etcd/arguments.ts';
import { parseEtcdVersion } from '../../src/etcd/versions.ts';

const start = (version: string, changes: Partial<EtcdStart> = {}): EtcdStart => ({
  version: parseEtcdVersion(`etcd Version: ${version}`),
  name: 'etcd-0',
  dataDirectory: '/volume/epoch-1/data',
  logDirectory: null,
  listenHosts: ['10.0.0.1', '127.0.0.1'],
  peerPort: 2380,
  clientPort: 2379,
  peerUrl: 'http://10.0.0.1:2380',
  clientUrl: 'http://10.0.0.1:2379',
  state: 'new',
  token: 'token-1',
  initialCluster: [
    { name: 'etcd-0', peerUrl: 'http://10.0.0.1:2380' },
    { name: 'etcd-1', peerUrl: 'http://10.0.0.2:2380' },
  ],
  options: { heartbeatIntervalMs: 100, electionTimeoutMs: 1000, quotaBytes: 2 ** 31, snapshotCount: 10_000 },
  ...changes,
});

test('a first start of 3.4', () => {
  expect(etcdArguments(start('3.4.23'))).toEqual([
    '--name=etcd-0',
    '--data-dir=/volume/epoch-1/data',
    '--listen-peer-urls=http://10.0.0.1:2380,http://127.0.0.1:2380',
    '--listen-client-urls=http://10.0.0.1:2379,http://127.0.0.1:2379',
    '--initial-advertise-peer-urls=http://10.0.0.1:2380',
    '--advertise-client-urls=http://10.0.0.1:2379',
    '--initial-cluster=etcd-0=http://10.0.0.1:2380,etcd-1=http://10.0.0.2:2380',
    '--initial-cluster-state=new',
    '--initial-cluster-token=token-1',
    '--heartbeat-interval=100',
    '--election-timeout=1000',
    '--quota-backend-bytes=2147483648',
    '--snapshot-count=10000',
    '--strict-reconfig-check=true',
    '--logger=zap',
    '--log-outputs=stderr',
    '--log-level=info',
    '--metrics=basic',
    '--pre-vote=true',
    '--experimental-initial-corrupt-check=true',
  ]);
});

test.for([
  ['3.5.16', ['--experimental-initial-corrupt-check=true']],
  ['3.6.4', ['--feature-gates=InitialCorruptCheck=true']],
  ['3.7.0', ['--feature-gates=InitialCorruptCheck=true']],
] as const)('the check of data before serving is named as %s names it', ([version, expected]) => {
  expect(etcdArguments(start(version)).slice(-2)).toEqual(['--metrics=basic', ...expected]);
});

test.for(['3.4.23', '3.5.30', '3.6.4'])('%s can be told to leave that check out', (version) => {
  const unchecked = etcdArguments(start(version, { unchecked: true }));
  const checked = etcdArguments(start(version));
  expect(unchecked).toEqual(checked.filter((argument) => !/corrupt-?check/i.test(argument)));
  expect(unchecked).toHaveLength(checked.length - 1);
});

test.for([
  ['127.0.0.1', ['127.0.0.1'], ['127.0.0.1']],
  ['localhost', ['127.0.0.1'], ['127.0.0.1']],
  ['10.0.0.1', ['127.0.0.1', '10.0.0.1'], ['10.0.0.1', '127.0.0.1']],
  ['10.0.0.9', ['127.0.0.1', '10.0.0.1'], ['0.0.0.0']],
  ['agent-1.example', ['127.0.0.1', '10.0.0.1'], ['0.0.0.0']],
  ['fd00::1', ['127.0.0.1', 'fd00::1'], ['fd00::1', '127.0.0.1']],
  ['fd00::2', ['127.0.0.1'], ['::']],
] as const)('for %s among %j it binds %j', ([host, local, expected]) => {
  expect(listenHosts(host, local)).toEqual(expected);
});

test('an IPv6 address is bracketed', () => {
  expect(etcdArguments(start('3.5.30', { listenHosts: ['fd00::1'] }))).toContain(
    '--listen-client-urls=http://[fd00::1]:2379',
  );
});
