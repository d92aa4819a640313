import { spawn, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from 'vitest';
import { readWhole } from '../../../src/backup/store-port.ts';
import { openDirectoryArchiveStore } from '../../../src/runtime/directory-archive-store.ts';
import { skipUnless } from '../../needs.ts';
import { clock } from '../../wait.ts';
import { archiveStoreContract, growingObjectsContract } from './contract.ts';

const never = new AbortController().signal;
const directories: string[] = [];
afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true });
});
const freshDirectory = async (): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-archive-'));
  directories.push(directory);
  return directory;
};
const setUp = async () => {
  const root = join(await freshDirectory(), 'deep', 'archive');
  return {
    store: await openDirectoryArchiveStore(root),
    reopen: async () => await openDirectoryArchiveStore(root),
  };
};
archiveStoreContract('in a directory', setUp);
growingObjectsContract('in a directory', setUp);

test('a writer that is killed at any moment leaves whole objects, and all that it was told are durable', async () => {
  const root = await freshDirectory();
  const writer = join(import.meta.dirname, 'directory-writer.ts');
  for (let life = 0; life < 12; life += 1) {
    const child = spawn(process.execPath, [writer, root, `${life}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const acknowledged: string[] = [];
    const lines = createInterface({ input: child.stdout });
    const ready = new Promise((resolve) => lines.once('line', resolve));
    lines.on('line', (line) => acknowledged.push(line));
    const ended = new Promise((resolve) => child.once('close', resolve));
    await ready;
    await clock.sleep(life * 7);
    child.kill('SIGKILL');
    await ended;

    const store = await openDirectoryArchiveStore(root);
    const found = new Set<string>();
    for await (const { key } of store.list(`life-${life}/`, { signal: never })) {
      const bytes = await readWhole(store, key, { bytesMax: 1e8, signal: never });
      found.add(key);
      if (key.endsWith('grown')) continue;
      const marks = new Set(bytes);
      expect([bytes.byteLength, marks.size]).toEqual([300_000, 1]);
    }
    for (const line of acknowledged) {
      const [kind, key = '', sizeBytes] = line.split(' ');
      expect(found).toContain(key);
      if (kind === 'grown') {
        expect((await store.head(key, never))?.sizeBytes).toBeGreaterThanOrEqual(Number(sizeBytes));
      }
    }
    expect(acknowledged.length).toBeGreaterThan(0);
  }
  const drafts = join(root, '.drafts');
  const anHourOld = new Date(clock.wallMs() - 3_600_000);
  for (const name of await readdir(drafts)) await utimes(join(drafts, name), anHourOld, anHourOld);
  const count = (await readdir(drafts)).length;
  await openDirectoryArchiveStore(root);
  expect((await readdir(drafts)).length).toBe(count);
  await writeFile(join(drafts, 'old'), 'x');
  const daysOld = new Date(clock.wallMs() - 3 * 86_400_000);
  for (const name of await readdir(drafts)) await utimes(join(drafts, name), daysOld, daysOld);
  await openDirectoryArchiveStore(root);
  expect(await readdir(drafts)).toEqual([]);
});

test.for(['removed', 'moved', 'made anew'] as const)(
  'nothing is said to be durable that is added to an object whose directory was %s',
  async (what) => {
    const directory = await freshDirectory();
    const root = join(directory, 'archive');
    const store = await openDirectoryArchiveStore(root);
    const object = Buffer.from('head ');
    const grown = await store.growing?.create('log/1', object, never);
    await grown?.append(Buffer.from('one '));
    if (what === 'removed') await rm(root, { recursive: true });
    else await rename(root, join(directory, 'elsewhere'));
    if (what === 'made anew') {
      const other = await openDirectoryArchiveStore(root);
      await other.put('log/1', object, { ifAbsent: true, signal: never });
    }
    await expect(grown?.append(Buffer.from('two '))).rejects.toThrow('log/1 was not added to');
    await expect(grown?.append(Buffer.from('three '))).rejects.toThrow('it is broken');
    await grown?.close();
  },
);

test('a full disk is said to be full, what was there stays, and with room it goes on', async (context) => {
  const root = await freshDirectory();
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', root]).status === 0;
  skipUnless(context, mounted, 'to mount a small file system');
  try {
    const store = await openDirectoryArchiveStore(root);
    await store.put('kept', Buffer.alloc(200_000, 1), { ifAbsent: true, signal: never });
    const tooMuch = store.put('long', Buffer.alloc(1_000_000, 2), { ifAbsent: true, signal: never });
    await expect(tooMuch).rejects.toMatchObject({ code: 'full', hint: expect.stringContaining('room') });
    expect(await store.head('long', never)).toBeNull();

    const grown = await store.growing?.create('log', Buffer.alloc(1000, 3), never);
    await expect(grown?.append(Buffer.alloc(1_000_000, 4))).rejects.toMatchObject({ code: 'full' });
    // Half of it may be there, so nothing may follow it.
    await store.remove('kept', never);
    await expect(grown?.append(Buffer.alloc(10, 5))).rejects.toMatchObject({ code: 'unavailable' });
    await grown?.close();
    await store.remove('log', never);
    await store.put('long', Buffer.alloc(500_000, 6), { ifAbsent: true, signal: never });
    expect((await store.head('long', never))?.sizeBytes).toBe(500_000);
  } finally {
    spawnSync('umount', [root]);
  }
});

test('a directory that cannot be one is refused, by its name', async () => {
  const root = await freshDirectory();
  const file = join(root, 'file');
  await writeFile(file, 'x');
  await expect(openDirectoryArchiveStore(file)).rejects.toThrow(file);
  await expect(openDirectoryArchiveStore(join(file, 'below'))).rejects.toThrow(file);
  // Root may write anywhere but to what is no real file system.
  const closed = process.getuid?.() === 0 ? '/sys/kernel' : join(root, 'closed');
  if (closed.startsWith(root)) await mkdir(closed, { mode: 0o500 });
  await expect(openDirectoryArchiveStore(closed)).rejects.toMatchObject({
    code: 'denied',
    message: expect.stringContaining(closed),
  });
});

test('what else lies in the directory is not listed', async () => {
  const root = await freshDirectory();
  const store = await openDirectoryArchiveStore(root);
  await store.put('a/b', Buffer.alloc(1), { ifAbsent: true, signal: never });
  await writeFile(join(root, 'a', '.nfs0001'), 'x');
  const keys: string[] = [];
  for await (const { key } of store.list('', { signal: never })) keys.push(key);
  expect(keys).toEqual(['a/b']);
});
