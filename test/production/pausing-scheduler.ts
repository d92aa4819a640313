import { openSync, writeSync } from 'node:fs';
import { CodedError, describeError } from '../../src/base/errors.ts';
import type { SchedulerPorts } from '../../src/framework/scheduler.ts';
import { exitCodeOf } from '../../src/runtime/exit-code.ts';
import { runScheduler } from '../../src/runtime/scheduler-role.ts';
import { watchPorts } from '../e2e/watched-ports.ts';

/*
 * The real scheduler, which stops itself (SIGSTOP) right before the first of certain actions, when it has decided and
 * stored all that goes before, and goes on with it when it is woken (SIGCONT):
 *
 *     node pausing-scheduler.ts <journal> <points> [OPTIONS OF THE SCHEDULER]
 *
 * <points> is a JSON array of kinds, as "order member-remove", or "archive append 100": before the hundredth time that
 * something is added to the log of a directory archive. <journal> gets lines as in `JournalEntry`.
 */

/** `paused`: it has stopped, and whatever follows was done after it was woken. */
export interface JournalEntry {
  readonly moment: 'before' | 'after' | 'refused' | 'paused';
  readonly kinds: readonly string[];
  readonly why?: string;
}

const ORDER_MS_MAX = 20_000;
const [journalPath = '', pointsText = '[]', ...argv] = process.argv.slice(2);
const points = new Set(JSON.parse(pointsText) as readonly string[]);
const journal = openSync(journalPath, 'a');

// Whoever started it holds the other end: it does not outlive its test.
process.stdin.on('end', () => process.exit(1)).resume();

const note = (entry: JournalEntry): void => {
  if (entry.kinds.length > 0) writeSync(journal, `${JSON.stringify(entry)}\n`);
};
const watcher = {
  before: (kinds: readonly string[]) => {
    const reached = kinds.filter((kind) => points.has(kind));
    if (reached.length > 0) {
      for (const kind of reached) points.delete(kind);
      note({ moment: 'paused', kinds });
      process.kill(process.pid, 'SIGSTOP');
    }
    note({ moment: 'before', kinds });
  },
  after: (kinds: readonly string[]) => note({ moment: 'after', kinds }),
  refused: (kinds: readonly string[], why: string) => note({ moment: 'refused', kinds, why }),
};

try {
  const wrapPorts = (ports: SchedulerPorts) =>
    watchPorts(withCountedAppends(withOrdersOnTheirWay(ports)), watcher);
  await runScheduler({ argv, environment: {}, wrapPorts });
} catch (error) {
  console.error(describeError(error), error instanceof CodedError ? error.hint : '');
  process.exitCode = exitCodeOf(error);
} finally {
  process.stdin.destroy();
}

/** An order that was begun reaches its supervisor: the worst case, as if it had left before the pause. */
function withOrdersOnTheirWay(ports: SchedulerPorts): SchedulerPorts {
  const { members } = ports;
  const order: typeof members.order = async (url, signed) =>
    await members.order(url, signed, AbortSignal.timeout(ORDER_MS_MAX));
  return { ...ports, members: { status: (...asked) => members.status(...asked), order } };
}

/** What it adds to its archive is noted only where it is to be paused before that. */
function withCountedAppends(ports: SchedulerPorts): SchedulerPorts {
  const { archive } = ports;
  if (archive === null) return ports;
  const wanted = new Set(points);
  let count = 0;
  const open: typeof archive.open = async (signal) => {
    const store = await archive.open(signal);
    const { growing } = store;
    if (growing === null) return store;
    const create: typeof growing.create = async (key, first, within) => {
      const { append, close } = await growing.create(key, first, within);
      return {
        close,
        append: async (bytes) => {
          count += 1;
          const kinds = [`archive append ${count}`].filter((kind) => wanted.has(kind));
          if (kinds.length > 0) watcher.before(kinds);
          await append(bytes);
          note({ moment: 'after', kinds });
        },
      };
    };
    return { ...store, growing: { create } };
  };
  return { ...ports, archive: { ...archive, open } };
}
