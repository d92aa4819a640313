import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { renderArchive } from '../../src/cli/backup-now.ts';
import { plain } from '../../src/cli/style.ts';
import { sampleArchive, sampleView } from '../framework/sample-view.ts';
import { runCli } from './run-cli.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

type Answer = readonly [status: number, body: unknown];

/** A scheduler that gives each request the next of its path's answers, and the last one ever after. */
async function schedulerOf(answers: Readonly<Record<string, readonly Answer[]>>) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = `${request.method} ${request.url}`;
    const before = asked.filter((one) => one.startsWith(path)).length;
    const [status, body] = answers[path]?.[before] ??
      answers[path]?.at(-1) ?? [500, { error: path, hint: '' }];
    let text = '';
    request.on('data', (piece: Buffer) => {
      text += piece.toString();
    });
    request.on('end', () => {
      asked.push(`${path} ${text}`.trim());
      response.writeHead(status, { connection: 'close' }).end(JSON.stringify(body));
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const TAKEN = { outcome: 'taken', name: 'f1', revision: '70', sizeBytes: 4096, startedAtMs: 5_000 };
const UNDER_WAY = { outcome: 'under-way', id: '7-1', message: 'the full backup is being taken' };

describe('backup now', () => {
  test('asks until the full is there', async () => {
    const { url, asked } = await schedulerOf({
      'POST /v1/backup': [[202, UNDER_WAY]],
      'GET /v1/backup/requests/7-1': [
        [202, UNDER_WAY],
        [200, TAKEN],
      ],
    });
    const { code, stdout, stderr } = await runCli([
      'backup',
      'now',
      '--reason',
      'a move',
      '--scheduler',
      url,
    ]);
    expect([code, stdout, stderr]).toEqual([
      0,
      'full f1, revision 70, 4.0 KiB: it was read back whole\n',
      '',
    ]);
    expect(asked).toEqual([
      'POST /v1/backup {"reason":"a move"}',
      'GET /v1/backup/requests/7-1',
      'GET /v1/backup/requests/7-1',
    ]);
  });

  test('prints the answer as JSON, and ends at once if it is to', async () => {
    const { url } = await schedulerOf({ 'POST /v1/backup': [[202, UNDER_WAY]] });
    const { code, stdout } = await runCli(['backup', 'now', '--no-wait', '--json', '--scheduler', url]);
    expect([code, JSON.parse(stdout)]).toEqual([0, UNDER_WAY]);
  });

  test('says why there is none', async () => {
    const refusal = { error: 'no archive is configured', hint: 'Start the scheduler with --archive.' };
    const { url } = await schedulerOf({ 'POST /v1/backup': [[409, refusal]] });
    const { code, stderr } = await runCli(['backup', 'now', '--scheduler', url]);
    expect([code, stderr]).toEqual([1, expect.stringContaining('no archive is configured')]);
    expect(stderr).toContain('--archive');
  });
});

describe('backup status', () => {
  test('ends with 1 where there is something to warn of', async () => {
    const gap = { code: 'archive-gap', message: 'revisions 5 to 6 are not in it' };
    const views = [sampleView({ archive: sampleArchive() }), sampleView({ warnings: [gap] })];
    const { url } = await schedulerOf({
      'GET /v1/view': views.map((view) => [200, view] as const),
      'GET /v1/backup': [[200, sampleArchive()]],
    });
    const well = await runCli(['backup', 'status', '--scheduler', url]);
    expect([well.code, well.stdout]).toEqual([
      0,
      expect.stringMatching(/^archive {2}\/mnt\/archive is written; /),
    ]);
    const ill = await runCli(['backup', 'status', '--json', '--scheduler', url]);
    expect([ill.code, JSON.parse(ill.stdout)]).toEqual([1, sampleArchive()]);
  });

  test('shows all that is known, and what is in the way', () => {
    const warnings = [
      { code: 'zone-holds-majority', message: 'zone z1 holds 2 of 3 members' },
      { code: 'archive-gap', message: 'revisions 5 to 6 are not in it' },
    ];
    expect(renderArchive(sampleView({ archive: sampleArchive(), warnings }), plain)).toMatchInlineSnapshot(`
      "archive  /mnt/archive is written; it has everything up to revision 9007199254740993
        last full    001767237420000-00000002, revision 9007199254740900, 20.0 KiB, 23h47m ago, read back whole
        next full    2026-01-02T03:17:00Z
        last proof   revision 9007199254740990, 4m5s ago
        verified     4d22h ago: restored to revision 9007199254740000, 12 proofs agree
      archive-gap: revisions 5 to 6 are not in it
      "
    `);
    expect(renderArchive(sampleView(), plain)).toBe('archive  none is configured\n');
  });
});
