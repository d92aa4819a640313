import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { describeError } from '../base/errors.ts';
import type { Clock } from '../base/ports.ts';
import { type ProcStat, parseProcStat } from '../base/proc-stat.ts';
import { LAUNCH_VARIABLE } from '../protocol/launch.ts';
import { MEMBER_VARIABLE, memberMark } from './death-pact.ts';
import { type FoundProcess, OrphanError, type Orphans, type PortHolder } from './orphan-port.ts';

export interface ProcOrphansOptions {
  readonly clock: Clock;
  readonly cluster: string;
  readonly seat: string;
  /** Of this member, absolute. */
  readonly volumePath: string;
  readonly ports: readonly number[];
  /** This process: it and its ancestors are never touched. */
  readonly ownPid: number;
  readonly kill: (pid: number, signal: 'SIGKILL') => void;
}

/** How long the killed may take to vanish; one that hangs in the kernel may never. */
const VANISH_MS_MAX = 10_000;
const VANISH_POLL_MS = 10;
/** TCP_LISTEN of the kernel's tables. */
const LISTENING = '0A';

/** {@link Orphans} by the proc file system: what this user may see of the processes of this machine. */
export function createProcOrphans(options: ProcOrphansOptions): Orphans {
  return {
    async sweep(signal) {
      let processes = readProcesses(options);
      const killed: FoundProcess[] = [];
      // Supervisors first: they would start their etcd again, and may have since they were looked for.
      for (const kind of ['supervisor', 'etcd'] as const) {
        if (killed.length > 0) processes = readProcesses(options);
        const found = processes.filter((process) => process.kind === kind);
        for (const process of found) end(process, options);
        await vanished(found, options.clock, signal);
        killed.push(...found.map(({ pid, command }) => ({ pid, command })));
      }
      return { killed, foreign: portHolders(options) };
    },
  };
}

interface Seen extends FoundProcess {
  readonly kind: 'supervisor' | 'etcd' | 'other';
  /** Together with the id it names a process for good. */
  readonly startTicks: number;
}

function readProcesses(options: ProcOrphansOptions): readonly Seen[] {
  const untouched = ancestorsOf(options.ownPid);
  return pids()
    .filter((pid) => !untouched.has(pid))
    .flatMap((pid) => {
      const seen = attempt(() => see(pid, options));
      return seen === null ? [] : [seen];
    });
}

function see(pid: number, options: ProcOrphansOptions): Seen {
  const { startTicks } = statOf(pid);
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    .split('\0')
    .filter((word) => word !== '');
  const command = words.join(' ').slice(0, 300);
  return { pid, command, startTicks, kind: kindOf(pid, words, options) };
}

