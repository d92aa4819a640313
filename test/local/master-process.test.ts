import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type MasterProcess, startMaster } from '../../src/local/master-process.ts';
import { createSystemIds } from '../../src/runtime/ids.ts';
import { silentLogger } from '../silent-logger.ts';
import { clock, until } from './container-world.ts';

const masters: MasterProcess[] = [];
async function start(options: { ip?: string; port?: number } = {}) {
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

test('garbage, a foreign upgrade and a broken link harm nobody', async () => {
  const { port, url } = await start();
  expect(await say(port, 'nonsense\r\n\r\n')).toContain('400');
  const upgrade = (path: string, protocol: string) =>
    `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: ${protocol}\r\n\r\n`;
  expect(await say(port, upgrade('/', 'websocket'))).toContain('404');
  const link = upgrade('/local/agent-link', 'etcd-mesos-local-agent');
  expect(await say(port, `${link}not json\n`)).toContain('101');
  expect((await fetch(`${url}/health`)).status).toBe(200);
});
