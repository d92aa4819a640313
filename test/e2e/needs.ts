import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'vitest';

/** Skips the test, and says why, on a machine where one of these programs is not in PATH. */
export function skipWithout(context: TestContext, ...programs: readonly string[]): void {
  const missing = programs.filter((program) => whereIs(program) === null);
  if (missing.length > 0) context.skip(`not in PATH of this machine: ${missing.join(', ')}`);
}

/** Where PATH has the program; `null` where it does not. */
export function whereIs(program: string): string | null {
  const folders = (process.env['PATH'] ?? '').split(':');
  return folders.map((folder) => join(folder, program)).find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
