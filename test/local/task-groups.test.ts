import { existsSync, mkdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ContainerSpec, GroupSpec } from '../../src/local/container-runtime.ts';
import { identify, isAlive } from '../../src/local/process-table.ts';
import { createContainerWorld, shell, until } from './container-world.ts';

let world: ReturnType<typeof createContainerWorld>;
beforeEach(() => {
  world = createContainerWorld();
});
afterEach(() => world.end());

function group(tasks: Readonly<Record<string, string>>, rest: Partial<ContainerSpec> = {}): GroupSpec {
  const specs = Object.entries(tasks).map(([name, command]) => shell(`pod.${name}`, command, rest));
  return { containerId: 'pod', executorId: 'executor', volumes: [], tasks: specs };
}

const sandbox = (task: string, file: string) =>
  join(world.directory, 'sandboxes', 'executor', 'pod', 'containers', task, file);

test('a task that fails takes its group along and no other; the executor ends with the last', async () => {
  const { runtime, first, kinds } = world.start();
  runtime.launchGroup(group({ a: 'exec sleep 600', b: 'exec sleep 600' }));
  await first('pod.a', 'running');
  await first('pod.b', 'running');
  runtime.launchGroup(group({ c: 'exit 5', d: 'exec sleep 600' }));
  expect(await first('pod.c', 'exited')).toMatchObject({ code: 5, killed: false });
  expect(await first('pod.d', 'exited')).toMatchObject({ signal: 'SIGTERM', killed: true });
  expect(kinds('pod.a')).toEqual(['starting', 'running']);
  expect(kinds('pod')).toEqual([]);
  runtime.kill('pod.a', 1000);
  expect(await first('pod.a', 'exited')).toMatchObject({ killed: true });
  expect(await first('pod.b', 'exited')).toMatchObject({ killed: true });
  expect(await first('pod', 'executor-ended')).toMatchObject({ status: 0 });
  expect(runtime.taken()).toEqual({});
});

test('a task that finishes leaves its group running', async () => {
  const { runtime, first, kinds } = world.start();
  runtime.launchGroup(group({ a: 'exit 0', b: 'exec sleep 600' }));
  await first('pod.a', 'exited');
  await first('pod.b', 'running');
  runtime.kill('pod.b', 1000);
  await first('pod', 'executor-ended');
  expect(kinds('pod.b')).toEqual(['starting', 'running', 'killing', 'exited']);
});

test('a task is told of by its own process', async () => {
  const { runtime, first } = world.start();
  runtime.launchGroup(group({ a: 'echo $$ > pid; exec sleep 600' }));
  expect(await first('pod.a', 'starting')).toMatchObject({ executorPid: null });
  const { executorPid } = await first('pod.a', 'running');
  await until('its pid', () => existsSync(sandbox('a', 'pid')) && readFileSync(sandbox('a', 'pid'), 'utf8'));
  expect(Number(readFileSync(sandbox('a', 'pid'), 'utf8'))).toBe(executorPid);
});

test('a volume is in the executor’s sandbox, and in the task’s where that is asked for', async () => {
  const { runtime, first } = world.start();
  const hostPath = join(world.directory, 'volume');
  mkdirSync(hostPath);
  const volumes = [{ containerPath: 'data', hostPath }];
  const parentPaths = [{ containerPath: 'data', parentPath: 'data' }];
  runtime.launchGroup({ ...group({ a: 'touch data/x' }, { parentPaths }), volumes });
  expect(await first('pod.a', 'exited')).toMatchObject({ code: 0 });
  expect(existsSync(join(hostPath, 'x'))).toBe(true);
  expect(readlinkSync(sandbox('a', 'data'))).toBe(
    join(world.directory, 'sandboxes', 'executor', 'pod', 'data'),
  );
  await first('pod', 'executor-ended');
  const without = world.start();
  without.runtime.launchGroup({
    containerId: 'pod2',
    executorId: 'executor',
    volumes,
    tasks: [shell('pod2.a', 'touch data/x')],
  });
  expect(await without.first('pod2.a', 'exited')).toMatchObject({ code: 1 });
});

test('an executor that is killed takes its tasks along, and is told of last', async () => {
  const { runtime, first, events } = world.start();
  runtime.launchGroup(group({ a: 'exec sleep 600' }));
  const { executorPid } = await first('pod.a', 'running');
  const task = identify(executorPid);
  const executor = JSON.parse(
    readFileSync(join(world.directory, 'containers', 'pod', 'executor.json'), 'utf8'),
  ) as { pid: number };
  process.kill(executor.pid, 'SIGKILL');
  expect(await first('pod', 'executor-ended')).toMatchObject({ status: 9 });
  await until('the task is gone', () => task !== null && !isAlive(task));
  expect(events.at(-1)?.containerId).toBe('pod');
});

test('the next agent finds the executor and goes on with its tasks', async () => {
  const before = world.start();
  before.runtime.launchGroup(group({ a: 'exec sleep 600' }));
  await before.first('pod.a', 'running');
  const taken = before.runtime.taken();
  before.runtime.close();
  const after = world.start();
  after.runtime.recover([{ containerId: 'pod', taken: taken['pod'] ?? 0, shared: true }]);
  after.runtime.launchGroup(group({ b: 'exec sleep 600' }));
  await after.first('pod.b', 'running');
  after.runtime.kill('pod.a', 1000);
  after.runtime.kill('pod.b', 1000);
  await after.first('pod', 'executor-ended');
  expect(after.kinds('pod.a')).toEqual(['killing', 'exited']);
});

test('a group that cannot be fetched comes to nothing, and so does an executor that has no other', async () => {
  const { runtime, first, kinds } = world.start();
  const command = { value: 'true', uris: [{ value: '/no/such/file' }] };
  runtime.launchGroup(group({ a: '', b: '' }, { command }));
  await first('pod', 'executor-ended');
  expect([kinds('pod.a'), kinds('pod.b')]).toEqual([['fetch-failed'], ['fetch-failed']]);
});

test('a group that is killed before it runs comes to nothing; so does one that is destroyed', async () => {
  const { runtime, first, kinds } = world.start();
  runtime.launchGroup(group({ a: 'exec sleep 600', b: 'exec sleep 600' }));
  runtime.kill('pod.b', 0);
  await first('pod', 'executor-ended');
  expect([kinds('pod.a'), kinds('pod.b')]).toEqual([['exited'], ['exited']]);
  runtime.launchGroup({
    containerId: 'pod2',
    executorId: 'executor',
    volumes: [],
    tasks: [shell('pod2.c', 'exec sleep 600')],
  });
  await first('pod2.c', 'running');
  runtime.destroy('pod2');
  await first('pod2', 'executor-ended');
});
