import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export const PROGRAM = join(import.meta.dirname, '../dist/etcd-mesos.js');

/** The built scheduler as a child of the benchmark, on loopback, with its state below `directory`. */
export function startScheduler(
  master: string,
  directory: string,
  port: number,
  more: readonly string[],
): ChildProcess {
  const args = [
    'scheduler',
    `--master=${master}`,
    `--state-dir=${join(directory, 'state')}`,
    `--port=${port}`,
    '--listen=127.0.0.1',
    '--artifact=checkout',
    ...more,
  ];
  return spawn(process.execPath, [PROGRAM, ...args], { stdio: 'ignore' });
}

/** Ends it by SIGTERM, where it still runs, and waits for that. */
export async function stop(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}
