import { accessSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'vitest';
import { ZOOKEEPER_JAR } from './zookeeper-server.ts';

/** Skips the test, and says why, on a machine where one of these programs is not in PATH. */
export function skipWithout(context: TestContext, ...programs: readonly string[]): void {
  if (!lacks(...programs)) return;
  context.skip('a program that it needs is missing');
}

/** Whether one of these programs is not in PATH; says which. */
export function lacks(...programs: readonly string[]): boolean {
  const missing = programs.filter((program) => whereIs(program) === null);
  if (missing.length > 0) console.log(`tests are skipped: not in PATH: ${missing.join(', ')}`);
  return missing.length > 0;
}

/** Whether there is no ZooKeeper to start here (Debian's packages zookeeper and a Java); says so. */
export function lacksZooKeeper(): boolean {
  if (lacks('java')) return true;
  if (existsSync(ZOOKEEPER_JAR)) return false;
  console.log(`tests are skipped: no ZooKeeper: ${ZOOKEEPER_JAR} is not there`);
  return true;
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

/** Skips the test, and says why, where this process may not do what it needs. */
export function skipUnless(context: TestContext, isPossible: boolean, what: string): void {
  if (isPossible) return;
  console.log(`tests are skipped: not possible here: ${what}`);
  context.skip(`not possible here: ${what}`);
}
