import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createFetchCache } from '../../src/local/fetch-cache.ts';
import { fetchUri } from '../../src/local/fetcher.ts';
import type { CommandUri } from '../../src/mesos/wire.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { skipWithout } from '../needs.ts';
import { clock } from './container-world.ts';

const BYTES_MAX = 10_000;
const http = createHttpTransport();
let server: Server;
let base = '';
/** Paths that were asked for, in their order. */
let asked: string[] = [];
let directory = '';
let cache: ReturnType<typeof createFetchCache>;

beforeAll(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? '';
    asked.push(path);
    if (path === '/unsized') response.writeHead(200).write('a', () => response.end('b'));
    else if (path.endsWith('.tgz')) response.end(readFileSync(join(directory, 'package.tgz')));
    else if (path.startsWith('/bytes/')) response.end(Buffer.alloc(Number(path.split('/')[2]), path));
    else response.writeHead(404).end('no such file');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
});
afterAll(async () => {
  await http.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
beforeEach(() => {
  asked = [];
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-cache-'));
  mkdirSync(join(directory, 'package'));
  writeFileSync(join(directory, 'package/file'), 'packed');
  execFileSync('tar', ['-czf', join(directory, 'package.tgz'), '-C', directory, 'package']);
  cache = createFetchCache({ directory: join(directory, 'cache'), bytesMax: BYTES_MAX });
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

let sandboxes = 0;
async function bring(path: string, given: Partial<CommandUri> = {}, user = 'root'): Promise<string> {
  sandboxes += 1;
  const sandbox = join(directory, `sandbox-${sandboxes}`);
  mkdirSync(sandbox);
  const uri = { value: `${base}${path}`, cache: true, ...given };
  await fetchUri({ uri, user, sandbox, cache, http, clock, signal: new AbortController().signal });
  return sandbox;
}
const kept = () => readdirSync(join(directory, 'cache')).length;

test('what was fetched once is copied from then on, for the same user and URI', async () => {
  const first = await bring('/bytes/10/a', { output_file: 'file', executable: true });
  const second = await bring('/bytes/10/a', { output_file: 'file' });
  expect(readFileSync(join(second, 'file'))).toEqual(readFileSync(join(first, 'file')));
  expect(asked).toEqual(['/bytes/10/a']);
  await bring('/bytes/10/a', {}, 'nobody');
  await bring('/bytes/10/a', { cache: false });
  expect(asked).toHaveLength(3);
});

test('who comes while it is on its way waits for it', async () => {
  const all = await Promise.all(Array.from({ length: 5 }, () => bring('/bytes/5000/a')));
  expect(asked).toEqual(['/bytes/5000/a']);
  expect(all.every((sandbox) => readFileSync(join(sandbox, 'a')).length === 5000)).toBe(true);
});

test('a cached archive is unpacked and not left in the sandbox', async () => {
  for (const _ of [1, 2]) {
    const sandbox = await bring('/package.tgz');
    expect(readFileSync(join(sandbox, 'package/file'), 'utf8')).toBe('packed');
    expect(existsSync(join(sandbox, 'package.tgz'))).toBe(false);
  }
  expect(existsSync(join(await bring('/package.tgz', { extract: false }), 'package.tgz'))).toBe(true);
  expect(asked).toHaveLength(1);
});

test('the least recently used makes room; what does not fit at all passes the cache by', async () => {
  await bring('/bytes/4000/a');
  await bring('/bytes/4000/b');
  await bring('/bytes/4000/a');
  await bring('/bytes/4000/c');
  expect(kept()).toBe(2);
  await bring('/bytes/4000/a');
  expect(asked).toEqual(['/bytes/4000/a', '/bytes/4000/b', '/bytes/4000/c']);
  await bring('/bytes/4000/b');
  const large = await bring('/bytes/10001/d');
  expect(readFileSync(join(large, 'd'))).toHaveLength(10_001);
  expect(kept()).toBeLessThanOrEqual(2);
});

test('what has no known size, or is not there, passes the cache by', async () => {
  const sandbox = await bring('/unsized');
  expect(readFileSync(join(sandbox, 'unsized'), 'utf8')).toBe('ab');
  await expect(bring('/nothing')).rejects.toMatchObject({ code: 'not-there' });
  expect(kept()).toBe(0);
  await bring('/unsized');
  expect(asked.filter((path) => path === '/unsized')).toHaveLength(4);
});

test('a gzip file is unpacked beside itself, and one that is none is told', async () => {
  writeFileSync(join(directory, 'plain'), 'text');
  execFileSync('gzip', ['-k', join(directory, 'plain')]);
  const sandbox = await bring('', { value: join(directory, 'plain.gz'), cache: false });
  expect(readFileSync(join(sandbox, 'plain'), 'utf8')).toBe('text');
  await expect(
    bring('', { value: join(directory, 'package.tgz'), output_file: 'a.gz' }),
  ).resolves.toBeDefined();
  await expect(bring('', { value: join(directory, 'plain'), output_file: 'b.gz' })).rejects.toMatchObject({
    code: 'unpack-failed',
  });
});

test('a zip file is unpacked', async (context) => {
  skipWithout(context, 'zip', 'unzip');
  execFileSync('zip', ['-q', '-r', 'package.zip', 'package'], { cwd: directory });
  const other = await bring('', { value: join(directory, 'package.zip') });
  expect(readFileSync(join(other, 'package/file'), 'utf8')).toBe('packed');
});
