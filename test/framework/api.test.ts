import { Hono } from 'hono';
import { describe, expect, test } from 'vitest';
import { createApi } from '../../src/framework/api.ts';
import {
  type ApiEnvironment,
  type ApiRoute,
  BODY_BYTES_MAX,
  isLoopback,
  mountRoutes,
} from '../../src/framework/api-access.ts';
import type { BackupSource } from '../../src/framework/api-backup.ts';
import type { Tell } from '../../src/framework/api-commands.ts';
import { status } from '../../src/framework/api-routes.ts';
import { createMetrics, METRIC_PREFIX, SERIES } from '../../src/framework/metrics.ts';
import type { PrefixReport } from '../../src/protocol/orders.ts';
import { spaceAnswerSchema } from '../../src/protocol/space-answer.ts';
import { debugOffersSchema, type OfferReport, type PublishedView } from '../../src/protocol/view.ts';
import type { CommandAnswer } from '../../src/reconcile/command-answers.ts';
import { silentLogger } from '../silent-logger.ts';
import { emptySlot, sampleArchive, sampleMember, sampleView } from './sample-view.ts';

const FAR = { remoteAddress: '10.9.9.9' };
const NEAR = { remoteAddress: '127.0.0.1' };
const LEADS = { role: 'leader', leader: 'http://10.0.0.8:23400', terms: 1 } as const;
const TARBALL = new TextEncoder().encode('a tarball');

const REPORT: PrefixReport = {
  kind: 'measure-space',
  keys: 2,
  bytes: 30,
  complete: true,
  lastKey: null,
  prefixes: [{ prefix: '/registry/', keys: 2, bytes: 30 }],
};

const NO_FULLS: BackupSource['fulls'] = { ask: () => null, outcome: () => Promise.resolve(null) };
const TOLD: Tell = () => Promise.resolve({ outcome: 'done', message: 'told' });

function apiOf(
  view: PublishedView | null,
  { offers = { summaries: [], explanations: [] }, tell = TOLD }: { offers?: OfferReport; tell?: Tell } = {},
) {
  return createApi({
    view: () => view,
    offers: () => offers,
    metrics: createMetrics(),
    tell,
    measure: () => Promise.resolve({ slot: 'etcd-1', report: REPORT }),
    fulls: NO_FULLS,
    liveness: () => LEADS,
    artifacts: [
      {
        name: 'etcd-mesos.tar.gz',
        sizeBytes: TARBALL.byteLength,
        sha256: 'ab'.repeat(32),
        open: () => new Blob([TARBALL]).stream(),
      },
    ],
    token: null,
    logger: silentLogger,
  });
}

const get = async (view: PublishedView | null, path: string, init: RequestInit = {}) =>
  await apiOf(view).request(path, init, FAR);
const bodyOf = async (view: PublishedView | null, path: string): Promise<unknown> =>
  await (await get(view, path)).json();

const FORMING: Partial<PublishedView> = {
  endpoints: { client: [], peer: [] },
  epoch: null,
  health: { state: 'forming', voters: 0, healthyVoters: 0, leader: null },
  blocked: [{ code: 'waits-for-offers', slot: 'etcd-0', message: 'no offer has 8 cpus: 4 are missing' }],
};

const PHASE: PublishedView['plans'][number]['phases'][number] = {
  id: 'p1',
  name: 'etcd',
  status: 'WAITING',
  strategy: 'serial',
  steps: [{ id: 's1', name: 'etcd-0:[server]', status: 'PENDING', message: 'etcd-0' }],
};

