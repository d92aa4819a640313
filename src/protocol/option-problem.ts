/** Something wrong with one option, or between several. */
export interface OptionProblem {
  readonly code: 'unknown' | 'bad-value' | 'conflict' | 'missing' | 'contradiction';
  /** As its user spelled it: `--disk`, `DISK_LIMIT`, `node.disk in scheduler.json`. */
  readonly where: string;
  readonly message: string;
  readonly hint: string;
}

export function contradiction(where: string, message: string, hint: string): OptionProblem {
  return { code: 'contradiction', where, message, hint };
}
