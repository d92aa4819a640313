import { expect, test } from 'vitest';
import { readLaunch } from '../../src/runtime/run-member.ts';

const launch = {
  protocol: 1,
  framework: 'framework-1',
  cluster: 'cluster-1',
  slot: 'etcd-0',
  seat: 'seat-1',
  task: 'etcd-0__1',
  schedulerKey: 'abc',
  volume: { path: 'volume', id: 'volume-1' },
  host: '127.0.0.1',
  ports: { peer: 1, client: 2, supervisor: 3 },
  etcdBinary: 'etcd',
  etcd: {},
};

test('a launch is read with etcd’s defaults', () => {
  expect(readLaunch(JSON.stringify(launch)).etcd).toMatchObject({ heartbeatIntervalMs: 100 });
});

test.for([
  ['nothing', undefined, 'no ETCD_MESOS_LAUNCH'],
  ['an empty variable', '', 'no ETCD_MESOS_LAUNCH'],
  ['no JSON', '{', 'not JSON'],
  ['another protocol', JSON.stringify({ ...launch, protocol: 2 }), 'protocol'],
  ['a wrong port', JSON.stringify({ ...launch, ports: { ...launch.ports, peer: 0 } }), 'ports.peer'],
  ['an unknown field', JSON.stringify({ ...launch, colour: 'red' }), 'colour'],
  ['a wrong slot', JSON.stringify({ ...launch, slot: 'member-1' }), 'etcd-0'],
] as const)('%s is refused by name', ([, text, named]) => {
  expect(() => readLaunch(text)).toThrow(
    expect.objectContaining({ code: 'launch-unusable', message: expect.stringContaining(named) }) as Error,
  );
});
