import { createMemoryArchiveStore } from '../../sim/memory-archive-store.ts';
import { archiveStoreContract, growingObjectsContract } from './contract.ts';

const setUp = async () => {
  const store = createMemoryArchiveStore();
  return await Promise.resolve({ store, reopen: () => Promise.resolve(store) });
};
archiveStoreContract('in memory', setUp);
growingObjectsContract('in memory', setUp);
