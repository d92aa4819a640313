import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { ArchiverLimits } from '../../src/backup/archiver.ts';

/** An archiver in a process of its own, which can be killed. */
export interface Archiving {
  readonly child: ChildProcess;
  readonly lines: string[];
  readonly closed: Promise<unknown>;
  /** What it has said to be durable. */
  durable(): bigint;
}

export function startArchiving(
  directory: string,
  url: string,
  generation: number,
  limits: Partial<ArchiverLimits> = {},
): Archiving {
  const program = join(import.meta.dirname, 'archive-writer.ts');
  const child = spawn(process.execPath, [program, directory, url, `${generation}`, JSON.stringify(limits)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  return {
    child,
    lines,
    closed: new Promise((resolve) => child.once('close', resolve)),
    durable: () => BigInt(lines.findLast((line) => /^\d+$/.test(line)) ?? 0),
  };
}
