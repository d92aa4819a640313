/**
 * What every benchmark here has in common: ours and its floor are measured in turn, in the same run, several
 * times; medians are compared. Absolute times say little on a busy machine, their ratio says more.
 */
export interface Comparison {
  readonly name: string;
  readonly unit: 's' | 'MB' | 'CPU s' | 'offers';
  /** Lower is better. */
  readonly aim: number;
  /** What the aim is for: ours / floor, which is the default, or ours alone. */
  readonly judged?: 'ratio' | 'value';
}

/** One line of `--json`. */
export interface BenchResult extends Comparison {
  readonly value: number;
  readonly floor: number;
  readonly ratio: number;
  readonly repeats: number;
  /** Smallest and largest of ours and of the floor: how far to trust the medians. */
  readonly spread: {
    readonly value: readonly [number, number];
    readonly floor: readonly [number, number];
  };
}

/** At least this many interleaved repeats make a median. */
export const REPEATS_MIN = 7;

/** Says what it is doing through `note`; `repeats` is at least {@link REPEATS_MIN}. */
export type Benchmark = (repeats: number, note: (line: string) => void) => Promise<readonly BenchResult[]>;

export function summarise(of: Comparison, ours: readonly number[], floors: readonly number[]): BenchResult {
  const value = median(ours);
  const floor = median(floors);
  const ratio = floor === 0 ? value : value / floor;
  return {
    ...of,
    value: round(value),
    floor: round(floor),
    ratio: round(ratio),
    repeats: ours.length,
    spread: { value: rangeOf(ours), floor: rangeOf(floors) },
  };
}

export function print(results: readonly BenchResult[], json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
    return;
  }
  const rows = results.map((one) => [
    one.name,
    `${one.value} ${one.unit} (${one.spread.value.join('–')})`,
    `${one.floor} ${one.unit} (${one.spread.floor.join('–')})`,
    `${one.ratio}`,
    `${one.aim}${one.judged === 'value' ? ` ${one.unit}` : ''}${isMet(one) ? '' : '  missed'}`,
  ]);
  const table = [['what', 'ours: median (range)', 'floor: median (range)', 'ratio', 'aim'], ...rows];
  const widths =
    table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of table) {
    process.stdout.write(
      `${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
  }
}

function isMet({ judged, value, ratio, aim }: BenchResult): boolean {
  return (judged === 'value' ? value : ratio) <= aim;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

function rangeOf(values: readonly number[]): [number, number] {
  return [round(Math.min(...values)), round(Math.max(...values))];
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
