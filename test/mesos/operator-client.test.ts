import { describe, expect, it } from 'vitest';
import { createFixedMasterSource } from '../../src/mesos/master-source.ts';
import {
  createOperatorClient,
  OPERATOR_BODY_BYTES_MAX,
  OPERATOR_DEADLINE_MS,
  type OperatorClient,
} from '../../src/mesos/operator-client.ts';
import { createByteStream, type MemoryHandler } from '../sim/memory-transport.ts';
import { createVirtualClock, type VirtualClock } from '../sim/virtual-clock.ts';
import { createNetwork, type Network } from './network.ts';

const M1 = 'http://m1:5050';
const M2 = 'http://m2:5050';

interface World {
  readonly clock: VirtualClock;
  readonly network: Network;
  readonly client: OperatorClient;
  readonly signal: AbortSignal;
  readonly stop: () => void;
}

function start(prepare: (network: Network) => void, addresses = 'm1,m2'): World {
  const clock = createVirtualClock();
  const network = createNetwork();
  prepare(network);
  const controller = new AbortController();
  const { transport } = network;
  const masters = createFixedMasterSource(addresses);
  return {
    clock,
    network,
    client: createOperatorClient({ transport, clock, masters }),
    signal: controller.signal,
    stop: () => controller.abort(),
  };
}