describe('plans', () => {
  const plan = (status: PublishedView['plans'][number]['status']): PublishedView['plans'][number] => ({
    name: 'deploy',
    status,
    strategy: 'serial',
    phases: [{ id: 'a', name: 'etcd', status, strategy: 'parallel', steps: [] }],
    errors: [],
  });

  test.each([
    ['COMPLETE', 200],
    ['IN_PROGRESS', 202],
    ['WAITING', 202],
  ] as const)('that are %s answer %i', async (status, code) => {
    const view = sampleView({ plans: [plan(status)] });
    expect(await bodyOf(view, '/v1/plans')).toEqual(['deploy']);
    const answer = await get(view, '/v1/plans/deploy');
    expect(answer.status).toBe(code);
    const { name: _, ...body } = plan(status);
    expect(await answer.json()).toEqual(body);
  });

  test('that are unknown are not found', async () => {
    expect((await get(sampleView(), '/v1/plans/nope')).status).toBe(404);
    expect(
      (await apiOf(sampleView()).request('/v1/plans/nope/continue', { method: 'POST' }, NEAR)).status,
    ).toBe(404);
  });

  test('are continued from the scheduler’s machine, not from afar without a token', async () => {
    const app = apiOf(sampleView({ plans: [plan('WAITING')] }));
    const path = 'http://127.0.0.1/v1/plans/deploy/continue';
    expect((await app.request(path, { method: 'POST' }, FAR)).status).toBe(403);
    const answer = await app.request(path, { method: 'POST' }, NEAR);
    expect([answer.status, await answer.json()]).toEqual([
      200,
      { message: 'Received cmd: continue', detail: 'told' },
    ]);
  });

  test.each([
    ['start', 'start', null],
    ['pause', 'interrupt', null],
    ['interrupt', 'interrupt', null],
    ['resume', 'continue', null],
    ['restart?phase=etcd', 'restart', null],
    ['restart?phase=p1&step=s1', 'restart', 'etcd-0:[server]'],
    ['forceComplete?phase=etcd&step=etcd-0:[server]', 'forceComplete', 'etcd-0:[server]'],
  ] as const)('are told %s, their phases and steps by name or id', async (path, verb, step) => {
    const commands: unknown[] = [];
    const view = sampleView({ plans: [{ ...plan('WAITING'), name: 'update', phases: [PHASE] }] });
    const tell: Tell = (command) => {
      commands.push(command);
      return TOLD(command);
    };
    const app = apiOf(view, { tell });
    const answer = await app.request(`http://127.0.0.1/v1/plans/update/${path}`, { method: 'POST' }, NEAR);
    expect(answer.status).toBe(200);
    expect(commands).toEqual([{ kind: 'plan', plan: 'update', verb, step, force: false, by: '127.0.0.1' }]);
  });

  test.each([
    ['restart?phase=nope', 404, 'There are etcd.'],
    ['restart?phase=etcd&step=nope', 404, 'There are etcd-0:[server].'],
    ['restart?step=etcd-0:[server]', 400, 'a step is named by its phase'],
    ['start?force=yes', 400, 'force is yes'],
    ['restart?pahse=etcd', 400, '/v1/plans/update/restart takes no pahse in its query'],
    ['forceComplete', 400, 'a step is named by its phase'],
    ['forceComplete?phase=etcd', 400, 'a step is forced, not a whole phase'],
    ['explode', 404, 'nothing is at'],
  ] as const)('are not told %s: %i', async (path, status, text) => {
    const view = sampleView({ plans: [{ ...plan('WAITING'), name: 'update', phases: [PHASE] }] });
    const answer = await apiOf(view).request(
      `http://127.0.0.1/v1/plans/update/${path}`,
      { method: 'POST' },
      NEAR,
    );
    expect(answer.status).toBe(status);
    expect(await answer.text()).toContain(text);
  });

  test('that bear no such word, or bore it before, answer 409 and 208', async () => {
    const ask = async (answer: CommandAnswer) =>
      await apiOf(sampleView({ plans: [plan('WAITING')] }), { tell: () => Promise.resolve(answer) }).request(
        'http://127.0.0.1/v1/plans/deploy/start',
        { method: 'POST' },
        NEAR,
      );
    const refused = await ask({ outcome: 'refused', message: 'not that', hint: 'But this.' });
    expect([refused.status, await refused.json()]).toEqual([409, { error: 'not that', hint: 'But this.' }]);
    const already = await ask({ outcome: 'already', message: 'long ago' });
    expect([already.status, await already.text()]).toEqual([
      208,
      'Command has already been reported or completed: long ago\n',
    ]);
  });

  test('an uninstall must say whether the data may go', async () => {
    const ask = (body: string) =>
      apiOf(sampleView()).request('http://127.0.0.1/v1/uninstall', { method: 'POST', body }, NEAR);
    expect((await ask('{}')).status).toBe(400);
    expect((await ask('not json')).status).toBe(400);
    expect(await (await ask('{"destroyData":true}')).json()).toEqual({ outcome: 'done', message: 'told' });
  });

  test('a service that is uninstalled is healthy: nothing is wrong with it', async () => {
    const view = sampleView({
      uninstall: { confirmed: true, done: true, skipped: [] },
      health: { state: 'unknown', voters: 0, healthyVoters: 0, leader: null },
    });
    expect((await get(view, '/v1/health')).status).toBe(200);
  });
});

