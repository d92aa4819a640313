/** What etcd writes: zap's JSON lines, and whatever the Go runtime prints when it dies. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'fatal';
  /** For people: message and error of a JSON line, else the line. */
  readonly text: string;
}

/** Characters of a line that are kept in a status. */
const LOG_TEXT_MAX = 500;

const LEVELS: Readonly<Record<string, LogLine['level']>> = {
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  dpanic: 'fatal',
  panic: 'fatal',
  fatal: 'fatal',
};

/** Never throws: a line that is not understood is `info` with its own text. */
export function parseLogLine(line: string): LogLine {
  if (line.startsWith('{')) {
    const entry = parseObject(line);
    if (entry !== null) {
      const level = LEVELS[String(entry['level'])] ?? 'info';
      const message = String(entry['msg'] ?? '');
      const error = typeof entry['error'] === 'string' ? `: ${entry['error']}` : '';
      return { level, text: `${message}${error}`.slice(0, LOG_TEXT_MAX) };
    }
  }
  const fatal = /^(panic:|fatal error:|runtime:|etcd: |flag provided|error verifying flags)/.test(line);
  return { level: fatal ? 'fatal' : 'info', text: line.slice(0, LOG_TEXT_MAX) };
}

/**
 * Whether etcd says that the cluster removed it. It then ends with exit code 0, which is no success: the
 * process can never be a member again on this data.
 */
export function saysRemoved(line: string): boolean {
  return line.includes('the member has been permanently removed from the cluster');
}

/** Whether etcd says that its peers can reach it now: 3.4 and 3.5 in the first words, 3.6 in the second. */
export function saysServesPeers(line: string): boolean {
  return line.includes('serving peer traffic') || line.includes('cmux::serve');
}

/** Whether etcd refuses to serve because its data, compared with that of its peers, is not the same. */
export function saysDiffers(line: string): boolean {
  return line.includes('found data inconsistency with peers');
}

/** Whether etcd ended because the file system is full: it knows no way to go on then. Its quota is another matter. */
export function saysDiskFull(line: string): boolean {
  return line.includes('no space left on device');
}

/** Keeps what is worth telling when a process has died: its first fatal line, else its last. */
export interface LastWords {
  add(line: string): void;
  /** Empty when it said nothing. */
  text(): string;
}

export function createLastWords(): LastWords {
  let last = '';
  let fatal: string | null = null;
  return {
    add(line) {
      const { level, text } = parseLogLine(line);
      if (text.trim() !== '') last = text;
      if (level === 'fatal') fatal ??= text;
    },
    text: () => fatal ?? last,
  };
}

function parseObject(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
