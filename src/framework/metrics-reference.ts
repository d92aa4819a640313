import { METRIC_PREFIX, SERIES } from './metrics.ts';

/** `docs/metrics.md`. */
export function renderMetricsReference(): string {
  const rows = SERIES.map((series) => {
    const labels = series.labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${METRIC_PREFIX}${series.name}\` | ${series.type} | ${labels} | ${series.help} |`;
  });
  return [
    '# Metrics of the scheduler',
    '',
    'Made from `src/framework/metrics.ts` by `npm run docs`. They are served at `/v1/metrics/prometheus`, beside',
    'the process’ own (`process_*`, `nodejs_*`). Counters begin at 0 with every start of the scheduler.',
    '',
    '| name | type | labels | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    'A revision above 2^53 is rounded here, since Prometheus counts in floating point; `/v1/view` has it exact.',
    '',
  ].join('\n');
}