describe('endpoints', () => {
  test('are named, and described under each name', async () => {
    expect(await bodyOf(sampleView(), '/v1/endpoints')).toEqual(['client', 'etcd-servers', 'peer']);
    expect(await bodyOf(sampleView(), '/v1/endpoints/client')).toEqual({
      address: ['10.0.0.1:31001', '10.0.0.2:31001', '10.0.0.3:31001'],
      dns: ['node-0.example:31001', 'node-1.example:31001', 'node-2.example:31001'],
      url: ['http://10.0.0.1:31001', 'http://10.0.0.2:31001', 'http://10.0.0.3:31001'],
      srv: '_etcd-client._tcp.etcd.mesos',
      vip: 'client.etcd.l4lb.thisdcos.directory:2379',
    });
    expect(await bodyOf(sampleView(), '/v1/endpoints/peer')).toMatchObject({
      address: ['10.0.0.1:31000', '10.0.0.2:31000', '10.0.0.3:31000'],
      srv: '_etcd-server._tcp.etcd.mesos',
    });
    expect(await bodyOf(sampleView(), '/v1/endpoints/peer')).not.toHaveProperty('vip');
    const servers = await get(sampleView(), '/v1/endpoints/etcd-servers');
    expect(servers.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(await servers.text()).toBe('http://10.0.0.1:31001,http://10.0.0.2:31001,http://10.0.0.3:31001\n');
  });

  test('tell agents apart that share an address', async () => {
    const at = (index: number) =>
      sampleMember(index, {
        host: '10.0.0.1',
        ports: { peer: 31_000 + 3 * index, client: 31_001 + 3 * index, supervisor: 31_002 + 3 * index },
      });
    const view = sampleView({
      members: [at(0), at(1)],
      endpoints: { client: ['http://10.0.0.1:31001', 'http://10.0.0.1:31004'], peer: [] },
    });
    expect(await bodyOf(view, '/v1/endpoints/client')).toMatchObject({
      dns: ['node-0.example:31001', 'node-1.example:31004'],
    });
  });

  test('keep the brackets of IPv6', async () => {
    const view = sampleView({
      members: [sampleMember(0, { host: 'fd00::1' })],
      endpoints: { client: ['http://[fd00::1]:31001'], peer: [] },
    });
    expect(await bodyOf(view, '/v1/endpoints/client')).toMatchObject({
      address: ['[fd00::1]:31001'],
      dns: ['node-0.example:31001'],
    });
  });

  test('are not published before the cluster has formed, and the answer says why', async () => {
    const view = sampleView(FORMING);
    expect(await bodyOf(view, '/v1/endpoints')).toEqual([]);
    for (const name of ['client', 'peer', 'etcd-servers']) {
      const answer = await get(view, `/v1/endpoints/${name}`);
      expect(answer.status).toBe(503);
      expect(await answer.text()).toContain('no offer has 8 cpus: 4 are missing');
    }
    expect((await get(null, '/v1/endpoints')).status).toBe(503);
    expect((await get(sampleView(), '/v1/endpoints/admin')).status).toBe(404);
  });
});

describe('pods', () => {
  test('have the shape that DC/OS knows', async () => {
    const successor = sampleMember(1, {
      seat: 'etcd-1-new',
      task: 'etcd-1__new',
      mesosState: 'TASK_STAGING',
    });
    const named = sampleMember(0, {
      nameTask: { task: 'etcd-0-client__0000', mesosState: 'TASK_RUNNING' },
    });
    const view = sampleView({ members: [emptySlot('etcd-2'), sampleMember(1), successor, named] });
    expect(await bodyOf(view, '/v1/pod')).toEqual(['etcd-0', 'etcd-1', 'etcd-2']);
    expect(await bodyOf(view, '/v1/pod/status')).toEqual({
      service: 'etcd',
      pods: [
        {
          name: 'etcd',
          instances: [
            {
              name: 'etcd-0',
              tasks: [
                { id: 'etcd-0__0000-0000', name: 'etcd-0-server', status: 'RUNNING' },
                { id: 'etcd-0-client__0000', name: 'etcd-0-client', status: 'RUNNING' },
              ],
            },
            {
              name: 'etcd-1',
              tasks: [
                { id: 'etcd-1__0000-0001', name: 'etcd-1-server', status: 'RUNNING' },
                { id: 'etcd-1__new', name: 'etcd-1-server', status: 'STAGING' },
              ],
            },
            { name: 'etcd-2', tasks: [] },
          ],
        },
      ],
    });
    expect(await bodyOf(view, '/v1/pod/etcd-2/status')).toEqual({ name: 'etcd-2', tasks: [] });
    const unknown = await get(view, '/v1/pod/etcd-9/status');
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({ error: 'Pod etcd-9 not found' });
  });
});

describe('health', () => {
  const NO_ARCHIVE = { code: 'no-archive', message: 'no archive is configured' };
  const health = (state: PublishedView['health']['state'], more: Partial<PublishedView> = {}) =>
    sampleView({ health: { state, voters: 3, healthyVoters: 2, leader: null }, ...more });
  const disconnected = { ...sampleView().mesos, subscribed: false, problem: 'connection refused' };

  test.for<[string, PublishedView | null, number, number]>([
    ['nothing yet', null, 503, 318],
    [
      'not registered',
      sampleView({ framework: { name: 'e', id: null, generation: 1 }, mesos: disconnected }),
      503,
      318,
    ],
    ['forming', sampleView(FORMING), 503, 202],
    ['healthy', sampleView(), 200, 200],
    [
      'healthy while a member moves',
      sampleView({ intent: { slot: 'etcd-1', reason: 'r', step: 's' } }),
      200,
      203,
    ],
    ['healthy without a master', sampleView({ mesos: disconnected }), 200, 200],
    ['healthy without an archive', sampleView({ warnings: [NO_ARCHIVE] }), 200, 200],
    ['degraded', health('degraded'), 200, 203],
    ['quorum lost', health('quorum-lost'), 503, 500],
    ['unknown', health('unknown'), 503, 500],
    ['needs a user', health('needs-user'), 200, 203],
    [
      'needs a user, and no quorum is known of',
      sampleView({ health: { state: 'needs-user', voters: 3, healthyVoters: 0, leader: null } }),
      503,
      500,
    ],
  ])('%s', async ([, view, code, value]) => {
    const answer = await get(view, '/v1/health');
    expect([answer.status, ((await answer.json()) as { value: number }).value]).toEqual([code, value]);
    const old = await get(view, '/healthz');
    expect(old.status).toBe(code === 200 ? 200 : 500);
    expect(await bodyOf(view, '/stats')).toMatchObject({ healthy: code === 200 ? 1 : 0 });
  });

  test('gives its reasons', async () => {
    expect(await bodyOf(sampleView({ mesos: disconnected }), '/v1/health')).toEqual({
      value: 200,
      reasons: ['no Mesos master: connection refused'],
    });
    const warnings = [NO_ARCHIVE, { code: 'zone-holds-majority', message: 'zone z1 holds 2 of 3 members' }];
    expect(await bodyOf(sampleView({ warnings }), '/v1/health')).toEqual({
      value: 200,
      reasons: ['no archive is configured'],
    });
    expect(await bodyOf(sampleView(FORMING), '/v1/health')).toEqual({
      value: 202,
      reasons: ['the cluster has not formed yet', 'etcd-0: no offer has 8 cpus: 4 are missing'],
    });
  });
});

test('the paths of 2015 keep their fields', async () => {
  expect(await bodyOf(sampleView(), '/stats')).toEqual({
    running_servers: 3,
    launched_servers: 3,
    failed_servers: 1,
    cluster_livelocks: 0,
    cluster_reseeds: 0,
    healthy: 1,
  });
  const lost = sampleMember(1, { mesosState: 'TASK_LOST' });
  expect(
    await bodyOf(sampleView({ members: [sampleMember(0), lost, emptySlot('etcd-2')] }), '/members'),
  ).toEqual([
    {
      name: 'etcd-0',
      host: '10.0.0.1',
      rpcPort: 31_000,
      clientPort: 31_001,
      httpPort: 31_002,
      type: 'existing',
      slaveID: 'agent-0',
    },
  ]);
  expect(await (await get(sampleView(), '/healthz')).text()).toBe('cluster is healthy\n');
  expect(await bodyOf(null, '/members')).toEqual([]);
});

test('metrics say what the view says, every series of the table', async () => {
  const view = sampleView({
    archive: sampleArchive({ state: 'away', lagMs: 1_500, lastVerification: null }),
    blocked: [
      { code: 'waits-for-offers', slot: 'etcd-0', message: 'm' },
      { code: 'waits-for-offers', slot: 'etcd-1', message: 'm' },
    ],
  });
  const answer = await get(view, '/v1/metrics/prometheus');
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  const text = await answer.text();
  for (const series of SERIES) expect(text).toContain(`# HELP ${METRIC_PREFIX}${series.name} ${series.help}`);
  const lines = text.split('\n');
  for (const line of [
    'etcd_mesos_cluster_voters 3',
    'etcd_mesos_cluster_health{state="healthy"} 1',
    'etcd_mesos_cluster_health{state="quorum-lost"} 0',
    'etcd_mesos_blocked{code="waits-for-offers"} 2',
    'etcd_mesos_task_updates_total{state="TASK_RUNNING"} 3',
    'etcd_mesos_archive_configured 1',
    'etcd_mesos_archive_state{state="away"} 1',
    'etcd_mesos_archive_state{state="following"} 0',
    'etcd_mesos_archive_lag_seconds 1.5',
    'etcd_mesos_archive_last_full_timestamp_seconds 1767237420',
    'etcd_mesos_archive_last_verification_timestamp_seconds 0',
    'etcd_mesos_scheduler_pass_seconds_total 2.5',
    'etcd_mesos_member_is_leader{slot="etcd-0",seat="etcd-0-a1b2",member="8e9e05c52164694d"} 1',
    'etcd_mesos_member_db_size_bytes{slot="etcd-2",seat="etcd-2-a1b2",member="91bc3c398fb3c146"} 20480',
  ]) {
    expect(lines).toContain(line);
  }
});

test('metrics of members that are gone go, and counters do not add up twice', async () => {
  const metrics = createMetrics();
  await metrics.render(sampleView());
  const text = await metrics.render(sampleView({ members: [sampleMember(1), emptySlot('etcd-0')] }));
  expect(text).not.toContain('slot="etcd-0"');
  expect(text).toContain('etcd_mesos_tasks_launched_total 3');
});

describe('the rest', () => {
  test('the view comes back as it was', async () => {
    expect(await bodyOf(sampleView(), '/v1/view')).toEqual(sampleView());
    expect((await get(null, '/v1/view')).status).toBe(503);
  });

  test('the framework id is in an array, and absent before there is one', async () => {
    expect(await bodyOf(sampleView(), '/v1/state/frameworkId')).toEqual(['3f0b-0000']);
    const view = sampleView({ framework: { name: 'etcd', id: null, generation: 1 } });
    expect((await get(view, '/v1/state/frameworkId')).status).toBe(404);
  });

  test('offers are explained in the form of DC/OS', async () => {
    const memory = { requirement: 'mem', ok: false, needed: 512, offered: 12, missing: 500, unit: 'MB' };
    const report: OfferReport = {
      summaries: [
        {
          slot: 'etcd-0',
          sinceMs: 0,
          lastMs: 61_000,
          looked: 9,
          fitted: 0,
          failed: [{ requirement: 'mem', offers: 9 }],
        },
      ],
      explanations: [
        {
          atMs: 0,
          slot: 'etcd-0',
          offerId: 'o-1',
          agentId: 'a-1',
          hostname: 'node-0',
          zone: 'z1',
          outcome: 'fail',
          explanation: 'mem: 512 MB needed, 12 MB free, 500 MB missing',
          requirements: [memory],
        },
      ],
    };
    for (const path of ['/v1/debug/offers', '/v2/debug/offers']) {
      const answer: unknown = await (
        await apiOf(sampleView(), { offers: report }).request(path, {}, FAR)
      ).json();
      expect(debugOffersSchema.parse(answer)).toEqual(answer);
      expect(answer).toEqual({
        summary: [
          {
            'pod-instance-name': 'etcd-0',
            since: '1970-01-01T00:00:00.000Z',
            last: '1970-01-01T00:01:01.000Z',
            looked: 9,
            fitted: 0,
            failed: [{ requirement: 'mem', offers: 9 }],
          },
        ],
        offers: [
          {
            timestamp: '1970-01-01T00:00:00.000Z',
            'pod-instance-name': 'etcd-0',
            outcome: 'fail',
            explanation: 'mem: 512 MB needed, 12 MB free, 500 MB missing',
            requirements: [memory],
            offer: { id: 'o-1', agent_id: 'a-1', hostname: 'node-0', zone: 'z1' },
          },
        ],
      });
    }
  });

  test('the tarball is served with its checksum', async () => {
    const path = '/v1/artifacts/etcd-mesos.tar.gz';
    const answer = await get(null, path);
    expect(answer.headers.get('etag')).toBe(`"${'ab'.repeat(32)}"`);
    expect(answer.headers.get('content-length')).toBe('9');
    expect(await answer.text()).toBe('a tarball');
    const again = await get(null, path, { headers: { 'if-none-match': `"${'ab'.repeat(32)}"` } });
    expect([again.status, await again.text()]).toEqual([304, '']);
    const head = await get(null, path, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '9', '']);
    expect((await get(null, '/v1/artifacts/other')).status).toBe(404);
  });

  test('what is not there, and what is not for that method, is said in JSON', async () => {
    const missing = await get(sampleView(), '/v1/nothing');
    expect(missing.status).toBe(404);
    expect(await missing.json()).toEqual({
      error: 'nothing is at /v1/nothing',
      hint: 'GET / lists what there is.',
    });
    const wrong = await get(sampleView(), '/v1/pod', { method: 'POST' });
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    expect((await get(sampleView(), '/reseed')).status).toBe(404);
  });

  test('JSON is indented by two spaces and ends its line', async () => {
    const text = await (await get(sampleView(), '/v1/pod')).text();
    expect(text).toBe('[\n  "etcd-0",\n  "etcd-1",\n  "etcd-2"\n]\n');
  });

  test('the space is for those who may read data: it names keys', async () => {
    expect((await get(sampleView(), '/v1/space')).status).toBe(403);
    const near = await apiOf(sampleView()).request('http://127.0.0.1/v1/space', {}, NEAR);
    const answer = spaceAnswerSchema.parse(await near.json());
    expect(answer.members[0]).toMatchObject({ slot: 'etcd-0', dbSizeBytes: 20_480, quotaBytes: 2 ** 31 });
    expect(answer.prefixes).toEqual({ slot: 'etcd-1', report: REPORT });
  });

  test('alarms are told with the slot that they name', async () => {
    const alarm = { memberId: '91bc3c398fb3c146', alarm: 'NOSPACE' };
    const members = [0, 1, 2].map((index) => sampleMember(index, { alarms: [alarm] }));
    expect(await bodyOf(sampleView({ members }), '/v1/alarms')).toEqual([{ ...alarm, slot: 'etcd-2' }]);
    expect(await bodyOf(sampleView(), '/v1/alarms')).toEqual([]);
  });

  test('the database is worked on as it is asked for, or it is said what was wrong', async () => {
    const commands: unknown[] = [];
    const tell: Tell = (command) => {
      commands.push(command);
      return Promise.resolve({ outcome: 'done', message: 'told' });
    };
    const post = async (path: string) =>
      await apiOf(sampleView(), { tell }).request(`http://127.0.0.1${path}`, { method: 'POST' }, NEAR);
    expect((await post('/v1/defragment')).status).toBe(200);
    expect((await post('/v1/defragment?slot=etcd-1&force=true')).status).toBe(200);
    expect((await post('/v1/alarms/nospace/disarm')).status).toBe(200);
    const by = '127.0.0.1';
    expect(commands).toEqual([
      { kind: 'defragment', slot: null, by, force: false },
      { kind: 'defragment', slot: 'etcd-1', by, force: true },
      { kind: 'disarm', alarm: 'NOSPACE', by },
    ]);
    expect((await post('/v1/defragment?force=yes')).status).toBe(400);
    const unknown = await post('/v1/defragment?slot=etcd-9');
    expect([unknown.status, await unknown.json()]).toEqual([
      404,
      { error: 'Pod etcd-9 not found', hint: 'There are etcd-0, etcd-1, etcd-2.' },
    ]);
    // It would have rewritten all of them.
    const mistyped = await post('/v1/defragment?solt=etcd-1');
    expect([mistyped.status, await mistyped.json()]).toEqual([
      400,
      {
        error: '/v1/defragment takes no solt in its query',
        hint: 'It takes slot, force. Nothing was changed.',
      },
    ]);
    expect((await post('/v1/alarms/nospace/disarm?force=true')).status).toBe(400);
    expect(commands).toHaveLength(3);
    expect((await post('/v1/alarms/other/disarm')).status).toBe(404);
  });

  test('the first page lists every route', async () => {
    const { routes } = (await bodyOf(sampleView(), '/')) as { routes: { path: string }[] };
    expect(routes.map((route) => route.path)).toContain('/v1/endpoints/:name');
  });

  test('a failing source is an error of the server, without its details', async () => {
    const app = createApi({
      view: () => {
        throw new Error('a secret detail');
      },
      offers: () => ({ summaries: [], explanations: [] }),
      metrics: createMetrics(),
      tell: () => Promise.resolve({ outcome: 'done', message: 'told' }),
      measure: () => Promise.resolve({ slot: null, problem: 'none' }),
      fulls: NO_FULLS,
      liveness: () => LEADS,
      artifacts: [],
      token: null,
      logger: silentLogger,
    });
    const answer = await app.request('/v1/view', {}, FAR);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain('secret');
  });
});

