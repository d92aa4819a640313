import { openSync, writeSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { runScheduler } from '../../src/runtime/scheduler-role.ts';
import { watchPorts } from './watched-ports.ts';

/*
 * The real scheduler, which kills itself around certain of its actions:
 *
 *     node crashing-scheduler.ts <journal> <points> [OPTIONS OF THE SCHEDULER]
 *
 * <points> is a JSON array of what it dies at, as "before call KILL" or "after save the phase go"; <journal> gets
 * a line for every action: {"point": …, "died": …}.
 */

const [journalPath = '', pointsText = '[]', ...argv] = process.argv.slice(2);
const points = new Set(JSON.parse(pointsText) as readonly string[]);
const journal = openSync(journalPath, 'a');

// One that is killed leaves nothing for the next: now, while it can.
flushCompileCache();

// Whoever started it holds the other end: it does not outlive its test.
process.stdin.on('end', () => process.exit(1)).resume();

const watcher = {
  before: (kinds: readonly string[]) => reach('before', kinds),
  after: (kinds: readonly string[]) => reach('after', kinds),
  refused: () => undefined,
};

try {
  await runScheduler({ argv, environment: {}, wrapPorts: (ports) => watchPorts(ports, watcher) });
} finally {
  process.stdin.destroy();
}

/** Dies if one of these is what it is to die at, at this moment. */
function reach(moment: 'before' | 'after', kinds: readonly string[]): void {
  const reached = kinds.map((kind) => `${moment} ${kind}`);
  const died = reached.some((point) => points.has(point));
  for (const point of reached) writeSync(journal, `${JSON.stringify({ point, died })}\n`);
  if (died) process.kill(process.pid, 'SIGKILL');
}
