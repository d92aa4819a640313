import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openOrderKey } from '../../src/runtime/order-key-file.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'etcd-mesos-key-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a key is made where there is none, for its owner alone, and found again', async () => {
  const file = path.join(directory, 'below', 'key.pem');
  const made = await openOrderKey(file, { mayCreate: true });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await openOrderKey(file, { mayCreate: false })).publicKey).toBe(made.publicKey);
  expect((await openOrderKey(file, { mayCreate: true })).publicKey).toBe(made.publicKey);
});

test('of two schedulers that make it at once, one makes it', async () => {
  const file = path.join(directory, 'key.pem');
  const keys = await Promise.all([1, 2, 3].map(async () => await openOrderKey(file, { mayCreate: true })));
  expect(new Set(keys.map((key) => key.publicKey)).size).toBe(1);
});

test('no other key is made where members know one', async () => {
  const file = path.join(directory, 'key.pem');
  await expect(openOrderKey(file, { mayCreate: false })).rejects.toMatchObject({ code: 'order-key-missing' });
  await expect(stat(file)).rejects.toThrow();
});

test('what is no key is refused and left alone', async () => {
  const file = path.join(directory, 'key.pem');
  await writeFile(file, 'garbage');
  await expect(openOrderKey(file, { mayCreate: true })).rejects.toMatchObject({ code: 'malformed' });
  expect(await readFile(file, 'utf8')).toBe('garbage');
});

test('a place that cannot hold it is named', async () => {
  const file = path.join(directory, 'file');
  await writeFile(file, '');
  await chmod(file, 0o600);
  const below = path.join(file, 'key.pem');
  await expect(openOrderKey(below, { mayCreate: true })).rejects.toMatchObject({ code: 'state-unusable' });
});
