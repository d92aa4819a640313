import { describe, expect, test } from 'vitest';
import { applyCommand, type OperatorCommand } from '../../src/reconcile/commands.ts';
import { record } from '../framework/fixtures.ts';
import { SmallWorld } from './small-world.ts';

const WORLD = new SmallWorld();
const CONTEXT = { spec: WORLD.spec, seen: { ...WORLD.observe(0), wallMs: 7 } };

const asked = (confirmed: boolean) =>
  record({ uninstall: { askedAtMs: 7, by: 'operator', confirmed, skipped: [] } });
const ask = (destroyData: boolean): OperatorCommand => ({ kind: 'uninstall', by: 'operator', destroyData });
const GO_ON: OperatorCommand = { kind: 'continue' };

describe('a command', () => {
  test.each([
    ['uninstall', record(), ask(false), 'done', false],
    ['uninstall with leave', record(), ask(true), 'done', true],
    ['uninstall again', asked(false), ask(false), 'already', false],
    ['leave, later', asked(false), ask(true), 'done', true],
    ['leave, again', asked(true), ask(true), 'already', true],
    ['asked for without leave after leave was given', asked(true), ask(false), 'already', true],
    ['continue', asked(false), GO_ON, 'done', true],
    ['continue, again', asked(true), GO_ON, 'already', true],
  ] as const)('%s', (_what, before, command, outcome, confirmed) => {
    const after = applyCommand(before, command, CONTEXT);
    expect(after.answer.outcome).toBe(outcome);
    expect(after.record.uninstall).toEqual({ askedAtMs: 7, by: 'operator', confirmed, skipped: [] });
  });

  test('to continue changes nothing where nothing waits', () => {
    expect(applyCommand(record(), GO_ON, CONTEXT)).toMatchObject({
      record: record(),
      answer: { outcome: 'already' },
    });
  });
});