describe('access', () => {
  const routes: readonly ApiRoute[] = [
    status('/status', '', (context) => context.text('status')),
    { method: 'get', path: '/data', access: 'data', about: '', handler: (context) => context.text('data') },
    // It calls itself status, but it is not a GET.
    {
      method: 'post',
      path: '/change',
      access: 'status',
      about: '',
      handler: (context) => context.text('changed'),
    },
    {
      method: 'put',
      path: '/body',
      access: 'data',
      about: '',
      handler: async (context) => context.text(String((await context.req.text()).length)),
    },
  ];
  const send = async (
    token: string | null,
    [method, path]: readonly [string, string],
    bindings: { remoteAddress: string | null },
    headers: Record<string, string> = {},
  ) => {
    const app = new Hono<ApiEnvironment>();
    mountRoutes(app, routes, token);
    return await app.request(`http://127.0.0.1:1${path}`, { method, headers }, bindings);
  };
  const DATA = ['GET', '/data'] as const;
  const CHANGE = ['POST', '/change'] as const;

  test('status is for everybody', async () => {
    for (const bindings of [FAR, NEAR, { remoteAddress: null }]) {
      expect((await send('t', ['GET', '/status'], bindings)).status).toBe(200);
    }
  });

  test('over loopback no token is needed', async () => {
    for (const address of ['127.0.0.1', '127.9.0.1', '::1', '::ffff:127.0.0.1']) {
      for (const token of ['t', null]) {
        expect((await send(token, DATA, { remoteAddress: address })).status).toBe(200);
        expect((await send(token, CHANGE, { remoteAddress: address })).status).toBe(200);
      }
    }
  });

  test('from elsewhere the token is asked for', async () => {
    for (const what of [DATA, CHANGE]) {
      const missing = await send('right', what, FAR);
      expect([missing.status, missing.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
      for (const authorization of ['Bearer wrong', 'Basic right', 'right', 'Bearer ', 'Bearer right x']) {
        expect((await send('right', what, FAR, { authorization })).status).toBe(401);
      }
      expect((await send('right', what, FAR, { authorization: 'Bearer right' })).status).toBe(200);
      expect((await send('right', what, FAR, { authorization: 'bearer  right' })).status).toBe(200);
      expect((await send('right', what, { remoteAddress: null })).status).toBe(401);
    }
  });

  test('without a token configured nothing but status leaves the machine', async () => {
    const answer = await send(null, DATA, FAR, { authorization: 'Bearer anything' });
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain('--api-token-file');
    expect((await send(null, CHANGE, FAR)).status).toBe(403);
  });

  test('a proxy or a foreign page on this machine is not this machine', async () => {
    for (const headers of [
      { 'x-forwarded-for': '10.1.1.1' },
      { forwarded: 'for=10.1.1.1' },
      { origin: 'http://evil.example' },
      { origin: 'null' },
    ]) {
      expect((await send('t', CHANGE, NEAR, headers as Record<string, string>)).status).toBe(401);
    }
    expect((await send('t', CHANGE, NEAR, { origin: 'http://127.0.0.1:1' })).status).toBe(200);
    const app = new Hono<ApiEnvironment>();
    mountRoutes(app, routes, 't');
    const rebound = await app.request('http://evil.example:1/change', { method: 'POST' }, NEAR);
    expect(rebound.status).toBe(401);
  });

  test('a body has a limit', async () => {
    const app = new Hono<ApiEnvironment>();
    mountRoutes(app, routes, null);
    const put = async (sizeBytes: number) =>
      await app.request('http://localhost/body', { method: 'PUT', body: 'x'.repeat(sizeBytes) }, NEAR);
    expect(await (await put(BODY_BYTES_MAX)).text()).toBe(String(BODY_BYTES_MAX));
    expect((await put(BODY_BYTES_MAX + 1)).status).toBe(413);
  });

  test('loopback is known by its address alone', () => {
    for (const address of [null, '', '10.0.0.1', '128.0.0.1', '::', '::2', '127.evil', '1127.0.0.1']) {
      expect(isLoopback(address)).toBe(false);
    }
  });
});
