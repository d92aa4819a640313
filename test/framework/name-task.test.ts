import { spawn } from 'node:child_process';
import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ownershipOf } from '../../src/framework/labels.ts';
import { NAME_WATCH, nameTaskInfoOf } from '../../src/framework/name-task.ts';
import { taskInfoOf } from '../../src/framework/task-spec.ts';
import { until } from '../wait.ts';
import { CONFIG, seat } from './fixtures.ts';

const infoOf = (port = 31_001) => {
  const one = seat({ ports: { peer: 31_000, client: port, supervisor: 31_002 } });
  return nameTaskInfoOf({
    framework: CONFIG.framework,
    owner: ownershipOf(one, { framework: 'etcd', cluster: 'cluster-1', epoch: 1 }),
    seat: one,
    task: 'etcd-0-client__one',
    resources: [{ name: 'cpus', type: 'SCALAR', scalar: { value: 0.01 } }],
  });
};

describe('a name task', () => {
  it('is what was agreed', async () => {
    const json = JSON.stringify(infoOf(), null, 2);
    await expect(`${json}\n`).toMatchFileSnapshot('../data/golden/task-of-a-name.json');
  });

  it('alone tells of the client port, and it alone carries the VIP', () => {
    const member = taskInfoOf({
      framework: CONFIG.framework,
      artifact: CONFIG.artifact,
      owner: ownershipOf(seat(), { framework: 'etcd', cluster: 'cluster-1', epoch: 1 }),
      seat: seat(),
      schedulerKey: 'a2V5',
      killGraceMs: 10_000,
      resources: [],
    });
    expect(member.discovery?.ports?.ports.map(({ number }) => number)).toEqual([31_000]);
    expect(JSON.stringify(member)).not.toContain('VIP');
    expect(infoOf().discovery?.ports?.ports).toMatchObject([
      { number: 31_001, name: 'client', protocol: 'tcp', labels: { labels: [{ value: 'client:2379' }] } },
    ]);
  });
});

/** Its shell is run with shorter waits: what is tried is what it sees. */
describe('the command of a name task', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });
  const listen = async (host: string): Promise<{ server: Server; port: number }> => {
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(0, host, resolve);
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return { server, port: address.port };
  };
  const run = (port: number) => {
    const command = infoOf(port).command?.value?.replace('sleep 5', 'sleep 0.1') ?? '';
    // It tells of each command that it runs, so that its looks can be counted.
    const shell = spawn('/bin/sh', ['-xc', command], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    shell.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const ended = new Promise<void>((resolve) => shell.once('exit', () => resolve()));
    return { shell, ended, looks: () => said.split('+ grep').length - 1 };
  };

  it.each(['127.0.0.1', '0.0.0.0'])('lives as long as somebody listens at %s', async (host) => {
    const { server, port } = await listen(host);
    const { shell, ended, looks } = run(port);
    await until(
      'more looks than a closed port is given',
      10_000,
      () => looks() > NAME_WATCH.closedLooksMax + 2,
    );
    expect(shell.exitCode).toBeNull();
    server.close();
    await ended;
    expect(shell.exitCode).toBe(1);
  });

  it('ends at once when it is told to', async () => {
    const { port } = await listen('127.0.0.1');
    const { shell, ended } = run(port);
    shell.kill('SIGTERM');
    await ended;
    expect(shell.signalCode).toBe('SIGTERM');
  });
});
