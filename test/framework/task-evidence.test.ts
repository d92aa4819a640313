import { describe, expect, it } from 'vitest';
import { evidenceOf, mergeEvidence } from '../../src/framework/task-evidence.ts';
import { rowOf, type Source, type Standing } from '../../src/framework/task-states.ts';
import { TASK_STATES, type TaskState, type TaskStatus } from '../../src/mesos/wire.ts';

/** Whole: every state, as said by executor, agent and master. */
const TABLE: Readonly<Record<TaskState, readonly [Standing, Standing, Standing]>> = {
  TASK_STAGING: ['alive', 'alive', 'alive'],
  TASK_STARTING: ['alive', 'alive', 'alive'],
  TASK_RUNNING: ['alive', 'alive', 'alive'],
  TASK_KILLING: ['alive', 'alive', 'alive'],
  TASK_FINISHED: ['ended', 'ended', 'asserted'],
  TASK_FAILED: ['ended', 'ended', 'asserted'],
  TASK_KILLED: ['ended', 'ended', 'asserted'],
  TASK_ERROR: ['never-ran', 'never-ran', 'never-ran'],
  TASK_LOST: ['asserted', 'asserted', 'asserted'],
  TASK_DROPPED: ['never-ran', 'never-ran', 'never-ran'],
  TASK_UNREACHABLE: ['unreachable', 'unreachable', 'unreachable'],
  TASK_GONE: ['asserted', 'asserted', 'asserted'],
  TASK_GONE_BY_OPERATOR: ['asserted', 'asserted', 'asserted'],
  TASK_UNKNOWN: ['asserted', 'asserted', 'asserted'],
};

it.each(TASK_STATES.map((state) => [state, ...TABLE[state]] as const))(
  '%s from executor, agent, master means %s, %s, %s',
  (state, executor, agent, master) => {
    const standingOf = (source: Source) => rowOf(state, source, '')?.standing;
    expect(standingOf('SOURCE_EXECUTOR')).toBe(executor);
    expect(standingOf('SOURCE_AGENT')).toBe(agent);
    expect(standingOf('SOURCE_MASTER')).toBe(master);
  },
);

const status = (state: TaskState, more: Partial<TaskStatus> = {}): TaskStatus => ({
  task_id: { value: 't' },
  state,
  source: 'SOURCE_EXECUTOR',
  agent_id: { value: 'S1' },
  ...more,
});

describe('evidence', () => {
  it.each([
    ['Command exited with status 7', 'etcd or setpriv is missing'],
    ['Command exited with status 9', 'the archive that it was to run from is not the one that was meant'],
  ])('says what a member means by "%s"', (message, words) => {
    const said = evidenceOf(status('TASK_FAILED', { message }), 1);
    expect(said?.kind === 'over' && said.end.message).toMatch(`${message}: ${words}`);
  });

  it('leaves other words of Mesos as they are', () => {
    for (const message of ['Command exited with status 1', 'Command terminated with signal Killed']) {
      const said = evidenceOf(status('TASK_FAILED', { message }), 1);
      expect(said).toMatchObject({ end: { message } });
    }
  });

  it('keeps who said it and why, and when it was heard: the clock of an agent may be wrong', () => {
    const said = status('TASK_FAILED', {
      source: 'SOURCE_AGENT',
      reason: 'REASON_EXECUTOR_TERMINATED',
      message: 'gone',
      timestamp: 1795395307.852,
    });
    expect(evidenceOf(said, 77)).toEqual({
      kind: 'over',
      agentId: 'S1',
      end: {
        standing: 'ended',
        state: 'TASK_FAILED',
        source: 'SOURCE_AGENT',
        reason: 'REASON_EXECUTOR_TERMINATED',
        message: 'gone',
        atMs: 77,
      },
    });
  });

  it('takes a missing source for the master', () => {
    const { source: _, ...said } = status('TASK_KILLED');
    expect(evidenceOf(said, 77)).toMatchObject({
      end: { standing: 'asserted', source: 'SOURCE_MASTER' },
    });
  });
});

describe('what is believed after', () => {
  const heard = (...states: readonly TaskStatus[]) =>
    states.flatMap((one) => evidenceOf(one, 0) ?? []).reduce((before, next) => mergeEvidence(before, next));
  const master = { source: 'SOURCE_MASTER' } as const;

  it.each<[string, readonly TaskStatus[], unknown]>([
    [
      'a proven end and a denial by the master',
      [status('TASK_FAILED'), status('TASK_GONE', master)],
      { end: { standing: 'ended', state: 'TASK_FAILED' } },
    ],
    [
      'a proven end and a stale sign of life',
      [status('TASK_FAILED'), status('TASK_RUNNING', master)],
      { end: { standing: 'ended' } },
    ],
    [
      'an assertion and proof',
      [status('TASK_LOST', master), status('TASK_KILLED')],
      { end: { standing: 'ended', state: 'TASK_KILLED' } },
    ],
    [
      'an assertion and a sign of life',
      [status('TASK_UNKNOWN', master), status('TASK_RUNNING')],
      { kind: 'alive' },
    ],
    [
      'a partition and its end',
      [status('TASK_UNREACHABLE', master), status('TASK_RUNNING', master)],
      { kind: 'alive' },
    ],
    [
      'a running task whose id is refused as a duplicate',
      [status('TASK_RUNNING'), status('TASK_ERROR', master)],
      { kind: 'alive' },
    ],
    [
      'a running task whose launch arrived twice, the second time without an offer',
      [status('TASK_RUNNING'), status('TASK_DROPPED', { ...master, reason: 'REASON_INVALID_OFFERS' })],
      { kind: 'alive' },
    ],
    [
      'a running task that the agent denies to have been launched',
      [status('TASK_RUNNING'), status('TASK_DROPPED', { source: 'SOURCE_AGENT' })],
      { end: { standing: 'asserted', state: 'TASK_DROPPED' } },
    ],
    [
      'a staged task that was dropped',
      [status('TASK_STAGING', master), status('TASK_DROPPED', master)],
      { end: { standing: 'never-ran' } },
    ],
    [
      'a dropped task that the master does not know',
      [status('TASK_DROPPED', master), status('TASK_UNKNOWN', master)],
      { end: { standing: 'never-ran' } },
    ],
    [
      'a health that the next update does not repeat',
      [status('TASK_RUNNING', { healthy: true }), status('TASK_RUNNING', master)],
      { healthy: true },
    ],
  ])('%s', (_what, states, expected) => {
    expect(heard(...states)).toMatchObject(expected as object);
  });
});
