import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identify, isAlive, readProcessTable } from '../../src/local/process-table.ts';
import { until } from '../local/container-world.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-owner-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Processes that were started for this directory: master and agents name it or log into it. */
function processesOf(path: string): number[] {
  return [...readProcessTable().keys()].filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(path);
    } catch {
      return false;
    }
  });
}

test('a cluster ends with its owner, even one that is killed while an agent is paused', async () => {
  const owner = spawn(process.execPath, [join(import.meta.dirname, 'cluster-owner.ts'), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [words] = (await Promise.race([once(owner.stdout, 'data'), once(owner, 'exit')])) as [Buffer];
  const { taskPid } = JSON.parse(words.toString()) as { taskPid: number };
  const task = identify(taskPid);
  const reapers = [...readProcessTable().values()].filter(({ parentPid }) => parentPid === owner.pid);
  expect(task !== null && isAlive(task)).toBe(true);
  expect(processesOf(directory).length).toBeGreaterThan(1);
  owner.kill('SIGKILL');
  await until('the end of all', () => processesOf(directory).length === 0 && task !== null && !isAlive(task));
  await until('the end of the reaper', () => !reapers.some(isAlive));
});
