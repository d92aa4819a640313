import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { sealedStore } from '../../../src/backup/sealed-store.ts';
import type { ArchiveStore } from '../../../src/backup/store-port.ts';
import { openDirectoryArchiveStore } from '../../../src/runtime/directory-archive-store.ts';
import { sampleKey } from '../../backup/sample-key.ts';
import { createMemoryArchiveStore } from '../../sim/memory-archive-store.ts';
import { archiveStoreContract, growingObjectsContract } from './contract.ts';

const sealed = (store: ArchiveStore): ArchiveStore => sealedStore(store, sampleKey);
const directories: string[] = [];
afterAll(async () => {
  for (const directory of directories) await rm(directory, { recursive: true });
});

const inMemory = async () => {
  const store = createMemoryArchiveStore();
  return await Promise.resolve({ store: sealed(store), reopen: () => Promise.resolve(sealed(store)) });
};
const inDirectory = async () => {
  const root = await mkdtemp(join(tmpdir(), 'etcd-mesos-sealed-'));
  directories.push(root);
  const open = async () => sealed(await openDirectoryArchiveStore(root));
  return { store: await open(), reopen: open };
};
archiveStoreContract('encrypted, in memory', inMemory);
growingObjectsContract('encrypted, in memory', inMemory);
archiveStoreContract('encrypted, in a directory', inDirectory);
growingObjectsContract('encrypted, in a directory', inDirectory);
