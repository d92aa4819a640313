import { expect, test } from 'vitest';
import { judgeVersion, parseEtcdVersion } from '../../src/etcd/versions.ts';

const version = (text: string) =>
  parseEtcdVersion(`etcd Version: ${text}\nGit SHA: abc\nGo Version: go1.24\n`);

test.for([
  ['3.4.23', 3, 4, 23],
  ['3.5.0-rc.1', 3, 5, 0],
  ['3.6.12', 3, 6, 12],
] as const)('etcd --version is read: %s', ([text, major, minor, patch]) => {
  expect(version(text)).toEqual({ major, minor, patch, text });
});

test.for(['', 'etcd: command not found', 'etcd Version: three', '{"version":"3.5.0"}'])(
  'what is no version is refused and shown: %j',
  (output) => {
    expect(() => parseEtcdVersion(output)).toThrow(/printed "/);
  },
);

test.for([
  ['3.3.27', 'not supported'],
  ['2.3.8', 'not supported'],
  ['4.0.0', 'not supported'],
  ['3.5.0', '13766'],
  ['3.5.1', '13766'],
  ['3.5.2', '13766'],
] as const)('%s is not run', ([text, reason]) => {
  expect(judgeVersion(version(text)).refusal).toContain(reason);
});

/** Which defects each version has, by their issue numbers; those without one by a word of their text. */
test.for([
  [
    '3.4.20',
    [14370, 15271, 15220, 17529, 17780, 18089, 19179, 20221, 20418, 21694],
    ['corrupt', 'force-new'],
  ],
  ['3.4.23', [15271, 15220, 17529, 17780, 18089, 19179, 20221, 20418, 21694], ['corrupt', 'force-new']],
  ['3.4.45', [21694], ['force-new']],
  [
    '3.5.3',
    [14685, 14370, 15271, 15220, 17529, 17780, 18089, 19179, 20221, 20418, 21694],
    ['in part', 'corrupt', 'force-new', 'back'],
  ],
  ['3.5.16', [19179, 20221, 20418, 21694], ['in part', 'corrupt', 'force-new', 'back']],
  ['3.5.30', [21694], []],
  ['3.5.31', [], []],
  ['3.6.0', [20221, 20418, 21694], ['corrupt', 'force-new']],
  ['3.6.12', [], []],
] as const)('%s is run with its defects named', ([text, issues, others]) => {
  const { refusal, warnings } = judgeVersion(version(text));
  expect(refusal).toBeNull();
  const numbered = warnings.flatMap((warning) => /etcd#(\d+)/.exec(warning)?.[1] ?? []).map(Number);
  expect(numbered.toSorted()).toEqual([...issues].toSorted());
  const unnumbered = warnings.filter((warning) => !warning.includes('etcd#'));
  expect(unnumbered).toHaveLength(others.length);
  for (const word of others) expect(unnumbered.join('\n')).toContain(word);
});

test('a newer minor is run with a warning', () => {
  const { refusal, warnings } = judgeVersion(version('3.7.0'));
  expect(refusal).toBeNull();
  expect(warnings).toEqual([expect.stringContaining('newer')]);
});
