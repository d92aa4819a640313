import { expect, test } from 'vitest';
import { renderMetricsReference } from '../../src/framework/metrics-reference.ts';

test('docs/metrics.md is what the table says', async () => {
  await expect(renderMetricsReference()).toMatchFileSnapshot('../../docs/metrics.md');
});
