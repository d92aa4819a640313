import { createMemoryStore } from '../../sim/memory-store.ts';
import { stateStoreContract } from './contract.ts';

stateStoreContract('in memory', () => {
  const store = createMemoryStore();
  return Promise.resolve({ store, reopen: () => Promise.resolve(store) });
});
