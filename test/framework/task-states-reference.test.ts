import { expect, test } from 'vitest';
import { renderTaskStates } from '../../src/framework/task-states.ts';

test('docs/task-states.md is what the table says', async () => {
  await expect(renderTaskStates()).toMatchFileSnapshot('../../docs/task-states.md');
});
