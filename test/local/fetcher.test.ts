import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { fetchUri } from '../../src/local/fetcher.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { clock } from './container-world.ts';

const http = createHttpTransport();
let server: Server;
let base = '';
let directory = '';
let sandbox = '';

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === '/tool?version=2') response.end('#!/bin/sh\necho tool\n');
    else if (request.url === '/moved') response.writeHead(302, { location: '/tool?version=2' }).end();
    else if (request.url === '/loop') response.writeHead(302, { location: '/loop' }).end();
    else if (request.url === '/silent') response.writeHead(200).write('a');
    else if (request.url === '/package.tgz') response.end(readFileSync(join(directory, 'package.tgz')));
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
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-fetcher-'));
  sandbox = join(directory, 'sandbox');
  mkdirSync(join(directory, 'package'));
  mkdirSync(sandbox);
  writeFileSync(join(directory, 'package/file'), 'packed');
  execFileSync('tar', ['-czf', join(directory, 'package.tgz'), '-C', directory, 'package']);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

type Uri = Parameters<typeof fetchUri>[0]['uri'];
const bring = (uri: Uri, rest: { bytesMax?: number; deadlineMs?: number } = {}) =>
  fetchUri({ uri, sandbox, http, clock, signal: new AbortController().signal, ...rest });
const mode = (file: string) => (statSync(join(sandbox, file)).mode & 0o777).toString(8);

test('an executable comes over HTTP under its name without the query', async () => {
  await bring({ value: `${base}/tool?version=2`, executable: true });
  expect(execFileSync(join(sandbox, 'tool'), { encoding: 'utf8' })).toBe('tool\n');
  expect(mode('tool')).toBe('755');
});

test('redirects are followed, a loop of them is not', async () => {
  await bring({ value: `${base}/moved`, output_file: 'bin/moved' });
  expect(readFileSync(join(sandbox, 'bin/moved'), 'utf8')).toContain('echo tool');
  await expect(bring({ value: `${base}/loop` })).rejects.toMatchObject({ code: 'not-there' });
});

test.for(['http', 'file', 'path'])('an archive by %s is unpacked unless it is not wanted', async (kind) => {
  const path = join(directory, 'package.tgz');
  const value = kind === 'http' ? `${base}/package.tgz` : kind === 'file' ? `file://${path}` : path;
  await bring({ value, extract: false });
  expect(existsSync(join(sandbox, 'package'))).toBe(false);
  await bring({ value });
  expect(readFileSync(join(sandbox, 'package/file'), 'utf8')).toBe('packed');
  expect(existsSync(join(sandbox, 'package.tgz'))).toBe(true);
});

test('an executable is never unpacked', async () => {
  await bring({ value: `${base}/package.tgz`, executable: true, extract: true });
  expect(existsSync(join(sandbox, 'package'))).toBe(false);
});

test.for([
  ['an answer of 404', { value: 'BASE/nothing' }, 'not-there', /answered 404/],
  ['a file that is not there', { value: '/no/such/file' }, 'not-there', /could not be fetched/],
  ['a directory', { value: '/tmp' }, 'bad-uri', /not a file/],
  ['another scheme', { value: 'hdfs://host/file' }, 'bad-uri', /no http:, https: or file: URI/],
  ['no file name', { value: 'BASE/' }, 'bad-uri', /names no file/],
  ['a way out of the sandbox', { value: 'BASE/tool', output_file: '../x' }, 'bad-uri', /names no file/],
  ['an absolute way out', { value: 'BASE/tool', output_file: '/tmp/x' }, 'bad-uri', /names no file/],
] as const)('%s is refused', async ([, uri, code, message]) => {
  const attempt = bring({ ...uri, value: uri.value.replace('BASE', base) });
  await expect(attempt).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});

test('a broken archive says what tar says', async () => {
  writeFileSync(join(directory, 'broken.tar.gz'), 'not an archive');
  await expect(bring({ value: join(directory, 'broken.tar.gz') })).rejects.toMatchObject({
    code: 'unpack-failed',
    message: expect.stringContaining('not in gzip format'),
  });
});

test('sizes and times are bounded', async () => {
  await expect(bring({ value: `${base}/package.tgz` }, { bytesMax: 10 })).rejects.toMatchObject({
    code: 'too-large',
  });
  await expect(bring({ value: `${base}/silent` }, { deadlineMs: 100 })).rejects.toMatchObject({
    code: 'timeout',
  });
});

test('giving up ends the exchange with the reason', async () => {
  const stop = new AbortController();
  const attempt = fetchUri({ uri: { value: `${base}/silent` }, sandbox, http, clock, signal: stop.signal });
  stop.abort(new Error('no longer wanted'));
  await expect(attempt).rejects.toThrow('no longer wanted');
});
