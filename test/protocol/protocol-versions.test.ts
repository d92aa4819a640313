import { expect, test } from 'vitest';
import { PREVIOUS_PROTOCOL_VERSION, PROTOCOL_VERSION } from '../../src/protocol/launch.ts';
import {
  inProtocol,
  memberStatusSchema,
  NOTHING_DONE,
  SUPERVISOR_PHASES,
} from '../../src/protocol/member-status.ts';
import { status } from '../framework/fake-master.ts';
import { launch } from '../member/model-member.ts';
import { launchOf1, statusOf1 } from './protocol-1.ts';

test('whatever a supervisor has to say, a scheduler of the previous release reads it', () => {
  for (const phase of SUPERVISOR_PHASES) {
    const told = inProtocol(status({ phase, busy: 'defragmenting' }), PREVIOUS_PROTOCOL_VERSION);
    expect(statusOf1.parse(told)).toMatchObject({ protocol: PREVIOUS_PROTOCOL_VERSION, phase });
  }
});

test('what a supervisor of the previous release says is read, and lacks what it did not know', () => {
  const {
    busy: _,
    needsUser: __,
    differs: ___,
    space: ____,
    ...told
  } = status({ protocol: PREVIOUS_PROTOCOL_VERSION });
  expect(memberStatusSchema.parse(told)).toEqual({
    ...told,
    busy: null,
    needsUser: null,
    differs: false,
    space: NOTHING_DONE,
  });
});

test('who understands more than this build is answered with what it has', () => {
  const mine = status({ busy: 'defragmenting' });
  expect(inProtocol(mine, PROTOCOL_VERSION + 1)).toBe(mine);
  expect(memberStatusSchema.safeParse({ ...mine, protocol: PROTOCOL_VERSION + 1 }).success).toBe(false);
});

test('a supervisor of the previous release reads what this one launches it with', () => {
  expect(launchOf1.parse(launch)).toEqual(launch);
});
