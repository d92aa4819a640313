import { spawn } from 'node:child_process';
import path from 'node:path';

export interface CliResult {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

const ENTRY = path.resolve(import.meta.dirname, '../../src/cli/main.ts');

/** Milliseconds for a command that ends by itself. */
const ENDS_MS_MAX = 15_000;

/**
 * Runs the real command line as a child with an environment that holds nothing of this one but PATH.
 * @param once the signal it gets when that text is in its output, or when that has resolved.
 */
export async function runCli(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  once:
    | ({ readonly signal: NodeJS.Signals } & (
        | { readonly line: string }
        | { readonly when: Promise<unknown> }
      ))
    | null = null,
  endsMsMax = ENDS_MS_MAX,
): Promise<CliResult> {
  const child = spawn(process.execPath, [ENTRY, ...args], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: endsMsMax,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  let isSignalled = false;
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    if (once === null || !('line' in once) || isSignalled) return;
    if (stdout.includes(once.line)) isSignalled = child.kill(once.signal);
  });
  if (once !== null && 'when' in once) void once.when.then(() => child.kill(once.signal));
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}
