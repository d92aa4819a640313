import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identify, isAlive, readProcessTable } from '../../src/local/process-table.ts';
import { clock, createContainerWorld, shell, until } from './container-world.ts';

let world: ReturnType<typeof createContainerWorld>;
beforeEach(() => {
  world = createContainerWorld();
});
afterEach(() => world.end());

const sandbox = (containerId: string, file: string) =>
  join(world.directory, 'sandboxes', `task-${containerId}`, containerId, file);
const read = (containerId: string, file: string) => readFileSync(sandbox(containerId, file), 'utf8');
/** The pid that a task wrote into a file of its sandbox, once it is whole. */
const pidIn = (containerId: string, file: string) =>
  until(`a pid in ${file}`, () => {
    const text = existsSync(sandbox(containerId, file)) ? read(containerId, file) : '';
    return text.endsWith('\n') ? Number(text) : null;
  });

test('a command runs in its sandbox and its exit code is told', async () => {
  const { runtime, first, kinds } = world.start();
  runtime.launch(
    shell('c1', 'pwd; echo "$MESOS_SANDBOX $MESOS_TASK_ID $OWN" >&2; exit 7', {
      command: {
        shell: true,
        value: 'pwd; echo "$MESOS_SANDBOX $MESOS_TASK_ID $OWN" >&2; exit 7',
        environment: { variables: [{ name: 'OWN', value: 'x y' }] },
      },
    }),
  );
  const exited = await first('c1', 'exited');
  expect(exited).toMatchObject({ code: 7, signal: null, killed: false });
  expect(kinds('c1')).toEqual(['starting', 'running', 'exited']);
  expect(read('c1', 'stdout')).toBe(`${sandbox('c1', '')}\n`);
  expect(read('c1', 'stderr')).toBe(`${sandbox('c1', '')} task-c1 x y\n`);
});

test('without a shell the arguments begin with argv[0]', async () => {
  const { runtime, first } = world.start();
  const command = { shell: false, value: '/bin/sh', arguments: ['other', '-c', 'echo "$0 $1"', 'a', 'b c'] };
  runtime.launch({ ...shell('c1', ''), command });
  expect(await first('c1', 'exited')).toMatchObject({ code: 0 });
  expect(read('c1', 'stdout')).toBe('a b c\n');
});

test('a program that is not there ends the task with status 1 and says why in stderr', async () => {
  const { runtime, first, kinds } = world.start();
  runtime.launch({ ...shell('c1', ''), command: { shell: false, value: './no-such-program' } });
  expect(await first('c1', 'exited')).toMatchObject({ code: 1, signal: null });
  expect(kinds('c1')).toEqual(['starting', 'running', 'exited']);
  expect(read('c1', 'stderr')).toContain('Failed to execute command');
});

