import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { resolveOptions } from '../../src/protocol/option-sources.ts';
import { archiveAccessOf, removeArchivingFiles } from '../../src/runtime/scheduler-archive.ts';
import { clock } from '../wait.ts';

const never = new AbortController().signal;
let directory = '';
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'etcd-mesos-access-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const accessOf = async (...argv: readonly string[]) => {
  const given = ['--master=127.0.0.1:5050', `--state-dir=${directory}/state`, ...argv];
  return await archiveAccessOf(resolveOptions({ argv: given, environment: {}, file: null }).options, clock);
};
const put = async (store: Awaited<ReturnType<NonNullable<Awaited<ReturnType<typeof accessOf>>>['open']>>) =>
  await store.put('word', Buffer.from('in clear'), { ifAbsent: true, signal: never });

test('without --archive nothing is archived', async () => {
  expect(await accessOf()).toBeNull();
});

test('a directory is told by its whole path, and made when it is opened', async () => {
  const access = await accessOf(`--archive=${path.relative(process.cwd(), directory)}/archive`);
  expect(access?.place).toBe(path.join(directory, 'archive'));
  expect(access?.limits).toMatchObject({ segmentMs: 0, proofMs: 300_000 });
  expect(existsSync(path.join(directory, 'archive'))).toBe(false);
  const store = await access?.open(never);
  if (store !== undefined) await put(store);
  expect(readFileSync(path.join(directory, 'archive', 'word'), 'utf8')).toBe('in clear');
  expect(await access?.open(never)).toBe(store);
});

test('with a key nothing is in clear, neither there nor on the local disk', async () => {
  const key = path.join(directory, 'key');
  writeFileSync(key, `${'0123456789abcdef'.repeat(4)}\n`);
  const access = await accessOf(`--archive=${directory}/archive`, `--archive-key-file=${key}`);
  const store = await access?.open(never);
  const spool = await access?.openSpool();
  if (store !== undefined) await put(store);
  if (spool != null) await put(spool.store);
  for (const file of ['archive/word', 'state/spool/word']) {
    expect(readFileSync(path.join(directory, file), 'latin1')).not.toContain('in clear');
  }
});

test('an uninstall leaves nothing of it in the state directory, and all else as it is', async () => {
  const access = await accessOf(`--archive=${directory}/archive`);
  const spool = await access?.openSpool();
  if (spool != null) await put(spool.store);
  const state = path.join(directory, 'state');
  mkdirSync(path.join(state, 'verification'));
  writeFileSync(path.join(state, 'verification', 'result.db'), 'what a crash has left');
  writeFileSync(path.join(state, 'order.key'), 'another’s');
  for (const _ of ['once', 'twice']) {
    await removeArchivingFiles({ stateDir: state });
    expect(readdirSync(state)).toEqual(['order.key']);
  }
});

test.for([
  ['is not there', null],
  ['holds no key', 'secret\n'],
] as const)('a key file that %s keeps the scheduler from starting', async ([, content]) => {
  const key = path.join(directory, 'key');
  if (content !== null) writeFileSync(key, content);
  await expect(accessOf(`--archive=${directory}/a`, `--archive-key-file=${key}`)).rejects.toMatchObject({
    code: 'secret-unreadable',
    message: expect.stringContaining('--archive-key-file') as string,
  });
});
