/** A process as `/proc/<pid>/stat` shows it. A pid alone names nobody for long: with its start it does. */
export interface ProcStat {
  /** `R`, `S`, `D`, `T` (stopped), `Z` (ended, not reaped), `X` (ending) … */
  readonly state: string;
  readonly parentPid: number;
  readonly groupId: number;
  readonly sessionId: number;
  /** Clock ticks from the machine's boot to the process's start. */
  readonly startTicks: number;
}

/** @param text of `/proc/<pid>/stat`, in any encoding that keeps ASCII. */
export function parseProcStat(text: string): ProcStat {
  // The name in parentheses may hold anything, even `) S 1`: what follows the last parenthesis is plain.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    state: fields[0] ?? '',
    parentPid: Number(fields[1]),
    groupId: Number(fields[2]),
    sessionId: Number(fields[3]),
    startTicks: Number(fields[19]),
  };
}
