import { readFileSync } from 'node:fs';
import { link, readFile, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { StateStoreError } from '../base/ports.ts';
import { parseProcStat } from '../base/proc-stat.ts';
import { writeSynced } from '../member/durable-file.ts';

/**
 * Keeps a second scheduler out of a state directory. The lock is a file that names its holder; it is made whole
 * by link(2), which fails where one is. A holder on this host that does not run any more (no such process, or
 * another one under its number) has left it behind.
 */
export interface StateLock {
  release(): Promise<void>;
}

interface Holder {
  readonly pid: number;
  /** What the system says of when that process started: tells it from a later one of the same number. */
  readonly started: string;
  readonly host: string;
  /** Changes with every boot. */
  readonly boot: string;
}

/** A lock that was left behind is taken over at most so often: others may be doing the same. */
const TRIES_MAX = 5;

/** Rejects with a {@link StateStoreError} `unavailable` that names the holder. */
export async function takeStateLock(path: string): Promise<StateLock> {
  const mine: Holder = {
    pid: process.pid,
    started: startOf(process.pid) ?? '',
    host: hostname(),
    boot: bootId(),
  };
  const text = `${JSON.stringify(mine)}\n`;
  const draft = `${path}.${mine.pid}.${process.hrtime.bigint()}`;
  await writeSynced(draft, 'wx', text);
  try {
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      if (await linked(draft, path)) return { release: () => release(path, text) };
      const found = await readHolder(path);
      if (found === null) continue;
      if (!isLeftBehind(found, mine)) throw held(path, found);
      // Only what was read is removed: whoever takes over first has put its own in its place.
      await removeIf(path, found.text);
    }
    throw new StateStoreError('unavailable', `the lock ${path} changes hands all the time`, {
      hint: 'Several schedulers start on one state directory; let only one of them do so.',
    });
  } finally {
    await unlink(draft).catch(() => undefined);
  }
}

async function linked(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

interface FoundHolder {
  readonly text: string;
  readonly holder: Holder | null;
}

/** `null` where the lock is gone again. */
async function readHolder(path: string): Promise<FoundHolder | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    const { pid, started, host, boot } = JSON.parse(text) as Partial<Record<keyof Holder, unknown>>;
    if (typeof pid !== 'number' || typeof started !== 'string') return { text, holder: null };
    return { text, holder: { pid, started, host: String(host), boot: String(boot) } };
  } catch {
    return { text, holder: null };
  }
}

function isLeftBehind({ holder }: FoundHolder, mine: Holder): boolean {
  if (holder === null || holder.host !== mine.host) return false;
  if (holder.boot !== mine.boot) return true;
  return startOf(holder.pid) !== holder.started;
}

async function removeIf(path: string, text: string): Promise<void> {
  const now = await readHolder(path);
  if (now?.text === text) await unlink(path).catch(() => undefined);
}

async function release(path: string, text: string): Promise<void> {
  await removeIf(path, text);
}

function held(path: string, { holder }: FoundHolder): StateStoreError {
  const who = holder === null ? 'somebody unknown' : `process ${holder.pid} on ${holder.host}`;
  return new StateStoreError('unavailable', `the state directory is in use by ${who} (lock ${path})`, {
    hint: 'Stop that scheduler. If it is certain that none runs, remove the lock file.',
  });
}

/** Clock ticks between boot and the start of a process, from /proc; `null` where there is no such process. */
function startOf(pid: number): string | null {
  try {
    const { state, startTicks } = parseProcStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    // A zombie holds nothing any more.
    return state === 'Z' ? null : String(startTicks);
  } catch {
    return null;
  }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return '';
  }
}
