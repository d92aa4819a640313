import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { votersOf } from '../e2e/etcd-on-mesos.ts';
import { skipWithout } from '../needs.ts';
import { until } from '../wait.ts';
import { PHASE_MS_MAX, SLOTS, startTrial, type Trial } from './trial.ts';

/** A master whose ACLs keep from the framework's principal who and what is there. */

const OPERATOR = 'operator';
const PRINCIPAL = 'etcd-principal';
const SECRET = 'the-secret-of-the-framework';
const EXIT_NOT_FIRST_START = 8;
const everything = { type: 'ANY' };
const nothing = { type: 'NONE' };

let trial: Trial;

beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'setpriv');
  const operators = { values: [OPERATOR] };
  trial = await startTrial('forbidden', 3, {
    access: {
      credentials: { [OPERATOR]: 'the-secret-of-the-operator', [PRINCIPAL]: SECRET },
      acls: {
        view_frameworks: [
          { principals: operators, users: everything },
          { principals: everything, users: nothing },
        ],
        view_tasks: [
          { principals: operators, users: everything },
          { principals: everything, users: nothing },
        ],
      },
    },
  });
});
afterEach(async ({ task }) => await trial?.end(task.result?.state === 'fail'));

test('a first start that cannot see whether it is one ends, unless it is told so', async () => {
  const secretFile = join(trial.directory, 'secret');
  writeFileSync(secretFile, SECRET, { mode: 0o600 });
  const access = ['--principal', PRINCIPAL, '--secret-file', secretFile];

  const blind = trial.start(...access);
  const { code, stderr } = await blind.ended;
  expect(code).toBe(EXIT_NOT_FIRST_START);
  expect(stderr).toContain('the master does not show us what runs under the name');
  expect(stderr).toContain('Give the principal leave to view frameworks, tasks and roles');
  expect(stderr).toContain('--bootstrap=new');

  const told = trial.start(...access, '--bootstrap=new');
  await until('three members', PHASE_MS_MAX, async () => {
    const { health } = await told.view();
    return health.state === 'healthy' && (await votersOf(trial.record())).size === SLOTS.length;
  });
});
