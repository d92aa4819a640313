import { expect, test } from 'vitest';
import { etcdEnvironment, underDeathPact } from '../../src/member/death-pact.ts';

test('etcd runs under setpriv, its arguments untouched', () => {
  expect(underDeathPact('/opt/etcd', ['--name=a', '--'])).toEqual([
    '--pdeathsig',
    'KILL',
    '--',
    '/opt/etcd',
    '--name=a',
    '--',
  ]);
});

test('etcd gets its mark and nothing that could override what it is told', () => {
  const environment = etcdEnvironment(
    { cluster: 'cluster-1', seat: 'seat-1' },
    {
      PATH: '/bin',
      ETCD_NAME: 'x',
      http_proxy: 'http://p',
      ETCD_MESOS_LAUNCH: '{}',
      GOMAXPROCS: '2',
      ETCD_UNSUPPORTED_ARCH: 'arm64',
    },
  );
  expect(environment).toEqual({
    PATH: '/bin',
    GOMAXPROCS: '2',
    ETCD_UNSUPPORTED_ARCH: 'arm64',
    MEMBER_OF_ETCD_MESOS: 'cluster-1/seat-1',
  });
  expect(etcdEnvironment({ cluster: 'c', seat: 's' }, {})['PATH']).toContain('/usr/bin');
});
