import type { LogFields, Logger } from '../../src/base/ports.ts';

/** What happened in a world, by actor, and a hash of it all: two runs of a seed must have the same. */
export interface Story {
  tell(actor: string, text: string): void;
  /** A logger whose lines are told as the actor's. */
  logger(actor: string): Logger;
  /** Hex; of every line told so far. */
  hash(): string;
  /** The newest lines, oldest first. */
  lines(): readonly string[];
}

export interface StoryOptions {
  readonly monotonicMs: () => number;
  /** Lines of level debug are told too. */
  readonly debug: boolean;
  /** Called with every line as it is told. */
  readonly onLine?: (line: string) => void;
}

/** A failure is explained by what happened shortly before. */
const LINES_MAX = 20_000;

export function createStory({ monotonicMs, debug, onLine }: StoryOptions): Story {
  const lines: string[] = [];
  let high = 0x811c9dc5;
  let low = 0x01234567;

  const tell = (actor: string, text: string) => {
    const line = `${(monotonicMs() / 1000).toFixed(3).padStart(9)}  ${actor.padEnd(14)} ${text}`;
    for (let position = 0; position < line.length; position += 1) {
      high = Math.imul(high ^ line.charCodeAt(position), 0x01000193);
      low = Math.imul(low ^ (high >>> 7), 0x85ebca6b) + position;
    }
    onLine?.(line);
    lines.push(line);
    if (lines.length > LINES_MAX) lines.splice(0, LINES_MAX / 2);
  };

  const logger = (actor: string, inherited: LogFields = {}): Logger => {
    const at =
      (level: string) =>
      (event: string, fields: LogFields = {}) => {
        tell(actor, `${level}${event}${textOf({ ...inherited, ...fields })}`);
      };
    return {
      debug: debug ? at('(debug) ') : () => {},
      info: at(''),
      warn: at('(warn) '),
      error: at('(error) '),
      child: (fields) => logger(actor, { ...inherited, ...fields }),
    };
  };

  return {
    tell,
    logger,
    hash: () => [high, low].map((part) => (part >>> 0).toString(16).padStart(8, '0')).join(''),
    lines: () => lines,
  };
}

function textOf(fields: LogFields): string {
  return Object.entries(fields)
    .map(([name, value]) => ` ${name}=${valueText(value)}`)
    .join('');
}

function valueText(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined');
}
