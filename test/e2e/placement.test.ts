import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import { debugOffersSchema } from '../../src/protocol/view.ts';
import { startLocalCluster } from '../../src/runtime/local.ts';
import { runCli } from '../cli/run-cli.ts';
import { lacks } from '../needs.ts';
import { until } from '../wait.ts';
import { readRecord } from './etcd-on-mesos.ts';
import { type SchedulerProcess, startScheduler, stateOf } from './scheduler-process.ts';

/** Constraints on agents that have racks and zones, and what a person is told of them. */

let directory = '';
let cluster: LocalCluster;
let scheduler: SchedulerProcess;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-placement-'));
});
afterEach(async () => {
  await scheduler.stop();
  await cluster.close();
  rmSync(directory, { recursive: true, force: true });
});

const agent = (name: string, rack: string, zone: string) => ({
  hostname: `${name}.example`,
  cpus: 1,
  memMb: 1024,
  diskMb: 4096,
  attributes: { rack },
  zone,
});

async function start(placement: string): Promise<void> {
  cluster = await startLocalCluster({
    directory: join(directory, 'mesos'),
    agents: [agent('a', 'r1', 'z1'), agent('b', 'r1', 'z1'), agent('c', 'r2', 'z2'), agent('d', 'r3', 'z3')],
    allocationIntervalMs: 100,
  });
  scheduler = startScheduler({
    masterUrl: cluster.masterUrl,
    directory: join(directory, 'scheduler'),
    args: [
      ...[
        '--placement',
        placement,
        '--artifact',
        'checkout',
        '--bootstrap-window',
        '2s',
        '--log-level',
        'info',
      ],
      ...['--cpus', '0.2', '--mem', '256', '--disk', '1024', '--quota-backend-bytes', '100MiB'],
    ],
  });
}

describe.skipIf(lacks('etcd'))('placement constraints', () => {
  test('spread members over racks, and the record remembers the racks', async () => {
    await start('rack:GROUP_BY:3');
    await until('a healthy cluster', 60_000, async () => (await scheduler.view()).health.state === 'healthy');
    const { seats } = readRecord(stateOf(join(directory, 'scheduler')));
    expect(seats.map(({ attributes }) => attributes['rack']).sort()).toEqual(['r1', 'r2', 'r3']);
    expect((await scheduler.view()).warnings.map(({ code }) => code)).toEqual(['no-archive']);
  });

  test('leave a member without a place where none fits, and it is told why', async () => {
    await start('[["rack","LIKE","r1"]]');
    await until('two members that serve', 60_000, async () => {
      const { members } = await scheduler.view();
      return members.filter(({ healthy }) => healthy).length === 2;
    });
    const view = await scheduler.view();
    expect(view.members.map(({ hostname }) => hostname)).toEqual(
      expect.arrayContaining(['a.example', 'b.example', null]),
    );
    expect(view.warnings).toEqual([
      {
        code: 'zone-holds-majority',
        message: 'zone z1 holds 2 of 3 members: with it their majority is lost',
      },
      { code: 'no-archive', message: expect.stringContaining('--archive') },
    ]);
    const url = scheduler.apiUrl() ?? '';
    const told = await runCli(['debug', 'offers', '--scheduler', url]);
    expect(told.stdout).toMatch(/^etcd-\d: \d+ offers looked at .*none fits/m);
    expect(told.stdout).toContain('rack LIKE r1: a rack that matches r1 is needed, this is r2');
    expect(told.stdout).toContain(
      'hostname UNIQUE: a host without a member is needed, this is a.example with etcd-',
    );
    const json = debugOffersSchema.parse(
      JSON.parse((await runCli(['debug', 'offers', '--json', '--scheduler', url])).stdout),
    );
    expect(json.summary.at(-1)?.failed.map(({ requirement }) => requirement)).toEqual(
      expect.arrayContaining(['rack LIKE r1', 'hostname UNIQUE']),
    );
    const metrics = await (await fetch(`${url}/v1/metrics/prometheus`)).text();
    expect(metrics).toMatch(/etcd_mesos_offers_rejected_total\{requirement="rack LIKE r1"\} \d+/);
    expect(metrics).toContain('etcd_mesos_warnings{code="zone-holds-majority"} 1');
  });
});
