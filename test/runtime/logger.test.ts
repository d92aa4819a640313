import { expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { createLogger } from '../../src/runtime/logger.ts';

class SampleError extends CodedError<'broken'> {}

function capture(level: 'debug' | 'info') {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  return { lines, log: createLogger({ level, stream }) };
}

test('a line is one JSON object with time, level and event before its fields', () => {
  const { lines, log } = capture('info');
  log.child({ slot: 'etcd-0' }).info('etcd started', { pid: 7, revision: 12n });
  expect(lines).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      slot: 'etcd-0',
      pid: 7,
      revision: '12',
      event: 'etcd started',
    },
  ]);
});

test('errors are told with their causes and code, secrets are not told', () => {
  const { lines, log } = capture('info');
  log.error('it failed', { error: new SampleError('broken', 'outer', { cause: new Error('inner') }) });
  log.warn('look', { token: 'abc', request: { authorization: 'Bearer x' } });
  expect(lines[0]).toMatchObject({ error: 'outer: inner', errorCode: 'broken' });
  expect(JSON.stringify(lines[1])).not.toMatch(/abc|Bearer/);
});

test('what is below the level is not written', () => {
  const { lines, log } = capture('info');
  log.debug('quiet');
  expect(lines).toEqual([]);
});
