import { readdirSync, readFileSync } from 'node:fs';
import { type ProcStat, parseProcStat } from '../base/proc-stat.ts';

export interface ProcessEntry extends ProcStat {
  readonly pid: number;
}

/** A process that was once seen: gone when its pid is free or has another start. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: number;
}

export type ProcessTable = ReadonlyMap<number, ProcessEntry>;

/** Rounds of looking for what a tree forked while it was being stopped. */
const STOP_ROUNDS_MAX = 10;
/** Rounds of ending what keeps being born under a root. */
const END_ROUNDS_MAX = 50;

/** `null` where there is no such process. */
function readProcess(pid: number): ProcessEntry | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return null;
  }
  return { pid, ...parseProcStat(text) };
}

/** Every process of this machine that has not ended. */
export function readProcessTable(): ProcessTable {
  const table = new Map<number, ProcessEntry>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const entry = readProcess(Number(name));
    if (entry !== null && !hasEnded(entry)) table.set(entry.pid, entry);
  }
  return table;
}

/** Whether the very process is there and has not ended. */
export function isAlive(identity: ProcessIdentity): boolean {
  const entry = readProcess(identity.pid);
  return entry !== null && !hasEnded(entry) && entry.startTicks === identity.startTicks;
}

/** `null` when it is not there any more. */
export function identify(pid: number): ProcessIdentity | null {
  const entry = readProcess(pid);
  return entry === null ? null : { pid, startTicks: entry.startTicks };
}

/**
 * The processes that belong to `roots`: they, their descendants, and whoever shares a process group or a session
 * with one of these, over and over. A root that has ended still stands for its group and session.
 * The caller, its session and pid 1 never belong.
 */
export function processTree(table: ProcessTable, roots: Iterable<number>): ReadonlySet<number> {
  const children = groupBy(table, (entry) => entry.parentPid);
  const groups = groupBy(table, (entry) => entry.groupId);
  const sessions = groupBy(table, (entry) => entry.sessionId);
  const own = readProcess(process.pid);
  const found = new Set<number>();
  const queue = [...roots].flatMap((root) => [
    root,
    ...(groups.get(root) ?? []),
    ...(sessions.get(root) ?? []),
  ]);
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    const entry = table.get(pid);
    if (entry === undefined || found.has(pid)) continue;
    if (pid === 1 || pid === process.pid || entry.sessionId === own?.sessionId) continue;
    found.add(pid);
    queue.push(...(children.get(pid) ?? []));
    if (entry.groupId > 1) queue.push(...(groups.get(entry.groupId) ?? []));
    if (entry.sessionId > 1) queue.push(...(sessions.get(entry.sessionId) ?? []));
  }
  return found;
}

/**
 * Signals the whole tree of `roots` at once: all are stopped first, so that nothing is forked past the signal,
 * then signalled, then continued.
 * @returns how many processes there were.
 */
export function signalTree(roots: readonly number[], signal: 'SIGTERM' | 'SIGKILL'): number {
  const stopped = new Set<number>();
  for (let round = 0; round < STOP_ROUNDS_MAX; round += 1) {
    const fresh = [...processTree(readProcessTable(), [...roots, ...stopped])].filter(
      (pid) => !stopped.has(pid),
    );
    if (fresh.length === 0) break;
    for (const pid of fresh) {
      stopped.add(pid);
      sendSignal(pid, 'SIGSTOP');
    }
  }
  for (const pid of stopped) sendSignal(pid, signal);
  if (signal !== 'SIGKILL') for (const pid of stopped) sendSignal(pid, 'SIGCONT');
  return stopped.size;
}

/**
 * SIGKILLs what `find` finds, again and again until it finds nothing.
 * @returns those that it could not end: nothing, unless a process hangs in the kernel or may not be signalled.
 */
export async function endAll(
  find: (table: ProcessTable) => ReadonlySet<number>,
  pause: () => Promise<void>,
): Promise<ReadonlySet<number>> {
  let found: ReadonlySet<number> = new Set();
  for (let round = 0; round < END_ROUNDS_MAX; round += 1) {
    found = find(readProcessTable());
    if (found.size === 0) return found;
    for (const pid of found) sendSignal(pid, 'SIGSTOP');
    // What was forked between the look and the stop.
    for (const pid of find(readProcessTable())) sendSignal(pid, 'SIGKILL');
    await pause();
  }
  return found;
}

/** The processes whose environment, as they were started with it, holds the line `NAME=value`. */
export function processesWithVariable(table: ProcessTable, line: string): ReadonlySet<number> {
  const found = new Set<number>();
  for (const pid of table.keys()) {
    if (pid !== process.pid && hasVariable(pid, line)) found.add(pid);
  }
  return found;
}

/** False when the process is gone already, or belongs to somebody else. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

function hasVariable(pid: number, line: string): boolean {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
    return environment.startsWith(`${line}\0`) || environment.includes(`\0${line}\0`);
  } catch {
    return false;
  }
}

function hasEnded(entry: ProcessEntry): boolean {
  return entry.state === 'Z' || entry.state === 'X';
}

function groupBy(table: ProcessTable, key: (entry: ProcessEntry) => number): ReadonlyMap<number, number[]> {
  const grouped = new Map<number, number[]>();
  for (const entry of table.values()) {
    const members = grouped.get(key(entry));
    if (members === undefined) grouped.set(key(entry), [entry.pid]);
    else members.push(entry.pid);
  }
  return grouped;
}
