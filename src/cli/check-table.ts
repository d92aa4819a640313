import type { LocalCheckReport } from '../runtime/local-check.ts';

/** What `etcd-mesos local up --check` prints at its end: what was done, what was seen, and what that means. */
export function renderCheck(report: LocalCheckReport): string {
  const rows = [
    ['STEP', 'WHOLE AFTER', 'WITHOUT WRITES', 'RESULT'],
    ...report.steps.map((step) => [
      step.name,
      step.wholeAfterMs === null ? '-' : `${step.wholeAfterMs} ms`,
      `${step.withoutWritesMs} ms`,
      step.problems.length === 0 ? 'ok' : 'FAILED',
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const details = report.steps.flatMap((step) => [
    '',
    `${step.name}:`,
    `  done  ${step.done}`,
    `  seen  ${step.seen}`,
    ...step.problems.map((problem) => `  WRONG ${problem}`),
  ]);
  const lines = [
    ...rows.map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    ),
    ...details,
    '',
    `${report.acknowledgedWrites} writes were acknowledged, ${report.missingWrites.length} are missing`,
    ...report.missingWrites.slice(0, MISSING_SHOWN_MAX).map((key) => `  missing ${key}`),
    report.ok ? 'everything is as it should be' : 'NOT everything is as it should be',
  ];
  return `${lines.join('\n')}\n`;
}

/** Missing writes that are named. */
const MISSING_SHOWN_MAX = 20;
