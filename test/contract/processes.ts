import { expect, test } from 'vitest';
import type { Processes, ProcessSpec } from '../../src/base/ports.ts';

/** Commands that an implementation under test knows, as specs without `onLine`. */
export interface ProcessesFixture {
  readonly processes: Processes;
  /** Writes `out` to stdout and `err` to stderr and ends with code 3. */
  readonly speak: ProcessSpec;
  /** Runs until a signal ends it. */
  readonly wait: ProcessSpec;
  /** Takes no notice of SIGTERM. */
  readonly stubborn: ProcessSpec;
  /** Writes the line `x` 100,000 times over, without an end, then ends with code 0. */
  readonly longLine: ProcessSpec;
  /** Lets time pass until the promise is settled. */
  settle<T>(promise: Promise<T>): Promise<T>;
}

/** What every implementation of {@link Processes} keeps. */
export function processesContract(create: () => ProcessesFixture): void {
  test('lines and the exit code are told, the lines first', async () => {
    const { processes, speak, settle } = create();
    const lines: string[] = [];
    const spec = { ...speak, onLine: (line: string, stream: string) => lines.push(`${stream}: ${line}`) };
    const process = await settle(processes.start(spec));
    expect(process.pid).toBeGreaterThan(1);
    expect(await settle(process.exit)).toEqual({ code: 3, signal: null });
    expect(lines.toSorted()).toEqual(['stderr: err', 'stdout: out']);
  });

  test('a signal ends it and is told, and has no effect afterwards', async () => {
    const { processes, wait, settle } = create();
    const process = await settle(processes.start(wait));
    process.signal('SIGTERM');
    expect(await settle(process.exit)).toEqual({ code: null, signal: 'SIGTERM' });
    process.signal('SIGKILL');
    expect(await settle(process.exit)).toEqual({ code: null, signal: 'SIGTERM' });
  });

  test('what ignores SIGTERM ends by SIGKILL', async () => {
    const { processes, stubborn, settle } = create();
    const ready = Promise.withResolvers<void>();
    const process = await settle(processes.start({ ...stubborn, onLine: () => ready.resolve() }));
    await settle(ready.promise);
    process.signal('SIGTERM');
    process.signal('SIGKILL');
    expect(await settle(process.exit)).toEqual({ code: null, signal: 'SIGKILL' });
  });

  test('a program that is not there is a typed error', async () => {
    const { processes, speak, settle } = create();
    const start = processes.start({ ...speak, command: '/nowhere/to-be-found' });
    await expect(settle(start)).rejects.toMatchObject({ code: 'not-found' });
  });

  test('a line without end is cut at 64 KiB', async () => {
    const { processes, longLine, settle } = create();
    const lines: string[] = [];
    const process = await settle(processes.start({ ...longLine, onLine: (line) => lines.push(line) }));
    expect(await settle(process.exit)).toEqual({ code: 0, signal: null });
    expect(lines.map((line) => line.length)).toEqual([64 * 1024]);
  });
}
