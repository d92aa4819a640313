import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { type FileStateStore, openFileStateStore } from '../../../src/runtime/file-state-store.ts';
import { stateStoreContract } from './contract.ts';

const directories: string[] = [];
afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true });
});

stateStoreContract('in a directory', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-store-'));
  directories.push(directory);
  let open: FileStateStore = await openFileStateStore(join(directory, 'state'));
  return {
    store: open,
    reopen: async () => {
      await open.close();
      open = await openFileStateStore(join(directory, 'state'));
      return open;
    },
  };
});
