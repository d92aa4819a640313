import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseProcStat } from '../../src/base/proc-stat.ts';

const FIELDS = '1 7 9 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 123456 1000 10';

test.for(['(sh)', '(a b)', '() S 1)', '((()', '(größe)'])('a process that is called %s', (name) => {
  expect(parseProcStat(`42 ${name} Z ${FIELDS}`)).toEqual({
    state: 'Z',
    parentPid: 1,
    groupId: 7,
    sessionId: 9,
    startTicks: 123456,
  });
});

test('this process', () => {
  const own = parseProcStat(readFileSync('/proc/self/stat', 'latin1'));
  expect(own.parentPid).toBe(process.ppid);
  expect(own.startTicks).toBeGreaterThan(0);
});
