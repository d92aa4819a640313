import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { MasterElection } from '../../src/local/leadership.ts';
import type { LocalMasterInfo } from '../../src/local/master-info.ts';
import { type MasterCandidacy, type MasterProcess, startMaster } from '../../src/local/master-process.ts';
import type { Registry } from '../../src/local/registry.ts';
import { createRegistryFile } from '../../src/local/registry-file.ts';
import { createSystemIds } from '../../src/runtime/ids.ts';
import { silentLogger } from '../silent-logger.ts';
import { clock, until } from './container-world.ts';

const masters: MasterProcess[] = [];
async function start(options: { ip?: string; port?: number; candidacy?: MasterCandidacy } = {}) {
  const master = await startMaster({
    port: 0,
    clock,
    ids: createSystemIds(),
    logger: silentLogger,
    ...options,
  });
  masters.push(master);
  return master;
}
afterEach(async () => {
  for (const master of masters.splice(0)) await master.close();
});

/** Sends bytes as they are and gives back what was answered until the other side closed, or said `last`. */
async function say(port: number, text: string, last?: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  let answer = '';
  let closed = false;
  socket.on('data', (chunk) => {
    answer += chunk.toString('latin1');
  });
  socket.on('error', () => undefined);
  socket.on('close', () => {
    closed = true;
  });
  socket.write(text);
  await until(`an answer to ${JSON.stringify(text.slice(0, 40))}, after ${JSON.stringify(answer)}`, () =>
    last === undefined ? closed : answer.includes(last),
  );
  socket.destroy();
  return answer;
}

test.for(['0.0.0.0', '192.168.1.5', 'localhost', '::'])(
  'an address beyond loopback is refused: %s',
  async (ip) => {
    await expect(start({ ip })).rejects.toMatchObject({
      code: 'not-loopback',
      message: expect.stringContaining(ip),
    });
  },
);

test('a port that is taken is refused by name', async () => {
  const { port } = await start();
  await expect(start({ port })).rejects.toMatchObject({
    code: 'port-in-use',
    message: `port ${port} of 127.0.0.1 is in use`,
  });
});

test('a stream is RecordIO over chunks and ends with the master', async () => {
  const master = await start();
  const subscribe = JSON.stringify({
    type: 'SUBSCRIBE',
    subscribe: {
      framework_info: {
        user: 'root',
        name: 'x',
        roles: ['r'],
        capabilities: [{ type: 'MULTI_ROLE' }, { type: 'RESERVATION_REFINEMENT' }],
      },
    },
  });
  const response = await fetch(`${master.url}/api/v1/scheduler`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: subscribe,
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('mesos-stream-id')).toMatch(/^[0-9a-f-]{36}$/);
  expect(response.headers.get('transfer-encoding')).toBe('chunked');
  const reader = response.body?.getReader();
  const first = await reader?.read();
  const text = Buffer.from(first?.value ?? []).toString('utf8');
  const [length = '', rest = ''] = [text.slice(0, text.indexOf('\n')), text.slice(text.indexOf('\n') + 1)];
  expect(JSON.parse(rest.slice(0, Number(length)))).toMatchObject({ type: 'SUBSCRIBED' });
  const ended = (async () => {
    while ((await reader?.read())?.done === false);
  })();
  await master.close();
  await expect(ended).rejects.toThrow();
});

const upgrade = (path: string, protocol: string) =>
  `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: ${protocol}\r\n\r\n`;

test('garbage, a foreign upgrade and a broken link harm nobody', async () => {
  const { port, url } = await start();
  expect(await say(port, 'nonsense\r\n\r\n')).toContain('400');
  expect(await say(port, upgrade('/', 'websocket'))).toContain('404');
  const link = upgrade('/local/agent-link', 'etcd-mesos-local-agent');
  expect(await say(port, `${link}not json\n`)).toContain('101');
  expect((await fetch(`${url}/health`)).status).toBe(200);
});

/** An election in which the test says who wins. */
function createElection() {
  const candidates: {
    readonly self: LocalMasterInfo;
    readonly onLeader: (leader: LocalMasterInfo | null) => void;
  }[] = [];
  return {
    candidate: (): MasterElection => ({
      stand: (self, onLeader) => void candidates.push({ self, onLeader }),
      close: () => Promise.resolve(),
    }),
    elect: (index: number | null) => {
      const leader = index === null ? null : (candidates[index]?.self ?? null);
      for (const { onLeader } of candidates) onLeader(leader);
    },
  };
}

test('of two masters the elected one serves; the one that was deposed ends and stores nothing more', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-masters-'));
  const election = createElection();
  const startOne = () =>
    start({ candidacy: { election: election.candidate(), registry: createRegistryFile(directory) } });
  const [first, second] = [await startOne(), await startOne()];
  const get = (port: number) => say(port, 'GET /state HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  expect(await get(second.port)).toContain('HTTP/1.1 503');
  election.elect(0);
  expect(first.isLeading()).toBe(true);
  expect(await get(first.port)).toContain('HTTP/1.1 200');
  expect(await get(second.port)).toContain(`location: //127.0.0.1:${first.port}/master/state`);
  expect(await say(second.port, upgrade('/local/agent-link', 'etcd-mesos-local-agent'))).toContain('503');
  election.elect(1);
  expect(await first.ended).toBe(`Conceded leadership to master@127.0.0.1:${second.port}`);
  expect(await get(second.port)).toContain('HTTP/1.1 200');
  rmSync(directory, { recursive: true, force: true });
});

test('only the master that took over last can store', () => {
  const directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-registry-'));
  const nothing = { admitted: {}, unreachable: {}, drains: {}, deactivated: [], schedule: [], machines: [] };
  const registry: Registry = { schemaVersion: 1, ...nothing, gone: ['S1'] };
  const [first, second] = [createRegistryFile(directory), createRegistryFile(directory)];
  expect(first.takeOver('one')).toBeNull();
  first.store('one', registry);
  expect(second.takeOver('two')).toEqual(registry);
  expect(() => first.store('one', { ...registry, gone: [] })).toThrow(
    expect.objectContaining({ code: 'registry-taken' }),
  );
  expect(second.takeOver('two')).toEqual(registry);
  writeFileSync(join(directory, 'registry.json'), '{}');
  expect(() => second.takeOver('two')).toThrow(expect.objectContaining({ code: 'checkpoint-unreadable' }));
  rmSync(directory, { recursive: true, force: true });
});
