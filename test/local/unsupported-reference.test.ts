import { expect, test } from 'vitest';
import { renderUnsupported } from '../../src/local/unsupported.ts';

test('docs/local-mesos-limits.md is what the table says', async () => {
  await expect(renderUnsupported()).toMatchFileSnapshot('../../docs/local-mesos-limits.md');
});
