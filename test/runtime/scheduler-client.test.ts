import { createServer, type Server } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { createSchedulerClient } from '../../src/runtime/scheduler-client.ts';
import { freePorts } from '../wait.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function answering(port: number, status: number, body: string): Promise<() => number> {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked += 1;
    response.writeHead(status).end(body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return () => asked;
}

async function freeUrl(): Promise<{ readonly port: number; readonly url: string }> {
  const [port = 0] = await freePorts(1);
  return { port, url: `http://127.0.0.1:${port}` };
}

describe('a client of the scheduler', () => {
  test('outlasts a restart of the scheduler', async () => {
    const { port, url } = await freeUrl();
    const asked = createSchedulerClient(url, { outlastRestart: true }).text('/v1/endpoints');
    await new Promise((resolve) => setTimeout(resolve, 300));
    await answering(port, 200, '["client"]');
    expect(await asked).toBe('["client"]');
  });

  test('gives up after two seconds where nobody comes, and at once where that was not asked for', async () => {
    const { url } = await freeUrl();
    const startedMs = performance.now();
    const now = createSchedulerClient(url).text('/');
    await expect(now).rejects.toMatchObject({ code: 'unreachable', message: expect.stringContaining(url) });
    const atOnceMs = performance.now() - startedMs;
    const later = createSchedulerClient(url, { outlastRestart: true }).text('/');
    await expect(later).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    const patientMs = performance.now() - startedMs - atOnceMs;
    expect(patientMs).toBeGreaterThanOrEqual(1_990);
    expect(atOnceMs).toBeLessThan(patientMs);
  });

  test.for([
    ['a refusal', 403, '{"error":"the token is missing","hint":"Name it."}', 'refused'],
    ['another server', 404, '<html>', 'not-a-scheduler'],
    ['what is no view', 200, '{}', 'not-a-scheduler'],
  ] as const)('asks once where %s answers', async ([, status, body, code]) => {
    const { port, url } = await freeUrl();
    const asked = await answering(port, status, body);
    const view = createSchedulerClient(url, { outlastRestart: true }).view();
    await expect(view).rejects.toMatchObject({ code });
    expect(asked()).toBe(1);
  });
});

test('a command says who gives it', async () => {
  const { port, url } = await freeUrl();
  const names: unknown[] = [];
  const server = createServer((request, response) => {
    names.push(request.headers['x-etcd-mesos-operator']);
    response.end('{}');
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const client = createSchedulerClient(url);
  await client.post('/v1/pod/etcd-0/restart', {});
  await client.text('/v1/pod');
  expect(names).toEqual([expect.stringMatching(/^\S+@\S+$/), undefined]);
});
