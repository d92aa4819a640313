import { expect, test } from 'vitest';
import { optionHelp, renderOptionReference } from '../../src/protocol/option-reference.ts';
import { OPTION_KEYS, optionSpec, variableOf } from '../../src/protocol/options.ts';

test('docs/options.md is what the table says', async () => {
  await expect(renderOptionReference()).toMatchFileSnapshot('../../docs/options.md');
});

test('the help names every option with its variable, no line longer than a terminal is wide', () => {
  const help = optionHelp(100);
  for (const spec of OPTION_KEYS.map(optionSpec)) {
    expect(help).toContain(`--${spec.name} <`);
    expect(help).toContain(variableOf(spec.name));
  }
  expect(Math.max(...help.split('\n').map((line) => line.length))).toBeLessThanOrEqual(112);
});