test('volumes appear in the sandbox, and one that is not there fails the launch', async () => {
  const { runtime, first } = world.start();
  const volume = join(world.directory, 'volume');
  mkdirSync(volume);
  const volumes = [{ containerPath: 'deep/data', hostPath: volume }];
  runtime.launch(shell('c1', 'echo kept > deep/data/file', { volumes }));
  await first('c1', 'exited');
  expect(readFileSync(join(volume, 'file'), 'utf8')).toBe('kept\n');

  runtime.launch(shell('c2', 'true', { volumes: [{ containerPath: 'data', hostPath: `${volume}-not` }] }));
  expect((await first('c2', 'fetch-failed')).message).toMatch(/^Failed to launch container: the volume '/);
  runtime.launch(shell('c3', 'true', { volumes: [{ containerPath: '../data', hostPath: volume }] }));
  expect((await first('c3', 'fetch-failed')).message).toContain('leaves the sandbox');
});

test('what cannot be fetched fails the launch in the words of Mesos', async () => {
  const { runtime, first, kinds } = world.start();
  const command = { shell: true, value: 'true', uris: [{ value: join(world.directory, 'not-there') }] };
  runtime.launch({ ...shell('c1', ''), command });
  expect((await first('c1', 'fetch-failed')).message).toBe(
    "Failed to launch container: Failed to fetch all URIs for container 'c1': exited with status 1",
  );
  expect(kinds('c1')).toEqual(['fetch-failed']);
  expect(read('c1', 'stderr')).toContain('not-there');
});

test('a kill ends the whole tree: SIGTERM first, SIGKILL after the grace period', async () => {
  const { runtime, first, kinds } = world.start();
  // The grandchild has left the task's process group and session; both ignore SIGTERM.
  const stubborn =
    'trap "echo term >> terms" TERM; echo $$ > main; ' +
    'setsid sh -c \'trap "echo term >> terms" TERM; echo $$ > child; while :; do sleep 0.05; done\' & ' +
    'while :; do sleep 0.05; done';
  runtime.launch(shell('c1', stubborn));
  const identities = [identify(await pidIn('c1', 'main')), identify(await pidIn('c1', 'child'))];
  const askedMs = clock.monotonicMs();
  runtime.kill('c1', 400);
  await first('c1', 'killing');
  await until(
    'both saw SIGTERM',
    () => existsSync(sandbox('c1', 'terms')) && read('c1', 'terms') === 'term\nterm\n',
  );
  const exited = await first('c1', 'exited');
  expect(exited).toMatchObject({ code: null, signal: 'SIGKILL', killed: true });
  expect(exited.atMs - askedMs).toBeGreaterThanOrEqual(395);
  expect(kinds('c1')).toEqual(['starting', 'running', 'killing', 'exited']);
  await until('both are gone', () => identities.every((identity) => identity !== null && !isAlive(identity)));
});

test('children run on when the first process of a task is killed from outside', async () => {
  const { runtime, first } = world.start();
  runtime.launch(shell('c1', 'sleep 600 & echo $! > child; echo $$ > main; wait'));
  const child = identify(await pidIn('c1', 'child'));
  const main = await pidIn('c1', 'main');
  await first('c1', 'running');
  const killedMs = clock.monotonicMs();
  process.kill(main, 'SIGKILL');
  const exited = await first('c1', 'exited');
  expect(exited).toMatchObject({ code: null, signal: 'SIGKILL', killed: false });
  expect(exited.atMs - killedMs).toBeLessThan(5000);
  await until('the executor is gone', () => !existsSync(join(world.directory, 'containers', 'c1')));
  expect(child !== null && isAlive(child)).toBe(true);
});

test('a killed executor is noticed at once and its task runs on', async () => {
  const { runtime, first, kinds } = world.start();
  runtime.launch(shell('c1', 'echo $$ > main; exec sleep 600'));
  const main = identify(await pidIn('c1', 'main'));
  const { executorPid } = await first('c1', 'running');
  const killedMs = clock.monotonicMs();
  process.kill(executorPid, 'SIGKILL');
  const told = await first('c1', 'executor-terminated');
  expect(told.atMs - killedMs).toBeLessThan(5000);
  expect(kinds('c1')).toEqual(['starting', 'running', 'executor-terminated']);
  expect(main !== null && isAlive(main)).toBe(true);
});

test('an agent that comes back finds its tasks and is told what it missed, once and in order', async () => {
  const before = world.start();
  before.runtime.launch(shell('long', 'exec sleep 600'));
  before.runtime.launch(shell('short', 'while [ ! -e go ]; do sleep 0.02; done; exit 3'));
  before.runtime.launch(shell('orphaned', 'exec sleep 600'));
  const { executorPid } = await before.first('orphaned', 'running');
  await before.first('long', 'running');
  await before.first('short', 'running');
  const taken = before.runtime.taken();
  expect(taken).toEqual({ long: 2, short: 2, orphaned: 2 });
  before.runtime.close();

  writeFileSync(sandbox('short', 'go'), '');
  process.kill(executorPid, 'SIGKILL');
  await until('the short task is over', () =>
    readFileSync(join(world.directory, 'containers', 'short', 'journal'), 'utf8').includes('exited'),
  );
  const after = world.start();
  const known = Object.entries(taken).map(([containerId, count]) => ({ containerId, taken: count }));
  after.runtime.recover([...known, { containerId: 'never-started', taken: 0 }]);
  expect(await after.first('short', 'exited')).toMatchObject({ code: 3 });
  await after.first('orphaned', 'executor-terminated');
  await after.first('never-started', 'executor-terminated');
  after.runtime.kill('long', 5000);
  expect(await after.first('long', 'exited')).toMatchObject({ signal: 'SIGTERM', killed: true });
  expect(after.kinds('short')).toEqual(['exited']);
  expect(after.kinds('orphaned')).toEqual(['executor-terminated']);
  expect(after.kinds('long')).toEqual(['killing', 'exited']);
  expect(before.kinds('short')).toEqual(['starting', 'running']);
});

test('an agent that stored nothing is told everything again', async () => {
  const before = world.start();
  before.runtime.launch(shell('c1', 'exec sleep 600'));
  await before.first('c1', 'running');
  before.runtime.close();
  const after = world.start();
  after.runtime.recover([{ containerId: 'c1', taken: 1 }]);
  await after.first('c1', 'running');
  expect(after.kinds('c1')).toEqual(['running']);
});

test('destroy ends executor and task at once', async () => {
  const { runtime, first } = world.start();
  runtime.launch(shell('c1', 'trap "" TERM; echo $$ > main; while :; do sleep 0.05; done'));
  const main = identify(await pidIn('c1', 'main'));
  await first('c1', 'running');
  runtime.destroy('c1');
  await first('c1', 'executor-terminated');
  await until('the task is gone', () => main !== null && !isAlive(main));
});

test('an agent that dies takes the executor along that it kept ready, and no other', async () => {
  const { runtime, first } = world.start();
  runtime.launch(shell('c1', 'echo $$ > main; exec sleep 600'));
  const { executorPid } = await first('c1', 'running');
  const main = await pidIn('c1', 'main');
  runtime.close();
  await until('only the task and its executor are left', () => {
    const left = [...world.processes(readProcessTable())].sort((a, b) => a - b);
    return left.join() === [executorPid, main].sort((a, b) => a - b).join();
  });
});
