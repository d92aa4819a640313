import { once } from 'node:events';
import { connect } from 'node:net';
import { Hono } from 'hono';
import { afterEach, describe, expect, test } from 'vitest';
import type { ApiEnvironment } from '../../src/framework/api-access.ts';
import { type ApiServer, startApiServer } from '../../src/runtime/api-server.ts';
import { StartError } from '../../src/runtime/start-error.ts';

const servers: ApiServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function serverOf(app: Hono<ApiEnvironment>, port = 0): Promise<ApiServer> {
  const server = await startApiServer(() => app, { listen: '127.0.0.1', port });
  servers.push(server);
  return server;
}

function appOf(): Hono<ApiEnvironment> {
  const app = new Hono<ApiEnvironment>();
  app.get('/who', (context) => context.text(context.env.remoteAddress ?? 'nobody'));
  return app;
}

describe('the API’s server', () => {
  test('tells the routes who asks', async () => {
    const { port } = await serverOf(appOf());
    expect(await (await fetch(`http://127.0.0.1:${port}/who`)).text()).toBe('127.0.0.1');
  });

  test('takes what is put in the place of its routes', async () => {
    let app = appOf();
    const server = await startApiServer(() => app, { listen: '127.0.0.1', port: 0 });
    servers.push(server);
    app = new Hono<ApiEnvironment>().get('/who', (context) => context.text('another'));
    expect(await (await fetch(`http://127.0.0.1:${server.port}/who`)).text()).toBe('another');
  });

  test('says that its port is taken', async () => {
    const { port } = await serverOf(appOf());
    const second = startApiServer(appOf, { listen: '127.0.0.1', port });
    await expect(second).rejects.toThrow(StartError);
    await expect(second).rejects.toMatchObject({
      code: 'port-in-use',
      hint: expect.stringContaining('--port'),
    });
  });

  test('says that its address is not of this machine', async () => {
    const elsewhere = startApiServer(appOf, { listen: '192.0.2.1', port: 0 });
    await expect(elsewhere).rejects.toMatchObject({ code: 'cannot-listen' });
  });

  test('refuses a head that is too large', async () => {
    const { port } = await serverOf(appOf());
    const answer = await fetch(`http://127.0.0.1:${port}/who`, {
      headers: { 'x-large': 'x'.repeat(17_000) },
    });
    expect(answer.status).toBe(431);
  });

  test('lets a request that is being answered end, and cuts idle connections', async () => {
    const gate = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const app = new Hono<ApiEnvironment>();
    app.get('/slow', async (context) => {
      asked.resolve();
      await gate.promise;
      return context.text('done');
    });
    const server = await startApiServer(() => app, { listen: '127.0.0.1', port: 0 });
    const idle = connect(server.port, '127.0.0.1');
    await once(idle, 'connect');
    const answer = fetch(`http://127.0.0.1:${server.port}/slow`);
    await asked.promise;
    const closed = server.close();
    gate.resolve();
    expect(await (await answer).text()).toBe('done');
    await closed;
    idle.destroy();
  });
});
