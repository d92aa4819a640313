import type { LogFields, Logger } from '../../src/base/ports.ts';

/** What happened in a world, by actor, and a hash of it all: two runs of a seed must have the same. */
export interface Story {
  /** @param why the reason, where one was given. */
  tell(actor: string, what: string, why?: string): void;
  /**
   * A logger whose lines are told as the actor's.
   * @param shown.from lines below that level only go into the hash, unless all are asked for. Default `info`.
   */
  logger(actor: string, shown?: { readonly from: 'info' | 'warn' }): Logger;
  /** Hex; of every line told so far. */
  hash(): string;
  /** The newest lines, oldest first: time in seconds, actor, what, why. */
  lines(): readonly string[];
}

export interface StoryOptions {
  readonly monotonicMs: () => number;
  /** All that is logged is told too. */
  readonly debug: boolean;
  /** Called with every line as it is told. */
  readonly onLine?: (line: string) => void;
}

/** A failure is explained by what happened shortly before. */
const LINES_MAX = 20_000;

export const STORY_HEADER = lineOf('seconds', 'actor', 'what', 'why');

export function createStory({ monotonicMs, debug, onLine }: StoryOptions): Story {
  const lines: string[] = [];
  let high = 0x811c9dc5;
  let low = 0x01234567;

  const note = (line: string) => {
    for (let position = 0; position < line.length; position += 1) {
      high = Math.imul(high ^ line.charCodeAt(position), 0x01000193);
      low = Math.imul(low ^ (high >>> 7), 0x85ebca6b) + position;
    }
  };
  const show = (line: string) => {
    onLine?.(line);
    lines.push(line);
    if (lines.length > LINES_MAX) lines.splice(0, LINES_MAX / 2);
  };
  const now = () => (monotonicMs() / 1000).toFixed(3);

  const tell = (actor: string, what: string, why = '') => {
    const line = lineOf(now(), actor, what, why);
    note(line);
    show(line);
  };

  const loggerOf = (actor: string, shown: boolean, inherited: LogFields): Logger => {
    const at =
      (level: string, isShown: boolean) =>
      (event: string, fields: LogFields = {}) => {
        const { reason, ...others } = { ...inherited, ...fields };
        const line = lineOf(now(), actor, `${level}${event}${textOf(others)}`, valueText(reason ?? ''));
        note(line);
        if (isShown) show(line);
      };
    return {
      debug: debug ? at('(debug) ', true) : () => {},
      info: at('', shown || debug),
      warn: at('(warn) ', true),
      error: at('(error) ', true),
      child: (fields) => loggerOf(actor, shown, { ...inherited, ...fields }),
    };
  };

  return {
    tell,
    logger: (actor, shown = { from: 'info' }) => loggerOf(actor, shown.from === 'info', {}),
    hash: () => [high, low].map((part) => (part >>> 0).toString(16).padStart(8, '0')).join(''),
    lines: () => lines,
  };
}

function lineOf(time: string, actor: string, what: string, why: string): string {
  const start = `${time.padStart(9)}  ${actor.padEnd(12)}  `;
  return why === '' ? start + what : `${start}${what.padEnd(60)}  ${why}`;
}

/** Without what is not known, and without names that only programs compare. */
function textOf(fields: LogFields): string {
  return Object.entries(fields)
    .filter(([name, value]) => value !== undefined && value !== null && name !== 'id')
    .map(([name, value]) => ` ${name}=${valueText(value)}`)
    .join('');
}

function valueText(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined');
}
