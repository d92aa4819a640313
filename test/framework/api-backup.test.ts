import { Hono } from 'hono';
import { describe, expect, test } from 'vitest';
import { ArchiveError } from '../../src/backup/errors.ts';
import type { Full } from '../../src/backup/full.ts';
import type { Clock } from '../../src/base/ports.ts';
import { type ApiEnvironment, mountRoutes } from '../../src/framework/api-access.ts';
import { backupRoutes } from '../../src/framework/api-backup.ts';
import { createFullRequests } from '../../src/framework/full-requests.ts';
import { backupAnswerSchema } from '../../src/protocol/backup-answer.ts';
import type { PublishedArchive } from '../../src/protocol/view.ts';
import { sampleArchive, sampleView } from './sample-view.ts';

const FULL: Full = {
  name: '000000000005000-00000003',
  document: {
    format: 'etcd-mesos full',
    version: 1,
    archiveId: 'a1',
    epoch: 1,
    clusterId: 'c1',
    generation: 3,
    memberId: 'm1',
    etcdVersion: '3.5.30',
    sizeBytes: 4096,
    sha256: 'ab'.repeat(32),
    revision: '70',
    revisionAtLeast: '69',
    authRevision: '1',
    startedAtMs: 5_000,
    finishedAtMs: 6_000,
    reason: 'r',
    madeFrom: null,
    lineage: null,
  },
};
const TAKEN = { outcome: 'taken', name: FULL.name, revision: '70', sizeBytes: 4096, startedAtMs: 5_000 };

/** As long as nobody lets it go on, every sleep is over at once: no answer is waited for. */
const IMPATIENT: Clock = { wallMs: () => 7, monotonicMs: () => 7, sleep: () => Promise.resolve() };
const PATIENT: Clock = { ...IMPATIENT, sleep: async () => await new Promise<void>(() => undefined) };

function apiOf(
  archive: PublishedArchive | null,
  { clock = PATIENT, fullNow = (): Promise<Full> => Promise.resolve(FULL) } = {},
) {
  const reasons: string[] = [];
  const fulls = createFullRequests({
    clock,
    fullNow: async (reason) => {
      reasons.push(reason);
      return await fullNow();
    },
  });
  const app = new Hono<ApiEnvironment>();
  mountRoutes(app, backupRoutes({ view: () => sampleView({ archive }), fulls }), null);
  const get = async (path = '/v1/backup') => await app.request(path, {}, { remoteAddress: '10.9.9.9' });
  const post = async (body = '', remoteAddress = '127.0.0.1') => {
    const headers = { 'x-etcd-mesos-operator': 'alice@desk' };
    return await app.request('/v1/backup', { method: 'POST', headers, body }, { remoteAddress });
  };
  return { reasons, get, post };
}
const told = async (response: Response) => [response.status, await response.json()];
const problem = (error: string) => ({ error: expect.stringContaining(error), hint: expect.any(String) });

describe('GET /v1/backup', () => {
  test('is the archive’s part of the view, for anybody', async () => {
    expect(await told(await apiOf(sampleArchive()).get())).toEqual([200, sampleArchive()]);
  });

  test('says that none is configured', async () => {
    expect(await told(await apiOf(null).get())).toEqual([404, problem('no archive is configured')]);
  });
});

describe('POST /v1/backup', () => {
  test('answers with the full once it is there, and keeps why and who', async () => {
    const { post, reasons } = apiOf(sampleArchive());
    expect(await told(await post('{"reason": "before the migration"}'))).toEqual([200, TAKEN]);
    expect(await told(await post())).toEqual([200, TAKEN]);
    expect(reasons).toEqual([
      'before the migration (asked for by alice@desk at 127.0.0.1)',
      'asked for by alice@desk at 127.0.0.1',
    ]);
  });

  test('takes no longer to answer than is waited for: what came of it is asked for by its id', async () => {
    let taken: (full: Full) => void = () => undefined;
    const fullNow = () =>
      new Promise<Full>((resolve) => {
        taken = resolve;
      });
    const { post, get } = apiOf(sampleArchive(), { clock: IMPATIENT, fullNow });
    const response = await post();
    expect(response.status).toBe(202);
    const first = backupAnswerSchema.parse(await response.json());
    if (first.outcome !== 'under-way') throw new Error('it was not taken yet');
    const path = `/v1/backup/requests/${first.id}`;
    expect(await told(await get(path))).toEqual([202, first]);
    taken(FULL);
    await Promise.resolve();
    expect(await told(await get(path))).toEqual([200, TAKEN]);
    expect(await told(await get('/v1/backup/requests/5-1'))).toEqual([
      404,
      problem('no full was asked for as 5-1'),
    ]);
  });

  test.for<[string, PublishedArchive | null, string]>([
    ['none is configured', null, 'no archive is configured'],
    ['refused', sampleArchive({ state: 'refused', problem: 'of web' }), 'is not written: of web'],
    ['away', sampleArchive({ state: 'away', problem: 'no route' }), 'takes nothing: no route'],
    ['not open yet', sampleArchive({ state: 'starting' }), 'is not open yet'],
  ])('is refused where the archive is: %s', async ([, archive, error]) => {
    const { post, reasons } = apiOf(archive);
    expect(await told(await post())).toEqual([409, problem(error)]);
    expect(reasons).toEqual([]);
  });

  test('says why it came to nothing', async () => {
    const fullNow = () => Promise.reject(new ArchiveError('missing', 'no member is known'));
    const { post } = apiOf(sampleArchive(), { fullNow });
    expect(await told(await post())).toEqual([503, problem('no full backup was taken: no member is known')]);
  });

  test('does not let requests pile up', async () => {
    const fullNow = () => new Promise<Full>(() => undefined);
    const { post } = apiOf(sampleArchive(), { clock: IMPATIENT, fullNow });
    for (let request = 0; request < 4; request += 1) expect((await post()).status).toBe(202);
    expect(await told(await post())).toEqual([409, problem('several fulls are waited for')]);
  });

  test.for([
    'five',
    '{"reason": 5}',
    '{"reason": ""}',
    '{"why": "x"}',
    '[]',
    `{"reason": "${'x'.repeat(201)}"}`,
  ])('refuses %s before anybody is asked', async (body) => {
    const { post, reasons } = apiOf(sampleArchive());
    expect((await post(body)).status).toBe(400);
    expect(reasons).toEqual([]);
  });

  test('takes a token from afar', async () => {
    const { post, reasons } = apiOf(sampleArchive());
    expect((await post('', '10.9.9.9')).status).toBe(403);
    expect(reasons).toEqual([]);
  });
});
