import { afterEach, beforeEach, expect, test } from 'vitest';
import { createMasterMachine } from '../../src/local/master-machine.ts';
import { createSystemIds } from '../../src/runtime/ids.ts';
import { createLocalElection, createLocalLeaderWatch } from '../../src/runtime/local-election.ts';
import { silentLogger } from '../silent-logger.ts';
import { createMemoryZooKeeper, type MemoryZooKeeper } from '../sim/memory-zookeeper.ts';
import { clock, until } from '../wait.ts';

const PATH = '/mesos';
const TIMEOUT_MS = 400;
const LIMIT_MS = 10_000;

let server: MemoryZooKeeper;
let ends: (() => Promise<void>)[] = [];
beforeEach(() => {
  server = createMemoryZooKeeper(clock);
});
afterEach(async () => {
  for (const end of ends) await end();
  ends = [];
});

function infoOf(port: number) {
  const startedAt = { monotonicMs: 0, wallMs: 0 };
  const place = { hostname: '127.0.0.1', ip: '127.0.0.1', port };
  return createMasterMachine({ ids: createSystemIds(), ...place, startedAt }).info;
}

/** A master on `port`, and whom it holds for the leader: by port, `undefined` before it knows anything. */
function candidate(port: number) {
  const client = server.client({ timeoutMs: TIMEOUT_MS });
  const options = { zooKeeper: client.zooKeeper, path: PATH, clock, logger: silentLogger };
  const election = createLocalElection(options);
  const told: (number | null)[] = [];
  election.stand(infoOf(port), (leader) => void told.push(leader?.port ?? null));
  ends.push(election.close);
  return { client, told, close: election.close };
}

function agent() {
  const { zooKeeper } = server.client({ timeoutMs: TIMEOUT_MS });
  const watch = createLocalLeaderWatch({ zooKeeper, path: PATH, clock, logger: silentLogger });
  const told: (string | null)[] = [];
  watch.follow((url) => void told.push(url));
  ends.push(watch.close);
  return told;
}
const tells = (told: readonly unknown[], last: unknown) =>
  until(`${JSON.stringify(last)} after ${JSON.stringify(told)}`, LIMIT_MS, () => told.at(-1) === last);

test('the first leads, the others and agents know; when it resigns the next does', async () => {
  const watching = agent();
  const first = candidate(5050);
  await tells(first.told, 5050);
  const second = candidate(5060);
  await tells(second.told, 5050);
  await tells(watching, 'http://127.0.0.1:5050');
  await first.close();
  await tells(second.told, 5060);
  await tells(watching, 'http://127.0.0.1:5060');
});

test('a node is as Mesos makes it, and others beside it count for nothing', async () => {
  const session = await server.client({ timeoutMs: TIMEOUT_MS }).zooKeeper.session();
  const master = candidate(5050);
  await tells(master.told, 5050);
  const names = [...(await session.children(PATH))].sort();
  expect(names).toEqual([expect.stringMatching(/^json\.info_\d{10}$/), 'log_replicas']);
  const { data, stat } = await session.get(`${PATH}/${names[0] ?? ''}`);
  const text = Buffer.from(data).toString('utf8');
  expect(stat.owner).not.toBeNull();
  expect(Object.keys(JSON.parse(text) as object)).toEqual([
    'address',
    'capabilities',
    'hostname',
    'id',
    'ip',
    'pid',
    'port',
    'version',
  ]);
  expect(text).toContain('"address":{"hostname":"127.0.0.1","ip":"127.0.0.1","port":5050}');
  expect(JSON.parse(text)).toMatchObject({ ip: 16_777_343, pid: 'master@127.0.0.1:5050', version: '1.12.0' });
});

test('a leader that is cut off knows that it leads no more before another does', async () => {
  const first = candidate(5050);
  await tells(first.told, 5050);
  const second = candidate(5060);
  await tells(second.told, 5050);
  first.client.cut();
  await until('the other leads', LIMIT_MS, () => {
    if (second.told.at(-1) !== 5060) return false;
    expect(first.told.at(-1)).toBeNull();
    return true;
  });
  first.client.heal();
  await tells(first.told, 5060);
});

test('when ZooKeeper has lost everything, they elect anew', async () => {
  const first = candidate(5050);
  await tells(first.told, 5050);
  server.wipe();
  await until('another election', LIMIT_MS, () => first.told.length === 3);
  expect(first.told).toEqual([5050, null, 5050]);
});
