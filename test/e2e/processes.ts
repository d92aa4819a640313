import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readProcessTable } from '../../src/local/process-table.ts';

/** Processes of this machine whose command line, working directory or open files lie in a directory. */
export function processesIn(directory: string): readonly string[] {
  return [...readProcessTable().keys()].flatMap((pid) => {
    if (pid === process.pid) return [];
    const command = attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')) ?? '';
    const places = [command, attempt(() => readlinkSync(`/proc/${pid}/cwd`)), ...openFiles(pid)];
    return places.some((place) => place?.includes(directory) === true) ? [`${pid} ${command}`] : [];
  });
}

function openFiles(pid: number): readonly (string | null)[] {
  const names = attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? [];
  return names.map((name) => attempt(() => readlinkSync(`/proc/${pid}/fd/${name}`)));
}

/** Processes come and go while they are looked at. */
function attempt<T>(look: () => T): T | null {
  try {
    return look();
  } catch {
    return null;
  }
}
