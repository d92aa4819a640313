import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import {
  ProcessError,
  type ProcessExit,
  type Processes,
  type ProcessSpec,
  type RunningProcess,
} from '../base/ports.ts';

/** What of a line is told: etcd's own lines are far shorter, a crash may dump more. */
const LINE_CHARACTERS_MAX = 64 * 1024;

/**
 * Processes of this machine. Each is our direct child in our process group, so a signal to the whole task
 * reaches it too; it inherits nothing but what its spec names.
 */
export function createProcesses(): Processes {
  return {
    start: (spec) =>
      new Promise((resolve, reject) => {
        const child = spawn(spec.command, [...spec.args], {
          cwd: spec.cwd,
          env: { ...spec.env },
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        const fail = (cause: NodeJS.ErrnoException) => reject(startError(spec, cause));
        child.once('error', fail);
        child.once('spawn', () => {
          child.off('error', fail);
          resolve(running(child, spec));
        });
      }),
  };
}

function running(child: ChildProcess, spec: ProcessSpec): RunningProcess {
  // A signal to a process that is just gone fails with an event that must have a listener.
  child.on('error', () => {});
  tellLines(child.stdout, (line) => spec.onLine?.(line, 'stdout'));
  tellLines(child.stderr, (line) => spec.onLine?.(line, 'stderr'));
  const exit = new Promise<ProcessExit>((resolve) => {
    let ended: ProcessExit | null = null;
    child.once('exit', (code, signal) => {
      ended = { code, signal };
      // `close` waits for every holder of the pipes; a grandchild that keeps them open must not hide the end.
      setTimeout(() => resolve({ code, signal }), LAST_LINES_MS).unref();
    });
    child.once('close', (code, signal) => resolve(ended ?? { code, signal }));
  });
  return {
    pid: child.pid ?? 0,
    exit,
    signal: (signal) => void child.kill(signal),
  };
}

/** How long the last lines of an ended process are waited for. */
const LAST_LINES_MS = 500;

function tellLines(stream: Readable | null, tell: (line: string) => void): void {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  stream?.on('data', (chunk: Buffer) => {
    const parts = (rest + decoder.write(chunk)).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) tell(line.slice(0, LINE_CHARACTERS_MAX));
    // The rest of an endless line is dropped as it comes: memory stays bounded.
    if (rest.length > LINE_CHARACTERS_MAX) rest = rest.slice(0, LINE_CHARACTERS_MAX);
  });
  stream?.on('end', () => {
    if (rest !== '') tell(rest);
    rest = '';
  });
  stream?.on('error', () => {});
}

function startError(spec: ProcessSpec, cause: NodeJS.ErrnoException): ProcessError {
  if (cause.code === 'ENOENT') {
    // Node reports a missing working directory with the same code.
    return new ProcessError('not-found', `${spec.command} was not found (started in ${spec.cwd})`, { cause });
  }
  if (cause.code === 'EACCES') {
    return new ProcessError('not-executable', `${spec.command} may not be executed`, { cause });
  }
  return new ProcessError('start-failed', `${spec.command} could not be started: ${cause.message}`, {
    cause,
  });
}