const json =
  (body: unknown): MemoryHandler =>
  () => ({ status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

const AGENT = {
  agent_info: { id: { value: 'S1' }, hostname: 'agent-1.example', port: 5051 },
  active: true,
  version: '1.11.0',
  total_resources: [],
};
const FRAMEWORK = { framework_info: { user: 'root', name: 'etcd' }, active: true, connected: true };
const TASK = {
  name: 'etcd',
  task_id: { value: 'etcd-0__1' },
  framework_id: { value: 'F' },
  agent_id: { value: 'S1' },
  state: 'TASK_RUNNING',
};

describe('the operator client', () => {
  it('asks as the API wants it, and gives back what it reads with all that it does not know', async () => {
    const world = start((network) =>
      network.serve(M1, json({ type: 'GET_AGENTS', get_agents: { agents: [AGENT] } })),
    );
    const answer = await world.client.getAgents(world.signal);
    expect(answer).toEqual({ agents: [AGENT], recovered_agents: [] });
    expect(world.network.requests[0]).toMatchObject({
      method: 'POST',
      url: `${M1}/api/v1`,
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({ type: 'GET_AGENTS' }),
    });
    expect(world.clock.pending).toBe(0);
  });

  it('reads frameworks, tasks, health, version and state', async () => {
    const answers: Record<string, unknown> = {
      GET_FRAMEWORKS: { get_frameworks: { completed_frameworks: [FRAMEWORK] } },
      GET_TASKS: { get_tasks: { tasks: [TASK] } },
      GET_HEALTH: { get_health: { healthy: true } },
      GET_VERSION: { get_version: { version_info: { version: '1.9.0' } } },
    };
    const world = start((network) =>
      network.serve(M1, (request) => {
        if (request.method === 'GET') return json({ version: '1.9.0', id: 'M' })(request);
        const { type } = JSON.parse(request.body ?? '') as { type: string };
        return json({ type, ...(answers[type] as object) })(request);
      }),
    );
    const { client, signal } = world;
    expect(await client.getFrameworks(signal)).toEqual({
      frameworks: [],
      completed_frameworks: [{ ...FRAMEWORK, framework_info: { ...FRAMEWORK.framework_info, roles: [] } }],
    });
    expect(await client.getTasks(signal)).toEqual({
      tasks: [TASK],
      unreachable_tasks: [],
      completed_tasks: [],
      orphan_tasks: [],
    });
    expect(await client.getHealth(signal)).toBe(true);
    expect(await client.getVersion(signal)).toBe('1.9.0');
    expect(await client.getState(signal)).toEqual({ version: '1.9.0', id: 'M', slaves: [], frameworks: [] });
    expect(world.network.requests.at(-1)).toMatchObject({ method: 'GET', url: `${M1}/state` });
  });

  it('takes the answer of a master that knows of nothing yet', async () => {
    const world = start((network) => network.serve(M1, json({ type: 'GET_AGENTS' })));
    expect(await world.client.getAgents(world.signal)).toEqual({ agents: [], recovered_agents: [] });
  });

  it('marks an agent gone', async () => {
    const world = start((network) => network.serve(M1, () => ({ status: 200 })));
    await world.client.markAgentGone('S1', world.signal);
    expect(JSON.parse(world.network.requests[0]?.body ?? '')).toEqual({
      type: 'MARK_AGENT_GONE',
      mark_agent_gone: { agent_id: { value: 'S1' } },
    });
  });

  it.each([
    [400, 'bad-call'],
    [404, 'bad-call'],
    [409, 'bad-call'],
    [401, 'refused-unauthenticated'],
    [403, 'refused-forbidden'],
  ])('answered with %i rejects with %s and does not ask another master', async (status, code) => {
    const world = start((network) => {
      network.serve(M1, () => ({ status, body: 'Agent not found' }));
      network.serve(M2, () => ({ status: 200 }));
    });
    await expect(world.client.markAgentGone('S1', world.signal)).rejects.toMatchObject({
      code,
      message: expect.stringContaining('Agent not found'),
    });
    expect(world.network.requests).toHaveLength(1);
  });

  it('follows redirects, remembers the leader, and looks again when it is gone', async () => {
    const answer = json({ version: '1.9.0', id: 'M' });
    const world = start((network) => {
      network.serve(M1, () => ({ status: 307, headers: { location: '//m2:5050/master/state' } }));
      network.serve(M2, answer);
    });
    await world.client.getState(world.signal);
    await world.client.getState(world.signal);
    world.network.stop(M2);
    world.network.serve(M1, answer);
    await world.client.getState(world.signal);
    expect(world.network.requests.map((request) => request.url)).toEqual([
      `${M1}/state`,
      `${M2}/master/state`,
      `${M2}/master/state`,
      `${M1}/state`,
    ]);
  });

  it('asks the next master where one is silent, breaks off, or is not one that leads', async () => {
    const broken = createByteStream();
    broken.push('{"version"');
    broken.fail();
    const bad: MemoryHandler[] = [
      () => new Promise(() => {}),
      () => ({ status: 200, body: broken }),
      () => ({ status: 503, body: 'No leader' }),
      () => ({ status: 404 }),
    ];
    for (const handler of bad) {
      const world = start((network) => {
        network.serve(M1, handler);
        network.serve(M2, json({ version: '1.9.0', id: 'M' }));
      });
      const state = world.client.getState(world.signal);
      await world.clock.advance(OPERATOR_DEADLINE_MS - 1);
      expect(await state).toMatchObject({ id: 'M' });
    }
  });

  it('says what is wrong with an answer', async () => {
    const answers: [MemoryHandler, object][] = [
      [() => ({ status: 200, body: '<html>' }), { code: 'not-mesos' }],
      [() => ({ status: 200, body: '[]' }), { code: 'not-mesos' }],
      [json({ version: '1.9.0', id: 7 }), { code: 'malformed-record' }],
      [json({ version: '1.9.0', id: 'M', slaves: {} }), { code: 'malformed-record' }],
    ];
    for (const [handler, error] of answers) {
      const world = start((network) => network.serve(M1, handler), 'm1');
      await expect(world.client.getState(world.signal)).rejects.toMatchObject(error);
    }
  });

  it('gives up on a body that trickles for ever, and on one that is too large', async () => {
    const trickle = createByteStream();
    const slow = start((network) => network.serve(M1, () => ({ status: 200, body: trickle })), 'm1');
    const asked = slow.client.getState(slow.signal).catch((error: unknown) => error);
    for (let second = 0; second <= OPERATOR_DEADLINE_MS / 1000; second += 1) {
      trickle.push(' ');
      await slow.clock.advance(1000);
    }
    expect(await asked).toMatchObject({ code: 'timeout' });
    expect(trickle.left).toBe(true);

    const huge = createByteStream();
    const chunk = new Uint8Array(32 * 1024 * 1024);
    for (let sizeBytes = 0; sizeBytes <= OPERATOR_BODY_BYTES_MAX; sizeBytes += chunk.length) huge.push(chunk);
    const large = start((network) => network.serve(M1, () => ({ status: 200, body: huge })), 'm1');
    await expect(large.client.getState(large.signal)).rejects.toMatchObject({ code: 'body-too-large' });
    expect(huge.left).toBe(true);
  });

  it('stops when it is told to', async () => {
    const world = start((network) => network.serve(M1, () => new Promise(() => {})));
    const asked = world.client.getState(world.signal).catch((error: unknown) => error);
    await world.clock.settle();
    world.stop();
    expect(await asked).toMatchObject({ code: 'aborted' });
    expect(world.network.requests).toHaveLength(1);
    expect(world.clock.pending).toBe(0);
  });
});
