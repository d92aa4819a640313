import { expect, test } from 'vitest';
import { judgeVersion, parseEtcdVersion } from '../../src/etcd/versions.ts';
import { type EtcdStep, objectionToVersion } from '../../src/reconcile/etcd-upgrades.ts';

const step = (from: string | null, to: string | null, cluster: string | null = null): EtcdStep => ({
  from,
  to,
  cluster,
  full: null,
});

test.for([
  ['another patch', step('3.5.26', '3.5.30', '3.5.0')],
  ['an older patch', step('3.5.30', '3.5.26', '3.5.0')],
  ['the next minor', step('3.4.23', '3.5.30', '3.4.0')],
  ['the next minor, from a patch that is safe', step('3.5.26', '3.6.16', '3.5.0')],
  ['back, while the cluster has not followed', step('3.5.30', '3.4.23', '3.4.0')],
  ['what is not known to have run', step(null, '3.6.16')],
] as const)('%s is allowed', ([, of]) => {
  expect(objectionToVersion(of)).toBeNull();
});

test.for([
  ['a minor left out', step('3.4.23', '3.6.16', '3.4.0'), 'first to 3.5, then to 3.6.16'],
  ['a minor ahead of the cluster', step('3.5.30', '3.6.16', '3.4.0'), "the cluster's version is still 3.4"],
  ['the next minor from a patch that is not safe', step('3.5.16', '3.6.16', '3.5.0'), 'first to 3.5.26 or'],
  ['back, once the cluster has followed', step('3.5.30', '3.4.23', '3.5.0'), 'a downgrade takes a backup'],
  ['back, where nobody tells the cluster version', step('3.5.30', '3.4.23'), 'a downgrade takes a backup'],
  ['a version that nobody names', step('3.5.30', null, '3.5.0'), '--artifact-etcd-version'],
] as const)('%s is refused', ([, of, why]) => {
  expect(objectionToVersion(of)).toContain(why);
});

test('the patches below which no member goes up are those that warn of it', () => {
  const warned = (patch: number): boolean =>
    judgeVersion(parseEtcdVersion(`etcd Version: 3.5.${patch}`)).warnings.some((text) =>
      text.includes('an upgrade to 3.6'),
    );
  for (let patch = 10; patch < 40; patch += 1) {
    const refused = objectionToVersion(step(`3.5.${patch}`, '3.6.16', '3.5.0')) !== null;
    expect([patch, refused]).toEqual([patch, warned(patch)]);
  }
});

test('the way back names the full backup of before', () => {
  const full = { rollout: 'rollout-1', etcd: '3.5.30', atMs: Date.UTC(2026, 0, 2) };
  expect(objectionToVersion({ ...step('3.6.16', '3.5.30', '3.6.0'), full })).toContain(
    'etcd-mesos restore --to 2026-01-02T00:00:00.000Z, when a full of etcd 3.5.30 was taken',
  );
});
