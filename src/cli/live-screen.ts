import type { PublishedView } from '../protocol/view.ts';
import { renderStatus, renderStoryLine } from './status-table.ts';
import type { Paint } from './style.ts';

/** Shows a cluster as it changes: on a terminal redrawn in place, in a pipe one line for each thing that happens. */
export interface LiveScreen {
  show(view: PublishedView): void;
  /** A line that stays. */
  note(line: string): void;
  /** What is said once the cluster is whole; on a terminal it stays below the table. */
  ready(lines: readonly string[]): void;
}

/** What is written to. */
export interface Terminal {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): unknown;
}

/** Lines of the story below the table. */
const STORY_LINES = 10;

export function createLiveScreen(terminal: Terminal, paint: Paint): LiveScreen {
  return terminal.isTTY === true ? redrawing(terminal, paint) : listing(terminal, paint);
}

function listing(terminal: Terminal, paint: Paint): LiveScreen {
  let shown = -1;
  const note = (line: string): void => void terminal.write(`${line}\n`);
  return {
    note,
    ready: (lines) => note(lines.join('\n')),
    show: (view) => {
      for (const line of view.story.filter((entry) => entry.sequence > shown)) {
        note(renderStoryLine(line, paint));
        shown = line.sequence;
      }
    },
  };
}

function redrawing(terminal: Terminal, paint: Paint): LiveScreen {
  let drawn: readonly string[] = [];
  let footer: readonly string[] = [];
  const draw = (lines: readonly string[]): void => {
    if (lines.join('\n') === drawn.join('\n')) return;
    const up = drawn.length === 0 ? '' : `\u001b[${drawn.length}A`;
    terminal.write(`${up}\r\u001b[J${lines.map((line) => `${line}\n`).join('')}`);
    drawn = lines;
  };
  return {
    note: (line) => {
      // Whatever the keyboard left on the line goes.
      terminal.write(`\r\u001b[K${line}\n`);
      drawn = [];
    },
    ready: (lines) => {
      footer = ['', ...lines];
    },
    show: (view) => {
      const { columns = 80, rows = 24 } = terminal;
      const table = renderStatus(view, paint, { brief: true }).trimEnd().split('\n');
      // A table that scrolls would be redrawn at the wrong place: the story gets the lines that are left.
      const left = Math.max(0, Math.min(STORY_LINES, rows - 2 - table.length - footer.length));
      const story =
        left === 0 ? [] : ['', ...view.story.slice(-left).map((line) => renderStoryLine(line, paint))];
      const lines = [...table, ...story, ...footer].slice(0, Math.max(1, rows - 1));
      draw(lines.map((line) => cut(line, columns)));
    },
  };
}

/** Cuts a line to a width, colours not counted. */
function cut(line: string, columns: number): string {
  const parts = line.split(COLOUR);
  let left = columns;
  const kept = parts.map((part) => {
    if (COLOUR_WHOLE.test(part)) return part;
    const piece = part.slice(0, left);
    left -= piece.length;
    return piece;
  });
  return kept.join('');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
const COLOUR = /(\u001b\[\d+m)/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
const COLOUR_WHOLE = /^\u001b\[\d+m$/;
