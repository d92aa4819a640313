import { ANYWHERE, type Fault, type Injection } from './fault.ts';
import type { ModelEtcdClient } from './model-etcd.ts';
import type { World } from './world.ts';

/** What happens to etcd's database: it fills up, is damaged, and operators have it rewritten at bad moments. */
export const SPACE_FAULTS: readonly Fault[] = [
  {
    name: 'defragment asked',
    inject: async ({ world, random, say }) => {
      const times = random.chance(0.3) ? 2 : 1;
      for (let count = 0; count < times; count += 1) {
        const slot = random.chance(0.5) ? null : `etcd-${random.integer(0, world.size - 1)}`;
        say(`an operator has ${slot ?? 'all members'} defragmented`);
        world.tell({ kind: 'defragment', slot, by: 'operator', force: false });
        await world.run(random.between(0, 3_000));
      }
    },
  },
  {
    name: 'filled with history',
    inject: fillWithHistory,
  },
  {
    name: 'filled with live data',
    inject: async ({ world, random, say, lasting }) => {
      say('a client writes large values, until there is no space');
      const keys: string[] = [];
      const keyOf = (count: number): string => {
        const key = `bulk-${count}`;
        keys.push(key);
        return key;
      };
      await during(world, fill(world, keyOf));
      await lasting(random.between(0, 60_000), () => {
        say('an operator deletes them, and has history compacted');
        void clear(world, keys);
      });
    },
  },
  {
    name: 'data damaged',
    final: ANYWHERE,
    inject: async ({ world, random, host, say }) => {
      // A leader sends its data to who joins: damage that nobody knows of yet may reach a majority.
      const named = world.record()?.intent === null ? world.damage(host) : null;
      if (named === null) return;
      say(`the data of ${host} is damaged`);
      if (random.chance(0.3)) world.killEtcd(host);
      void insist(world, async (client) => await client.raiseAlarm(named, 'CORRUPT', never()));
    },
  },
];

export async function fillWithHistory({ world, say }: Pick<Injection, 'world' | 'say'>): Promise<void> {
  say('a client writes one large value again and again');
  await during(
    world,
    fill(world, () => 'bulk-0'),
  );
}

/** Of a cluster of one nobody but an operator may have the member answer nobody (S9). */
export function forceWhatWaits(world: World): void {
  const record = world.record();
  const round = record?.space?.round ?? null;
  if (record?.seats.length !== 1 || round === null || round.forced) return;
  world.tell({ kind: 'defragment', slot: null, by: 'operator', force: true });
}

const VALUE = 'x'.repeat(1024 * 1024);
const WRITES_MAX = 24;
const TRIES_MAX = 600;
const PAUSE_MS = 500;
const STEP_MS = 100;

const never = (): AbortSignal => new AbortController().signal;

/** Passes the world's time until it is done. */
async function during(world: World, work: Promise<void>): Promise<void> {
  let isDone = false;
  void work.then(() => {
    isDone = true;
  });
  while (!isDone) await world.run(STEP_MS);
}

/** Until somebody refuses: then an alarm is raised. Gives up where nobody takes writes. */
async function fill(world: World, keyOf: (count: number) => string): Promise<void> {
  let failures = 0;
  for (let count = 0; count < WRITES_MAX && failures < 5; ) {
    const code = await ask(world, async (client) => await client.put(keyOf(count), VALUE, never()));
    if (code === 'no-space') return;
    if (code === 'done') count += 1;
    else {
      failures += 1;
      await world.clock.sleep(PAUSE_MS);
    }
  }
}

/** In the background, for as long as it takes: the faults may have taken the quorum. */
async function clear(world: World, keys: readonly string[]): Promise<void> {
  for (const key of keys) await insist(world, async (client) => await client.delete(key, never()));
  await insist(world, async (client) => {
    const { revision } = await client.status(never());
    await client.compact(revision, false, never());
  });
}

async function insist(world: World, work: (client: ModelEtcdClient) => Promise<void>): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX && !world.ended; tries += 1) {
    const code = await ask(world, work);
    if (code === 'done' || code === 'compacted') return;
    await world.clock.sleep(PAUSE_MS);
  }
}

/** How it ended: `done` or the code of the error. */
async function ask(world: World, work: (client: ModelEtcdClient) => Promise<void>): Promise<string> {
  const client = world.client();
  if (client === null) return 'nobody';
  try {
    await work(client);
    return 'done';
  } catch (error) {
    return (error as { code?: string }).code ?? 'failed';
  } finally {
    client.close();
  }
}
