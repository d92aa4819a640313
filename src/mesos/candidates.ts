import { withDeadline } from '../base/deadline.ts';
import type { Clock } from '../base/ports.ts';
import { MesosError } from './errors.ts';
import type { MasterSource } from './master-source.ts';

/** Milliseconds that a source may take to say where the masters are. */
const SOURCE_DEADLINE_MS = 30_000;

/**
 * The masters to try: the one that led the last time, then, should that fail, those that the source names. A source
 * that knows who leads comes first, and the one that led the last time only where it knows of none.
 * @throws MesosError what the source says; `timeout` when it says nothing
 */
export async function* candidateMasters(
  clock: Clock,
  leader: string | null,
  masters: MasterSource,
  signal: AbortSignal,
): AsyncGenerator<string> {
  if (masters.changed !== undefined) {
    yield* leadingMasters(clock, leader, masters, signal);
    return;
  }
  if (leader !== null) yield leader;
  for (const base of await askSource(clock, masters, signal)) {
    if (base !== leader) yield base;
  }
}

async function* leadingMasters(
  clock: Clock,
  leader: string | null,
  masters: MasterSource,
  signal: AbortSignal,
): AsyncGenerator<string> {
  let bases: readonly string[];
  try {
    bases = await askSource(clock, masters, signal);
  } catch (error) {
    if (leader === null || signal.aborted) throw error;
    yield leader;
    throw error;
  }
  yield* bases;
  if (bases.length === 0 && leader !== null) yield leader;
}

/** One error for all tries that failed. */
export function noneOf(failed: readonly MesosError[]): MesosError {
  const [first] = failed;
  if (first === undefined) return new MesosError('no-master', 'no Mesos master is known at present');
  if (failed.length === 1) return first;
  const messages = [...new Set(failed.map((error) => error.message))];
  const code = failed.every((error) => error.code === first.code) ? first.code : 'no-master';
  const hint = failed.find((error) => error.hint !== undefined)?.hint;
  return new MesosError(code, messages.join('; '), {
    cause: first,
    ...(hint === undefined ? {} : { hint }),
  });
}

async function askSource(
  clock: Clock,
  masters: MasterSource,
  signal: AbortSignal,
): Promise<readonly string[]> {
  try {
    return await withDeadline(clock, SOURCE_DEADLINE_MS, signal, (inner) => masters.next(inner));
  } catch (error) {
    if (error instanceof MesosError) throw error;
    if (signal.aborted)
      throw new MesosError('aborted', 'looking for a master was given up', { cause: error });
    throw new MesosError('no-master', 'where the masters are could not be found out', { cause: error });
  }
}
