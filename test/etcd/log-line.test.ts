import { expect, test } from 'vitest';
import { createLastWords, parseLogLine, saysRemoved } from '../../src/etcd/log-line.ts';

const removed =
  '{"level":"warn","ts":"2026-11-23T02:35:12.452Z","caller":"etcdserver/server.go:1078","msg":"server error",' +
  '"error":"the member has been permanently removed from the cluster"}';

test('a JSON line becomes its message and error', () => {
  expect(parseLogLine(removed)).toEqual({
    level: 'warn',
    text: 'server error: the member has been permanently removed from the cluster',
  });
  expect(saysRemoved(removed)).toBe(true);
});

test.for([
  ['panic: runtime error: index out of range', 'fatal'],
  ['{"level":"panic","msg":"failed to open WAL"}', 'fatal'],
  ['{"broken', 'info'],
  ['goroutine 1 [running]:', 'info'],
] as const)('%j is %s', ([line, level]) => {
  expect(parseLogLine(line).level).toBe(level);
});

test('the last words are the first fatal line, not the trace after it', () => {
  const words = createLastWords();
  words.add('{"level":"info","msg":"starting"}');
  words.add('{"level":"fatal","msg":"discovery failed","error":"no space left on device"}');
  words.add('goroutine 1 [running]:');
  expect(words.text()).toBe('discovery failed: no space left on device');
});

test('without one they are the last line', () => {
  const words = createLastWords();
  expect(words.text()).toBe('');
  words.add('{"level":"error","msg":"bad"}');
  words.add('{"level":"info","msg":"closed etcd server"}');
  words.add('');
  expect(words.text()).toBe('closed etcd server');
});
