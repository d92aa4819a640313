import { describe, expect, test } from 'vitest';
import type { Processes, StateStore } from '../../src/base/ports.ts';
import { type ClusterRecord, parseRecord } from '../../src/protocol/record.ts';
import { runScenario } from './scenario.ts';
import { survive } from './seeds.ts';
import { SEEDS_THAT_FAILED } from './seeds-that-failed.ts';
import type { Canary } from './world.ts';

describe('seeds that showed a fault once', () => {
  test.each([...SEEDS_THAT_FAILED])('seed $seed: $showed', async ({ seed }) => {
    await survive(seed);
  });
});

describe('the simulation', () => {
  test('lives the same life for the same seed', async () => {
    for (const seed of [1, 2, 3]) {
      const [first, second] = [await runScenario({ seed }), await runScenario({ seed })];
      expect(second.hash).toBe(first.hash);
      expect(second.steps).toBe(first.steps);
    }
  });
});

/** The rig is tried with faults that are planted: each must be found, by the checker that is there for it. */
describe('a planted fault is found', () => {
  const found = async (canary: Canary, invariant: string): Promise<boolean> => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const { failure } = await runScenario({ seed, canary });
      if (failure?.includes(`${invariant} violated`) === true) return true;
    }
    return false;
  };

  test('a store that forgets `go`', async () => {
    const store = (inner: StateStore) => forgetful(inner, (record) => record.epoch.phase === 'go');
    expect(await found({ store }, 'S5')).toBe(true);
  });

  test('a store that forgets intents', async () => {
    const store = (inner: StateStore) => forgetful(inner, (record) => record.intent !== null);
    expect(await found({ store }, 'S2')).toBe(true);
  });

  test('a supervisor that does not see that its etcd was removed', async () => {
    expect(await found({ processes: deafToRemoval }, 'S4')).toBe(true);
  });
});

/** Says that it has stored, and has not. It tells its own lie until something else is stored. */
function forgetful(store: StateStore, forgets: (record: ClusterRecord) => boolean): StateStore {
  let lie: { readonly bytes: Uint8Array; readonly version: string } | null = null;
  let real: string | null = null;
  let lies = 0;
  return {
    ...store,
    load: async () => {
      const stored = await store.load();
      real = stored?.version ?? null;
      return lie ?? stored;
    },
    save: async (bytes) => {
      if (forgets(parseRecord(bytes))) {
        lies += 1;
        lie = { bytes, version: `lie ${lies}` };
        return lie.version;
      }
      lie = null;
      real = await store.save(bytes, real);
      return real;
    },
  };
}

/** An etcd that ends because it was removed seems to have failed. */
function deafToRemoval(processes: Processes): Processes {
  return {
    start: async (spec) => {
      const { onLine } = spec;
      const process = await processes.start({
        ...spec,
        onLine: (line, stream) => {
          if (!line.includes('permanently removed')) onLine?.(line, stream);
        },
      });
      const exit = process.exit.then((result) => (result.code === 0 ? { ...result, code: 1 } : result));
      return { ...process, exit };
    },
  };
}
