import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LocalCheckReport } from '../../src/runtime/local-check.ts';
import { createSchedulerClient } from '../../src/runtime/scheduler-client.ts';
import { runCli } from '../cli/run-cli.ts';
import { skipWithout } from '../needs.ts';
import { processesIn } from './processes.ts';

const run = promisify(execFile);
const ROOT = path.resolve(import.meta.dirname, '../..');
const SOURCE = path.join(ROOT, 'src/cli/main.ts');
const BUILT = path.join(ROOT, 'dist/etcd-mesos.js');
/** Milliseconds for a cluster to be whole, and for everything to end. */
const WHOLE_MS_MAX = 60_000;
const END_MS_MAX = 30_000;

/** For the whole of a check, its start and its end included. */
const CHECK_MS_MAX = 150_000;

interface Trial {
  readonly child: ChildProcess;
  output(): string;
  stdout(): string;
}

let directory = '';
let trials: Trial[] = [];
beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'setpriv');
  directory = await mkdtemp(path.join(tmpdir(), 'etcd-mesos-e2e-'));
  trials = [];
});
afterEach(async () => {
  for (const { child } of trials) await end(child);
  await rm(directory, { recursive: true, force: true });
});

const up = (...args: readonly string[]): Trial => upFrom(SOURCE, ...args);

function upFrom(entry: string, ...args: readonly string[]): Trial {
  const child = spawn(process.execPath, [entry, 'local', 'up', '--dir', directory, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CLUSTER_SIZE: '5', ZK_PERSIST: 'zk://nowhere/etcd' },
  });
  let output = '';
  let stdout = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (stream === child.stdout) stdout += chunk.toString();
    });
  }
  const trial = { child, output: () => output, stdout: () => stdout };
  trials.push(trial);
  return trial;
}

async function end(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = once(child, 'exit', { signal: AbortSignal.timeout(END_MS_MAX) });
  child.kill('SIGINT');
  await ended;
  return child.exitCode;
}

async function waitFor(what: string, trial: Trial, seen: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + WHOLE_MS_MAX;
  while (!(await seen())) {
    if (performance.now() > endMs || trial.child.exitCode !== null) {
      throw new Error(`${what} did not come:\n${trial.output()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const clientUrls = (text: string): string[] =>
  (/3 healthy members at (\S+)/.exec(text)?.[1] ?? '').split(',').filter(Boolean);
const apiUrl = (text: string): string => /status --scheduler (\S+)/.exec(text)?.[1] ?? '';

describe('etcd-mesos local up', () => {
  test('--check breaks what was built in four ways, reports each, and leaves nothing running', async () => {
    await run(process.execPath, [path.join(ROOT, 'scripts/build.ts')]);
    const trial = upFrom(BUILT, '--check', '--json');
    await once(trial.child, 'close', { signal: AbortSignal.timeout(CHECK_MS_MAX) });
    expect(trial.child.exitCode, trial.output()).toBe(0);
    const report = JSON.parse(trial.stdout()) as LocalCheckReport;
    expect(report).toMatchObject({ ok: true, missingWrites: [] });
    expect(report.acknowledgedWrites).toBeGreaterThan(100);
    expect(report.steps.map(({ name, problems }) => [name, problems])).toEqual([
      ['etcd killed', []],
      ['supervisor killed', []],
      ['host lost', []],
      ['agent out of sight, then back', []],
    ]);
    for (const { wholeAfterMs } of report.steps) expect(wholeAfterMs).toBeGreaterThan(0);
    expect(processesIn(directory)).toEqual([]);
  });

  test('brings three healthy members, shows them, survives the scheduler, and leaves nothing running', async (context) => {
    skipWithout(context, 'etcdctl');
    const trial = up();
    await waitFor('the cluster', trial, () => clientUrls(trial.output()).length === 3);
    const [first = '', , third = ''] = clientUrls(trial.output());
    await run('etcdctl', [`--endpoints=${first}`, 'put', 'greeting', 'hello'], { env: etcdctlEnvironment() });
    const read = await run('etcdctl', [`--endpoints=${third}`, 'get', 'greeting'], {
      env: etcdctlEnvironment(),
    });
    expect(read.stdout).toBe('greeting\nhello\n');

    const api = apiUrl(trial.output());
    const status = await runCli(['status', '--scheduler', api]);
    expect([status.code, status.stdout]).toEqual([0, expect.stringContaining('3 of 3 voters healthy')]);
    const endpoints = await runCli(['endpoints', 'etcd-servers', '--scheduler', api]);
    expect(endpoints.stdout.trim().split(',').sort()).toEqual(clientUrls(trial.output()).sort());

    const before = await createSchedulerClient(api).view();
    process.kill(schedulerPid(), 'SIGKILL');
    await waitFor('the next scheduler', trial, async () => {
      const view = await createSchedulerClient(api)
        .view()
        .catch(() => null);
      return (
        view !== null &&
        view.framework.generation > before.framework.generation &&
        view.health.state === 'healthy'
      );
    });
    const after = await createSchedulerClient(api).view();
    const identities = (view: typeof before) =>
      view.members.map(({ slot, task, memberId }) => [slot, task, memberId]);
    expect(identities(after)).toEqual(identities(before));

    expect(await end(trial.child)).toBe(0);
    expect(processesIn(directory)).toEqual([]);
    expect(existsSync(path.join(directory, 'scheduler.log'))).toBe(true);
  });

  test('says which resource no agent has, and how much of it is missing', async () => {
    const trial = up('--', '--mem', '64GiB');
    await waitFor(
      'the scheduler',
      trial,
      () => existsSync(path.join(directory, 'scheduler.log')) && apiPort() !== null,
    );
    const api = `http://127.0.0.1:${apiPort()}`;
    await waitFor('the reason', trial, async () => {
      const { stdout } = await runCli(['status', '--scheduler', api]);
      return /memory: 65568 MB needed, at most 1024 MB on agent-\d, 64544 MB missing/.test(stdout);
    });
    expect(await end(trial.child)).toBe(0);
    expect(processesIn(directory)).toEqual([]);
  });

  test('tells in one message why the scheduler ended', async () => {
    const trial = up('--', '--heartbeat-interval', '9s');
    await once(trial.child, 'exit', { signal: AbortSignal.timeout(END_MS_MAX) });
    expect(trial.child.exitCode).toBe(1);
    expect(trial.output()).toContain('--heartbeat-interval is "9s"');
    expect(processesIn(directory)).toEqual([]);
  });
});

function etcdctlEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, ETCDCTL_API: '3' };
}

const logLines = (): Record<string, unknown>[] =>
  readFileSync(path.join(directory, 'scheduler.log'), 'utf8')
    .split('\n')
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

function schedulerPid(): number {
  return Number(logLines().findLast((line) => line['event'] === 'scheduler starts')?.['pid']);
}

function apiPort(): number | null {
  const port = logLines().findLast((line) => line['event'] === 'api listens')?.['port'];
  return typeof port === 'number' ? port : null;
}
