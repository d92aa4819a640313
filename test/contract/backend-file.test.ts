import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { createLocalFile, type LocalFile, openLocalFile } from '../../src/runtime/local-file.ts';
import { createMemoryFile } from '../backup/memory-file.ts';
import { backendFileContract } from './backend-file.ts';

describe('on the file system', () => {
  const directories: string[] = [];
  const files: LocalFile[] = [];
  const freshPath = async () => {
    const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-file-'));
    directories.push(directory);
    return join(directory, 'db');
  };
  const kept = (file: LocalFile): LocalFile => {
    files.push(file);
    return file;
  };
  afterEach(async () => {
    for (const file of files.splice(0)) await file.close();
    for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
  });

  backendFileContract(async () => {
    const path = await freshPath();
    return {
      file: kept(await createLocalFile(path)),
      reopen: async () => kept(await openLocalFile(path)),
    };
  });

  test('a name that is taken is not taken again, and one that is not there is not opened', async () => {
    const path = await freshPath();
    await expect(openLocalFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
    await kept(await createLocalFile(path)).sync();
    await expect(createLocalFile(path)).rejects.toMatchObject({ code: 'EEXIST' });
  });
});

describe('in memory', () => {
  backendFileContract(async () => {
    const file = createMemoryFile();
    return { file, reopen: async () => createMemoryFile(file.bytes) };
  });
});