function kindOf(pid: number, words: readonly string[], options: ProcOrphansOptions): Seen['kind'] {
  const environment = attempt(() => readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')) ?? [];
  const variable = (name: string) =>
    environment.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
  if (variable(MEMBER_VARIABLE) === memberMark(options)) return 'etcd';
  if (words.includes('run-member') && isLaunchOf(variable(LAUNCH_VARIABLE), options)) return 'supervisor';
  return looksLikeEtcd(words) && holdsLog(pid, options.volumePath) ? 'etcd' : 'other';
}

/** Spares a look at every open file of every process of the machine. */
function looksLikeEtcd(words: readonly string[]): boolean {
  return words[0]?.includes('etcd') === true || words.some((word) => /^--?data-dir\b/.test(word));
}

function isLaunchOf(text: string | undefined, options: ProcOrphansOptions): boolean {
  const launch = attempt(() => JSON.parse(text ?? '') as { cluster?: unknown; seat?: unknown } | null);
  return launch?.cluster === options.cluster && launch.seat === options.seat;
}

/**
 * Whether a process has an etcd's files of our volume open. By device and inode, since it may see the volume
 * under another path; a shell that only stands in the directory, or a reader of other files, is left alone.
 */
function holdsLog(pid: number, volumePath: string): boolean {
  const volume = attempt(() => statSync(volumePath));
  if (volume === null) return false;
  return openFiles(pid).some(({ link, path }) => {
    const layout = /^(.*)\/epoch-\d+\/data\/member\/(?:snap\/db|wal\/[^/]+\.wal)$/.exec(path);
    if (layout === null) return false;
    // The root as that process sees it leads to the same directory, if it is ours.
    const root = attempt(() => statSync(`/proc/${pid}/root${layout[1] ?? ''}`));
    const file = attempt(() => statSync(link));
    return root !== null && file !== null && root.dev === volume.dev && root.ino === volume.ino;
  });
}

function openFiles(pid: number): readonly { readonly link: string; readonly path: string }[] {
  const names = attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? [];
  return names.flatMap((name) => {
    const link = `/proc/${pid}/fd/${name}`;
    const path = attempt(() => readlinkSync(link));
    return path === null ? [] : [{ link, path }];
  });
}

/** Who listens on our ports now: everybody who is ours is gone by then. */
function portHolders(options: ProcOrphansOptions): readonly PortHolder[] {
  const inodes = new Map<string, number>();
  for (const table of ['tcp', 'tcp6']) {
    for (const line of (attempt(() => readFileSync(`/proc/self/net/${table}`, 'utf8')) ?? '')
      .split('\n')
      .slice(1)) {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      const port = Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16);
      if (state === LISTENING && options.ports.includes(port)) inodes.set(inode, port);
    }
  }
  if (inodes.size === 0) return [];
  const holders = new Map<number, PortHolder>();
  for (const port of inodes.values()) holders.set(port, { port, process: null });
  for (const pid of pids()) {
    for (const { path } of openFiles(pid)) {
      const port = inodes.get(/^socket:\[(\d+)\]$/.exec(path)?.[1] ?? '');
      const process = port === undefined ? null : attempt(() => see(pid, options));
      if (port !== undefined && process !== null) {
        holders.set(port, { port, process: { pid, command: process.command } });
      }
    }
  }
  // Our own server's port is ours.
  return [...holders.values()].filter((holder) => holder.process?.pid !== options.ownPid);
}

function end(process: Seen, options: ProcOrphansOptions): void {
  // Between the look and now the id may have gone to somebody else.
  if (attempt(() => statOf(process.pid))?.startTicks !== process.startTicks) return;
  try {
    options.kill(process.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
    throw new OrphanError('still-alive', `pid ${process.pid} (${process.command}): ${describeError(error)}`, {
      cause: error,
      hint: 'It was started for this member and must be ended by hand, or by the user it runs as.',
    });
  }
}

async function vanished(processes: readonly Seen[], clock: Clock, signal: AbortSignal): Promise<void> {
  const untilMs = clock.monotonicMs() + VANISH_MS_MAX;
  for (const process of processes) {
    while (isAlive(process)) {
      if (signal.aborted || clock.monotonicMs() > untilMs) {
        throw new OrphanError(
          'still-alive',
          `pid ${process.pid} (${process.command}) did not end after SIGKILL`,
        );
      }
      await clock.sleep(VANISH_POLL_MS, signal);
    }
  }
}

/**
 * A zombie holds nothing any more; its parent may leave it lying. But a process whose first thread is one holds
 * all it held until its other threads have ended too.
 */
function isAlive(process: Seen): boolean {
  const now = attempt(() => statOf(process.pid));
  if (now === null || now.startTicks !== process.startTicks) return false;
  const threads = attempt(() => readdirSync(`/proc/${process.pid}/task`).length) ?? 0;
  return now.state !== 'Z' && now.state !== 'X' ? true : threads > 1;
}

function ancestorsOf(pid: number): ReadonlySet<number> {
  const found = new Set<number>();
  for (let current = pid; current > 0 && !found.has(current); ) {
    found.add(current);
    current = attempt(() => statOf(current).parentPid) ?? 0;
  }
  return found;
}

function statOf(pid: number): ProcStat {
  return parseProcStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
}

function pids(): readonly number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch (cause) {
    throw new OrphanError('unsupported', '/proc cannot be read', {
      cause,
      hint: 'Members run on Linux with the proc file system mounted.',
    });
  }
}

/** Processes come and go and may be another user's while they are looked at: what cannot be read is not there. */
function attempt<T>(look: () => T): T | null {
  try {
    return look();
  } catch {
    return null;
  }
}
