import { expect, test } from 'vitest';
import { describeError } from '../../src/base/errors.ts';

test.for([
  [new Error('no', { cause: new Error('why') }), 'no: why'],
  [new Error('no', { cause: new Error('why', { cause: new Error('root') }) }), 'no: why: root'],
  // Many a message has its cause's in it already.
  [new Error('no: why', { cause: new Error('why') }), 'no: why'],
  [new Error('no (why)', { cause: new Error('why', { cause: 'root' }) }), 'no (why): root'],
  [new TypeError(''), 'TypeError'],
  ['a word', 'a word'],
] as const)('an error with its causes is one line that says each thing once: %s', ([error, text]) => {
  expect(describeError(error)).toBe(text);
});
