import { Hono } from 'hono';
import { describe, expect, test } from 'vitest';
import { type ApiEnvironment, mountRoutes } from '../../src/framework/api-access.ts';
import { podRoutes } from '../../src/framework/api-pods.ts';
import type { PublishedView } from '../../src/protocol/view.ts';
import type { CommandAnswer } from '../../src/reconcile/command-answers.ts';
import type { OperatorCommand } from '../../src/reconcile/commands.ts';
import { sampleMember, sampleView } from './sample-view.ts';

const NEAR = { remoteAddress: '127.0.0.1' };
const DONE: CommandAnswer = { outcome: 'done', message: 'etcd-1 is restarted in place', disruption: 'd-1' };

function apiOf(view: PublishedView = sampleView(), answer: CommandAnswer = DONE) {
  const told: OperatorCommand[] = [];
  const app = new Hono<ApiEnvironment>();
  const tell = (command: OperatorCommand): Promise<CommandAnswer> => {
    told.push(command);
    return Promise.resolve(answer);
  };
  mountRoutes(app, podRoutes({ view: () => view, tell }), null);
  const ask = async (path: string, method = 'POST') =>
    await app.request(path, { method, headers: { 'x-etcd-mesos-operator': 'alice@desk' } }, NEAR);
  return { told, ask };
}

describe('a command to a member', () => {
  test.each(['restart', 'replace', 'pause', 'resume'] as const)('%s names who asks', async (verb) => {
    const { told, ask } = apiOf();
    const response = await ask(`/v1/pod/etcd-1/${verb}`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ pod: 'etcd-1', tasks: ['etcd-1-server'], ...DONE });
    const by = 'alice@desk at 127.0.0.1';
    expect(told).toEqual([{ kind: 'pod', verb, slot: 'etcd-1', by, force: false }]);
  });

  test('is forced where that is said', async () => {
    const { told, ask } = apiOf();
    await ask('/v1/pod/etcd-1/restart?force=true');
    expect(told).toMatchObject([{ force: true }]);
    const wrong = await ask('/v1/pod/etcd-1/restart?force=maybe');
    expect([wrong.status, await wrong.json()]).toEqual([
      400,
      { error: 'force is maybe', hint: 'It is true or false. Nothing was changed.' },
    ]);
    expect(told).toHaveLength(1);
  });

  test('that is refused says why, and what to do', async () => {
    const { ask } = apiOf(sampleView(), { outcome: 'refused', message: 'no quorum', hint: 'wait' });
    const response = await ask('/v1/pod/etcd-1/restart');
    expect([response.status, await response.json()]).toEqual([409, { error: 'no quorum', hint: 'wait' }]);
  });

  test('to a slot that there is not names those that there are', async () => {
    const { told, ask } = apiOf();
    for (const path of ['/v1/pod/etcd-9/restart', '/v1/leader/move?to=etcd-9']) {
      const response = await ask(path);
      expect([response.status, await response.json()]).toEqual([
        404,
        { error: 'Pod etcd-9 not found', hint: 'There are etcd-0, etcd-1, etcd-2.' },
      ]);
    }
    expect(told).toEqual([]);
  });

  test('is no GET', async () => {
    const { told, ask } = apiOf();
    expect((await ask('/v1/pod/etcd-1/restart', 'GET')).status).toBe(405);
    expect(told).toEqual([]);
  });
});

test('leadership is moved to a slot, or to whom is best placed', async () => {
  const { told, ask } = apiOf();
  expect((await ask('/v1/leader/move?to=etcd-1')).status).toBe(200);
  expect((await ask('/v1/leader/move')).status).toBe(200);
  const by = 'alice@desk at 127.0.0.1';
  expect(told).toEqual([
    { kind: 'move-leader', to: 'etcd-1', by },
    { kind: 'move-leader', to: null, by },
  ]);
});

describe('the status of a member', () => {
  const paused = { by: 'alice', atMs: 1 };
  const disruption = {
    id: 'd-1',
    kind: 'pause',
    slot: 'etcd-0',
    by: 'alice',
    reason: 'pod pause',
    openedAtMs: 1,
    forced: false,
    step: 'about to begin',
  };
  test.each([
    ['that serves', {}, null, 'RUNNING'],
    ['that is to be paused', {}, disruption, 'PAUSING'],
    ['whose etcd is being stopped', { paused }, null, 'PAUSING'],
    ['that is paused', { paused, phase: 'stopped' as const }, null, 'PAUSED'],
    ['that was resumed', { phase: 'stopped' as const }, null, 'STARTING'],
    ['whose task has ended', { paused, mesosState: 'TASK_FAILED' }, null, 'FAILED'],
  ])('%s', async (_what, changes, disrupted, status) => {
    const view = sampleView({ members: [sampleMember(0, changes)], disruption: disrupted });
    const response = await apiOf(view).ask('/v1/pod/etcd-0/status', 'GET');
    expect(await response.json()).toMatchObject({ tasks: [{ name: 'etcd-0-server', status }] });
  });

  test('as TaskInfo and TaskStatus name its parts', async () => {
    const response = await apiOf().ask('/v1/pod/etcd-0/info', 'GET');
    expect(await response.json()).toEqual([
      {
        info: expect.objectContaining({
          name: 'etcd-0-server',
          task_id: { value: 'etcd-0__0000-0000' },
          agent_id: { value: 'agent-0' },
          hostname: 'node-0.example',
        }) as unknown,
        status: expect.objectContaining({ state: 'TASK_RUNNING', healthy: true }) as unknown,
      },
    ]);
  });
});
