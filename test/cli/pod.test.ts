import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { PublishedView } from '../../src/protocol/view.ts';
import { sampleMember, sampleView } from '../framework/sample-view.ts';
import { runCli } from './run-cli.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

interface Answer {
  readonly status?: number;
  readonly body: unknown;
}

/** A scheduler that answers each GET of the view with the next of these, and each path with what it is given. */
async function schedulerOf(
  views: readonly PublishedView[],
  answers: Readonly<Record<string, Answer>> = {},
): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  let shown = 0;
  const answerTo = ({ method, url = '' }: IncomingMessage): Answer => {
    if (url !== '/v1/view') {
      asked.push(`${method} ${url}`);
      return answers[url] ?? { status: 404, body: { error: `nothing is at ${url}`, hint: 'Look.' } };
    }
    shown += 1;
    return { body: views[Math.min(shown, views.length) - 1] };
  };
  const server = createServer((request, response) => {
    const { status = 200, body } = answerTo(request);
    response.writeHead(status, { connection: 'close' }).end(JSON.stringify(body));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const DISRUPTION = {
  id: 'd-1',
  kind: 'restart',
  slot: 'etcd-1',
  by: 'alice',
  reason: 'pod restart',
  openedAtMs: 1,
  forced: false,
  step: 'its task ends',
} as const;
const TAKEN: Answer = {
  body: { outcome: 'done', message: 'etcd-1 is restarted in place', disruption: 'd-1' },
};
const membersWith = (changes: Parameters<typeof sampleMember>[1]): PublishedView['members'] => [
  sampleMember(0),
  sampleMember(1, changes),
  sampleMember(2),
];
const lineOf = (sequence: number, slot: string, text: string): PublishedView['story'][number] => ({
  sequence,
  atMs: 1,
  slot,
  text,
  reason: 'asked for',
});

describe('pod restart', () => {
  const RESTART = '/v1/pod/etcd-1/restart?force=false';

  test('waits until the member is back, and tells what happens to it', async () => {
    const { url, asked } = await schedulerOf(
      [
        sampleView({ story: [lineOf(4, 'etcd-1', 'before')] }),
        sampleView({
          disruption: DISRUPTION,
          story: [lineOf(5, 'etcd-1', 'its task is told to end'), lineOf(6, 'etcd-2', 'of another')],
        }),
        // Its etcd is up, and has found no leader yet.
        sampleView({ members: membersWith({ task: 'etcd-1__new', healthy: false }) }),
        sampleView({ members: membersWith({ task: 'etcd-1__new' }) }),
      ],
      { [RESTART]: TAKEN },
    );
    const { code, stdout, stderr } = await runCli(['pod', 'restart', 'etcd-1', '--scheduler', url]);
    expect(stderr).toBe('');
    expect(stdout.split('\n')).toEqual([
      'etcd-1 is restarted in place',
      'etcd-1: its task is told to end (asked for)',
      'etcd-1 was restarted',
      '',
    ]);
    expect([code, asked]).toEqual([0, [`POST ${RESTART}`]]);
  });

  test('that was given up ends with 1', async () => {
    const { url } = await schedulerOf([sampleView()], { [RESTART]: TAKEN });
    const { code, stderr } = await runCli(['pod', 'restart', 'etcd-1', '--scheduler', url]);
    expect([code, stderr]).toEqual([1, expect.stringContaining('etcd-1 was not restarted')]);
  });

  test('that is refused says why and ends with 1', async () => {
    const refusal = {
      error: 'etcd-1 is not touched: no quorum',
      hint: 'With force it is done all the same.',
    };
    const { url, asked } = await schedulerOf([sampleView()], {
      '/v1/pod/etcd-1/restart?force=true': { status: 409, body: refusal },
    });
    const { code, stderr } = await runCli(['pod', 'restart', 'etcd-1', '--force', '--scheduler', url]);
    expect(code).toBe(1);
    for (const text of Object.values(refusal)) expect(stderr).toContain(text);
    expect(asked).toHaveLength(1);
  });

  test('need not wait', async () => {
    const { url } = await schedulerOf([sampleView({ disruption: DISRUPTION })], { [RESTART]: TAKEN });
    const { code, stdout } = await runCli([
      'pod',
      'restart',
      'etcd-1',
      '--no-wait',
      '--json',
      '--scheduler',
      url,
    ]);
    expect([code, JSON.parse(stdout)]).toEqual([0, TAKEN.body]);
  });
});

describe('the other commands wait for what they asked for', () => {
  const answer: Answer = { body: { outcome: 'done', message: 'taken', disruption: null } };
  const paused = { by: 'alice', atMs: 1 };
  test.each([
    ['replace', { role: 'learner' as const }, { seat: 'etcd-1-new' }, 'etcd-1 was replaced'],
    ['pause', { paused }, { paused, phase: 'stopped' as const }, 'etcd-1 is paused'],
    ['resume', { healthy: false }, {}, 'etcd-1 serves again'],
  ])('pod %s', async (verb, during, after, text) => {
    const views = [
      sampleView(),
      sampleView({ members: membersWith(during) }),
      sampleView({ members: membersWith(after) }),
    ];
    const { url } = await schedulerOf(views, { [`/v1/pod/etcd-1/${verb}?force=false`]: answer });
    const { code, stdout } = await runCli(['pod', verb, 'etcd-1', '--scheduler', url]);
    expect([code, stdout]).toEqual([0, expect.stringContaining(text)]);
  });

  test.each([
    ['fd422379fda50e48', 0, 'etcd-1 leads'],
    ['8e9e05c52164694d', 1, 'etcd-0 leads still'],
  ])('leader move, when %s leads', async (leader, expected, text) => {
    const body = { outcome: 'done', message: 'etcd-0 hands leadership to etcd-1', disruption: 'd-1' };
    const { health } = sampleView();
    const { url, asked } = await schedulerOf(
      [sampleView(), sampleView({ disruption: DISRUPTION }), sampleView({ health: { ...health, leader } })],
      { '/v1/leader/move?to=etcd-1': { body } },
    );
    const { code, stdout, stderr } = await runCli(['leader', 'move', '--to', 'etcd-1', '--scheduler', url]);
    expect([code, stdout + stderr]).toEqual([expected, expect.stringContaining(text)]);
    expect(asked).toEqual(['POST /v1/leader/move?to=etcd-1']);
  });
});

test('pod status is a tree', async () => {
  const task = (name: string, status: string) => ({ id: `${name}__1`, name, status });
  const instances = [
    { name: 'etcd-0', tasks: [task('etcd-0-server', 'RUNNING'), task('etcd-0-client', 'RUNNING')] },
    { name: 'etcd-1', tasks: [] },
  ];
  const { url } = await schedulerOf([sampleView()], {
    '/v1/pod/status': { body: { service: 'etcd', pods: [{ name: 'etcd', instances }] } },
    '/v1/pod/etcd-0/status': { body: instances[0] },
    '/v1/pod': { body: ['etcd-0', 'etcd-1'] },
  });
  const shown = async (...words: readonly string[]): Promise<string> =>
    (await runCli(['pod', ...words, '--scheduler', url])).stdout;
  expect(await shown('status')).toBe(
    [
      'etcd',
      '├─ etcd-0',
      '│  ├─ etcd-0-server (RUNNING)',
      '│  └─ etcd-0-client (RUNNING)',
      '└─ etcd-1',
      '   └─ no task yet',
      '',
    ].join('\n'),
  );
  expect(await shown('status', 'etcd-0')).toContain('└─ etcd-0\n   ├─ etcd-0-server (RUNNING)');
  expect(await shown('list')).toBe('etcd-0\netcd-1\n');
  expect(JSON.parse(await shown('status', '--json'))).toMatchObject({ service: 'etcd' });
});
