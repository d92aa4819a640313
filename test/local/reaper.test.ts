import { type ChildProcess, spawn } from 'node:child_process';
import { afterEach, expect, test } from 'vitest';
import { identify, isAlive, type ProcessIdentity } from '../../src/local/process-table.ts';
import { createSystemIds } from '../../src/runtime/ids.ts';
import { clock, ENTRY, until } from './container-world.ts';

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

function run(command: string, args: readonly string[], variables: Record<string, string>): ChildProcess {
  const child = spawn(command, args, {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    env: { PATH: process.env['PATH'], ...variables },
  });
  started.push(child);
  return child;
}
const identityOf = (child: ChildProcess): ProcessIdentity => {
  const identity = identify(child.pid ?? 0);
  if (identity === null) throw new Error('it is not there');
  return identity;
};

test('when the owner is gone all that carries its mark ends, paused or not, and nothing else', async () => {
  const mark = createSystemIds().uuid();
  const reaper = run(process.execPath, [ENTRY, 'local', 'reaper', '--cluster', mark], {});
  const marked = { ETCD_MESOS_LOCAL_CLUSTER: mark };
  const ours = [run('sleep', ['600'], marked), run('sh', ['-c', 'trap "" TERM; sleep 600; true'], marked)];
  const other = identityOf(run('sleep', ['600'], { ETCD_MESOS_LOCAL_CLUSTER: createSystemIds().uuid() }));
  ours[0]?.kill('SIGSTOP');
  const identities = ours.map(identityOf);
  // A reaper that had misread its orders would end before its owner does.
  await clock.sleep(200);
  expect(isAlive(identityOf(reaper)) && identities.every(isAlive)).toBe(true);
  reaper.stdin?.end();
  await until('the end of all', () => !identities.some(isAlive));
  await until('the end of the reaper', () => reaper.exitCode === 0);
  expect(isAlive(other)).toBe(true);
});
