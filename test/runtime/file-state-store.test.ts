import { spawn } from 'node:child_process';
import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openFileStateStore } from '../../src/runtime/file-state-store.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-store-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

const bytes = new TextEncoder().encode('{"a":1}\n');

/** Saves a record, lets `harm` at its file, and opens it again. */
async function harmed(harm: (path: string) => Promise<void>) {
  const store = await openFileStateStore(directory);
  await store.save(bytes, null);
  await store.close();
  await harm(join(directory, 'record'));
  return await openFileStateStore(directory);
}

it.each<[string, (path: string) => Promise<void>]>([
  [
    'a flipped byte',
    async (path) => {
      const content = await readFile(path);
      content[content.length - 3] = 0x62;
      await writeFile(path, content);
    },
  ],
  ['a cut end', async (path) => truncate(path, (await stat(path)).size - 1)],
  ['bytes at its end', (path) => appendFile(path, 'x')],
  ['nothing in it', (path) => truncate(path, 0)],
  ['no header', (path) => writeFile(path, '{"schemaVersion":1}')],
  [
    'a header of something else',
    (path) => writeFile(path, `etcd-mesos-state 2 version=1\n${'x'.repeat(500)}`),
  ],
])('says that a record with %s is damaged, names the file and never overwrites it', async (_what, harm) => {
  const store = await harmed(harm);
  const before = await readFile(join(directory, 'record'));
  await expect(store.load()).rejects.toMatchObject({ code: 'corrupt' });
  await expect(store.load()).rejects.toThrow(join(directory, 'record'));
  await expect(store.save(bytes, null)).rejects.toMatchObject({ code: 'corrupt' });
  await expect(store.save(bytes, '1')).rejects.toMatchObject({ code: 'corrupt' });
  expect(await readFile(join(directory, 'record'))).toEqual(before);
  await store.close();
});

it('leaves no draft behind, and its files to nobody else', async () => {
  const store = await openFileStateStore(directory);
  await store.save(bytes, null);
  await store.append('audit', 'x');
  expect((await readdir(directory)).sort()).toEqual(['audit.jsonl', 'lock', 'record']);
  expect((await stat(join(directory, 'record'))).mode & 0o077).toBe(0);
  await store.close();
  expect(await readdir(directory)).not.toContain('lock');
});

it('overwrites the draft that a crash left', async () => {
  await writeFile(join(directory, 'record.new'), 'half of a rec');
  const store = await openFileStateStore(directory);
  expect(await store.load()).toBeNull();
  await store.save(bytes, null);
  expect((await store.load())?.version).toBe('1');
  await store.close();
});

it('skips a log line that a crash cut short, and keeps what follows', async () => {
  const store = await openFileStateStore(directory);
  await store.append('plans', 'first');
  await appendFile(join(directory, 'plans.jsonl'), '"cut sho');
  await store.append('plans', 'third');
  expect(await store.read('plans')).toEqual(['first', 'third']);
  await store.close();
});

it('keeps a second scheduler out and names the first', async () => {
  const store = await openFileStateStore(directory);
  const second = openFileStateStore(directory);
  await expect(second).rejects.toMatchObject({ code: 'unavailable' });
  await expect(second).rejects.toThrow(`process ${process.pid} on ${hostname()}`);
  await store.close();
  await (await openFileStateStore(directory)).close();
});

it('takes over the lock of a process that has ended', async () => {
  const code = `import { openFileStateStore } from '${join(import.meta.dirname, '../../src/runtime/file-state-store.ts')}';
    const store = await openFileStateStore(process.argv[1]);
    console.log(await store.save(new TextEncoder().encode('from another'), null));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, directory]);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  await expect(openFileStateStore(directory)).rejects.toThrow(`process ${child.pid}`);
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exit;
  const store = await openFileStateStore(directory);
  expect(new TextDecoder().decode((await store.load())?.bytes)).toBe('from another');
  await store.close();
});

it('leaves a lock alone whose holder it cannot judge', async () => {
  await writeFile(
    join(directory, 'lock'),
    JSON.stringify({ pid: 1, started: '1', host: 'another-host', boot: 'x' }),
  );
  await expect(openFileStateStore(directory)).rejects.toThrow('process 1 on another-host');
  await writeFile(join(directory, 'lock'), 'garbage');
  await expect(openFileStateStore(directory)).rejects.toThrow('somebody unknown');
});

it('says what is wrong with a directory that cannot be one', async () => {
  await writeFile(join(directory, 'file'), '');
  await expect(openFileStateStore(join(directory, 'file'))).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining(join(directory, 'file')) as string,
  });
});
