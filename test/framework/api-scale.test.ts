import { Hono } from 'hono';
import { describe, expect, test } from 'vitest';
import { type ApiEnvironment, mountRoutes } from '../../src/framework/api-access.ts';
import { scaleRoutes } from '../../src/framework/api-scale.ts';
import type { CommandAnswer } from '../../src/reconcile/command-answers.ts';
import type { OperatorCommand } from '../../src/reconcile/commands.ts';
import { sampleView } from './sample-view.ts';

const DONE: CommandAnswer = { outcome: 'done', message: 'the cluster goes from 3 to 5 members' };

function apiOf(answer: CommandAnswer = DONE) {
  const told: OperatorCommand[] = [];
  const app = new Hono<ApiEnvironment>();
  const tell = (command: OperatorCommand): Promise<CommandAnswer> => {
    told.push(command);
    return Promise.resolve(answer);
  };
  mountRoutes(app, scaleRoutes({ view: () => sampleView(), tell }), null);
  const ask = async (body: string) => {
    const headers = { 'x-etcd-mesos-operator': 'alice@desk' };
    const near = { remoteAddress: '127.0.0.1' };
    return await app.request('/v1/scale', { method: 'POST', headers, body }, near);
  };
  return { told, ask };
}

describe('POST /v1/scale', () => {
  test('says how many, and who asks', async () => {
    const { told, ask } = apiOf();
    const response = await ask('{"size": 5}');
    expect([response.status, await response.json()]).toEqual([200, DONE]);
    expect(told).toEqual([{ kind: 'scale', size: 5, by: 'alice@desk at 127.0.0.1' }]);
  });

  test.each([
    [
      '{"size": 4}',
      '4 members are asked for; a cluster has 1, 3, 5 or 7 members: 4 survive no more failures than 3',
    ],
    ['{"size": 9}', '9 members are asked for; a cluster has 1, 3, 5 or 7 members'],
    ['{"size": "5"}', 'the body does not say how many members there are to be'],
    ['five', 'the body does not say how many members there are to be'],
  ])('refuses %s before anybody is told', async (body, error) => {
    const { told, ask } = apiOf();
    const response = await ask(body);
    expect([response.status, await response.json()]).toEqual([400, expect.objectContaining({ error })]);
    expect(told).toEqual([]);
  });

  test('says why it is not done', async () => {
    const { ask } = apiOf({ outcome: 'refused', message: 'no quorum', hint: 'wait' });
    const response = await ask('{"size": 1}');
    expect([response.status, await response.json()]).toEqual([409, { error: 'no quorum', hint: 'wait' }]);
  });
});
