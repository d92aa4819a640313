import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ownershipOf } from '../../src/framework/labels.ts';
import { launchOf, TASK_VARIABLE, type TaskSpecInput, taskInfoOf } from '../../src/framework/task-spec.ts';
import { LAUNCH_VARIABLE, launchSchema } from '../../src/protocol/launch.ts';
import { launchOf1 } from '../protocol/protocol-1.ts';
import { CONFIG, seat } from './fixtures.ts';

const URI = {
  kind: 'uri',
  uri: 'http://10.0.0.9:8080/v1/artifact/etcd-mesos.tar.gz',
  sha256: 'a'.repeat(64),
} as const;

function input(changes: Partial<TaskSpecInput> = {}): TaskSpecInput {
  return {
    framework: CONFIG.framework,
    artifact: CONFIG.artifact,
    owner: ownershipOf(seat(), { framework: 'etcd', cluster: 'cluster-1', epoch: 1 }),
    seat: seat(),
    schedulerKey: 'a2V5',
    killGraceMs: 10_000,
    resources: [{ name: 'cpus', type: 'SCALAR', scalar: { value: 0.5 } }],
    ...changes,
  };
}

describe('a task', () => {
  it.each([
    ['from an archive', input({ artifact: URI })],
    ['from a checkout', input()],
  ])('%s is what was agreed', async (what, given) => {
    const json = JSON.stringify(taskInfoOf(given), null, 2);
    await expect(`${json}\n`).toMatchFileSnapshot(`../data/golden/task-${what.replaceAll(' ', '-')}.json`);
  });

  it('carries a launch that supervisors accept, and nothing in it is secret', () => {
    expect(launchSchema.parse(launchOf(input()))).toEqual(launchOf(input()));
    expect(launchOf1.parse(launchOf(input()))).toEqual(launchOf(input()));
    const variables = taskInfoOf(input()).command?.environment?.variables.map(({ name }) => name);
    expect(variables).toEqual([LAUNCH_VARIABLE, TASK_VARIABLE, 'GOMEMLIMIT']);
  });

  it('quotes what a shell would take apart', () => {
    const artifact = { kind: 'checkout', node: "/o'pt/my node", entry: '/x;y', etcdBinary: 'etcd' } as const;
    expect(taskInfoOf(input({ artifact })).command?.value).toBe(
      `exec '/o'\\''pt/my node' --max-old-space-size=64 '/x;y' run-member`,
    );
  });
});

describe('the command of an archive', () => {
  let sandbox = '';
  beforeEach(async () => {
    sandbox = await mkdtemp(join(tmpdir(), 'etcd-mesos-task-'));
  });
  afterEach(async () => {
    await rm(sandbox, { recursive: true });
  });
  const run = promisify(execFile);

  /** An archive as the fetcher leaves it, whose `node` prints its arguments. */
  async function fetched(): Promise<string> {
    const root = join(sandbox, 'etcd-mesos');
    await mkdir(join(root, 'bin'), { recursive: true });
    await writeFile(join(root, 'bin/node'), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
    await run('tar', ['-czf', 'etcd-mesos.tar.gz', 'etcd-mesos'], { cwd: sandbox });
    await rm(root, { recursive: true });
    const { stdout } = await run('sha256sum', ['etcd-mesos.tar.gz'], { cwd: sandbox });
    return stdout.slice(0, 64);
  }
  const commandFor = (sha256: string): string =>
    taskInfoOf(input({ artifact: { ...URI, sha256 } })).command?.value ?? '';

  it('unpacks and runs what has the checksum', async () => {
    const { stdout } = await run('sh', ['-c', commandFor(await fetched())], { cwd: sandbox });
    expect(stdout).toBe('--max-old-space-size=64 ./etcd-mesos/lib/etcd-mesos.js run-member\n');
  });

  it('runs nothing of what has another one', async () => {
    await fetched();
    const wrong = createHash('sha256').update('another').digest('hex');
    await expect(run('sh', ['-c', commandFor(wrong)], { cwd: sandbox })).rejects.toMatchObject({
      code: 9,
      stderr: expect.stringContaining('FAILED'),
    });
    await expect(run('ls', ['etcd-mesos'], { cwd: sandbox })).rejects.toThrow();
  });
});
