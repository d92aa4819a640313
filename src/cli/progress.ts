import type { Clock } from '../base/ports.ts';
import { createSystemClock } from '../runtime/clock.ts';
import { formatBytes } from './amounts.ts';

/** Shows how far a long work is: on a terminal a bar that is redrawn, in a pipe a line now and then. */
export interface Progress {
  /** A step of another name begins a line of its own. */
  readonly step: (step: ProgressStep) => void;
  /** Before anything else is printed. Safe to repeat. */
  end(): void;
}
export interface ProgressStep {
  /** What is being done. */
  readonly step: string;
  readonly done: number;
  /** What `done` will come to; `null` where that is not known. */
  readonly total: number | null;
  readonly unit: 'bytes' | 'revisions' | 'hashes';
}

/** What is written to. */
export interface ProgressStream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** A terminal is drawn anew no more often than so. */
const DRAW_MS_MIN = 100;
/** A pipe gets a line about one step no more often than so. */
const LINE_MS_MIN = 10_000;
const BAR_CHARACTERS = 20;

interface Step {
  readonly name: string;
  readonly startedAtMs: number;
  readonly startedAt: number;
  readonly unit: ProgressStep['unit'];
  shownAtMs: number;
  done: number;
  total: number | null;
}

/** @param options.isWanted false: nothing is shown. `clock`: the system's by default. */
export function progressOn(
  stream: ProgressStream,
  {
    isWanted = true,
    clock = createSystemClock(),
  }: { isWanted?: boolean; clock?: Pick<Clock, 'monotonicMs'> } = {},
): Progress {
  if (!isWanted) return { step: () => undefined, end: () => undefined };
  const isTerminal = stream.isTTY === true;
  let step: Step | null = null;
  const show = (current: Step, nowMs: number): void => {
    current.shownAtMs = nowMs;
    const seconds = (nowMs - current.startedAtMs) / 1000;
    if (isTerminal) stream.write(`\r\u001b[K${barOf(current, seconds).slice(0, (stream.columns ?? 80) - 1)}`);
    else stream.write(`${lineOf(current, seconds)}\n`);
  };
  const end = (): void => {
    if (step === null) return;
    if (isTerminal) stream.write('\r\u001b[K');
    else show(step, clock.monotonicMs());
    step = null;
  };
  return {
    step: ({ step: name, done, total, unit }) => {
      const nowMs = clock.monotonicMs();
      if (step?.name !== name) {
        end();
        step = { name, unit, startedAtMs: nowMs, startedAt: done, shownAtMs: nowMs, done, total };
        if (isTerminal) show(step, nowMs);
        return;
      }
      step.done = done;
      step.total = total;
      if (nowMs - step.shownAtMs >= (isTerminal ? DRAW_MS_MIN : LINE_MS_MIN)) show(step, nowMs);
    },
    end,
  };
}

/** `reading the full [=====>              ]  27 %, 1.2 GB of 4.4 GB, 210 MB/s, 15 s left` */
function barOf(step: Step, seconds: number): string {
  const { name, done, total } = step;
  if (total === null || total <= 0) return lineOf(step, seconds);
  const part = Math.min(1, done / total);
  const filled = Math.floor(part * BAR_CHARACTERS);
  const head = filled < BAR_CHARACTERS ? '>' : '';
  const bar = `${'='.repeat(filled)}${head}`.padEnd(BAR_CHARACTERS);
  const gained = done - step.startedAt;
  const left = gained > 0 && seconds >= 1 ? ((total - done) * seconds) / gained : null;
  const ending = left === null ? '' : `, ${durationText(Math.max(0, left))} left`;
  return `${name} [${bar}] ${String(Math.floor(part * 100)).padStart(3)} %, ${amountOf(step)}${rateOf(step, seconds)}${ending}`;
}

/** `reading the full: 4.4 GB, 210 MB/s` */
function lineOf(step: Step, seconds: number): string {
  return `${step.name}: ${amountOf(step)}${rateOf(step, seconds)}`;
}

function amountOf({ done, total, unit }: Step): string {
  const text = (amount: number): string => (unit === 'bytes' ? formatBytes(amount) : String(amount));
  const amount = total === null || total === done ? text(done) : `${text(done)} of ${text(total)}`;
  return unit === 'bytes' ? amount : `${amount} ${unit}`;
}

function rateOf({ done, startedAt, unit }: Step, seconds: number): string {
  if (unit !== 'bytes' || seconds < 1) return '';
  return `, ${formatBytes(Math.round((done - startedAt) / seconds))}/s`;
}

function durationText(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
