import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runCheck } from '../../src/local/health-check.ts';
import { createProbe } from '../../src/local/probes.ts';
import type { CheckInfo, CheckStatusInfo, HealthCheck } from '../../src/mesos/wire.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import { clock, createContainerWorld, shell, until } from './container-world.ts';

let world: ReturnType<typeof createContainerWorld>;
beforeEach(() => {
  world = createContainerWorld();
});
afterEach(() => world.end());

const never = new AbortController().signal;
const PATH = process.env['PATH'] ?? '';
const probe = (check: HealthCheck | CheckInfo, environment: Record<string, string> = { PATH }) =>
  createProbe(check, { clock, sandbox: world.directory, environment })(5000, never);

async function listening(server: ReturnType<typeof createTcpServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

describe('a probe', () => {
  test('by HTTP tells the status that curl saw, and fails without curl or an answer', async () => {
    const server = createServer((request, response) => {
      response.statusCode = request.url === '/health' ? 204 : 503;
      response.end();
    });
    const port = await listening(server);
    expect(await probe({ type: 'HTTP', http: { port, path: '/health' } })).toEqual({
      type: 'HTTP',
      http: { status_code: 204 },
    });
    expect(await probe({ type: 'HTTP', http: { port } })).toEqual({
      type: 'HTTP',
      http: { status_code: 503 },
    });
    const empty = join(world.directory, 'no-programs');
    mkdirSync(empty);
    expect(await probe({ type: 'HTTP', http: { port } }, { PATH: empty })).toBeNull();
    await new Promise((resolve) => server.close(resolve));
    expect(await probe({ type: 'HTTP', http: { port } })).toBeNull();
  });

  test('by TCP tells whether something accepts', async () => {
    const server = createTcpServer();
    const port = await listening(server);
    expect(await probe({ type: 'TCP', tcp: { port } })).toEqual({ type: 'TCP', tcp: { succeeded: true } });
    await new Promise((resolve) => server.close(resolve));
    expect(await probe({ type: 'TCP', tcp: { port } })).toEqual({ type: 'TCP', tcp: { succeeded: false } });
  });

  test('by COMMAND runs in the sandbox with the task’s environment and its own', async () => {
    const command = {
      value: 'test "$TASK" = a && test "$OWN" = b && pwd > where && exit 3',
      environment: { variables: [{ name: 'OWN', value: 'b' }] },
    };
    expect(await probe({ type: 'COMMAND', command }, { PATH, TASK: 'a' })).toEqual({
      type: 'COMMAND',
      command: { exit_code: 3 },
    });
    expect(readFileSync(join(world.directory, 'where'), 'utf8')).toBe(`${world.directory}\n`);
    const missing: CheckInfo = { type: 'COMMAND', command: { command: { shell: false, value: './none' } } };
    expect(await probe(missing)).toBeNull();
  });

  test('that takes too long has failed, and what it runs is ended', async () => {
    const check: HealthCheck = { type: 'COMMAND', command: { value: 'echo $$ > pid; exec sleep 600' } };
    const task = { clock, sandbox: world.directory, environment: { PATH } };
    const running = createProbe(check, task)(1000, never);
    expect(await running).toBeNull();
    const pid = Number(readFileSync(join(world.directory, 'pid'), 'utf8'));
    await until('the command is gone', () => !existsSync(`/proc/${pid}`));
  });
});

test('a check is told when its outcome changes', async () => {
  const virtual = createVirtualClock();
  const told: CheckStatusInfo[] = [];
  const stop = new AbortController();
  const code = (exitCode: number): CheckStatusInfo => ({ type: 'COMMAND', command: { exit_code: exitCode } });
  const outcomes = [null, code(1), code(1), null, code(0), code(0)];
  void runCheck({
    check: { type: 'COMMAND', command: { command: {} }, delay_seconds: 1, interval_seconds: 1 },
    clock: virtual,
    signal: stop.signal,
    probe: async () => outcomes.shift() ?? null,
    onStatus: (status) => told.push(status),
  });
  await virtual.advance(6000);
  stop.abort();
  await virtual.settle();
  expect(told).toEqual([code(1), { type: 'COMMAND', command: {} }, code(0)]);
});

test('a task whose health check by COMMAND fails too often is killed', async () => {
  const { runtime, first, kinds } = world.start();
  const healthCheck: HealthCheck = {
    type: 'COMMAND',
    command: { value: 'test ! -e sick' },
    delay_seconds: 0,
    interval_seconds: 0.05,
    grace_period_seconds: 0,
    consecutive_failures: 2,
  };
  runtime.launch(
    shell('c1', 'while ! test -e go; do sleep 0.02; done; touch sick; exec sleep 600', { healthCheck }),
  );
  await first('c1', 'health');
  const sandbox = runtime.sandboxDirectory('task-c1', 'c1');
  mkdirSync(join(sandbox, 'go'));
  expect(await first('c1', 'killing')).toMatchObject({ becauseUnhealthy: true });
  await first('c1', 'exited');
  expect(kinds('c1')).toEqual(['starting', 'running', 'health', 'health', 'health', 'killing', 'exited']);
});
