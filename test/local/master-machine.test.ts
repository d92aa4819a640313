import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UNSUPPORTED_CALLS, UNSUPPORTED_OPERATIONS } from '../../src/local/unsupported.ts';
import type { Operation, Resource, TaskInfo } from '../../src/mesos/wire.ts';
import {
  createMachines,
  describeAgent,
  scalar,
  type TestAgent,
  type TestScheduler,
} from './mesos-machines.ts';

function firstOffer(scheduler: TestScheduler) {
  const [offer] = scheduler.offers();
  if (offer === undefined) throw new Error('no offer was made');
  return offer;
}

function decline(scheduler: TestScheduler, refuseSeconds?: number) {
  const offer = scheduler.offers().at(-1);
  const filters = refuseSeconds === undefined ? undefined : { refuse_seconds: refuseSeconds };
  scheduler.call({ type: 'DECLINE', decline: { offer_ids: [offer?.id], filters } });
}

describe('offers', () => {
  it('come back after the refusal, with the next allocation', () => {
    const machines = createMachines();
    const scheduler = machines.subscribe();
    machines.advance(90);
    decline(scheduler, 2);
    machines.advance(1950);
    expect(scheduler.offers()).toHaveLength(1);
    machines.advance(200);
    expect(scheduler.offers()).toHaveLength(2);
  });

  it.each([
    [undefined, 5000],
    [-3, 5000],
    [0, 0],
    [0.01, 200],
  ])('refused for %s seconds stay away %i ms', (refuseSeconds, ms) => {
    const machines = createMachines();
    const scheduler = machines.subscribe();
    machines.advance(10);
    decline(scheduler, refuseSeconds);
    machines.advance(Math.max(0, ms - 10));
    expect(scheduler.offers()).toHaveLength(1);
    machines.advance(211);
    expect(scheduler.offers()).toHaveLength(2);
  });

  it('that were refused go to another framework', () => {
    const machines = createMachines();
    const scheduler = machines.subscribe();
    const other = machines.subscribe({ roles: ['other'] });
    decline(scheduler, 3600);
    machines.advance(300);
    expect(other.offers()).toHaveLength(1);
  });

  it('stop at SUPPRESS and come at once with REVIVE', () => {
    const machines = createMachines();
    const scheduler = machines.subscribe();
    decline(scheduler, 0);
    scheduler.call({ type: 'SUPPRESS' });
    machines.advance(10_000);
    expect(scheduler.offers()).toHaveLength(1);
    scheduler.call({ type: 'REVIVE' });
    expect(scheduler.offers()).toHaveLength(2);
    decline(scheduler, 3600);
    scheduler.call({ type: 'REVIVE', revive: { roles: ['etcd', 'not-mine'] } });
    expect(scheduler.offers()).toHaveLength(3);
  });

  it('of a new agent come when it registers, of a lost one are rescinded', () => {
    const machines = createMachines([describeAgent(1), describeAgent(2)]);
    const [first, second] = machines.agents as [TestAgent, TestAgent];
    const scheduler = machines.subscribe();
    expect(scheduler.offers()).toHaveLength(2);
    second.unlink();
    const lost = scheduler.offers().find(({ hostname }) => hostname === 'agent-2');
    expect(scheduler.events.at(-1)).toEqual({ type: 'RESCIND', rescind: { offer_id: lost?.id } });
    machines.advance(1000);
    second.link();
    machines.advance(300);
    expect(scheduler.offers().at(-1)?.hostname).toBe('agent-2');
    expect(first.agentId()).not.toBe(second.agentId());
  });

  it('hold each resource once: never more than the agent has, whatever is accepted and declined', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('launch', 'decline', 'end', 'wait'), { maxLength: 25 }),
        (steps) => {
          const machines = createMachines();
          const [agent] = machines.agents as [TestAgent];
          const scheduler = machines.subscribe();
          const held = new Map<string, number>();
          let seen = 0;
          let running = 0;
          for (const [index, step] of steps.entries()) {
            for (const offer of scheduler.offers().slice(seen)) {
              held.set(
                offer.id.value,
                offer.resources.find(({ name }) => name === 'cpus')?.scalar?.value ?? 0,
              );
              seen += 1;
            }
            const offered = [...held.values()].reduce((sum, cpus) => sum + cpus, 0);
            expect(offered + running).toBeLessThanOrEqual(4);
            const offer = scheduler.offers().findLast(({ id }) => held.has(id.value));
            if (step === 'wait') machines.advance(1300);
            else if (step === 'end') {
              const living = agent.launched.findIndex(({ taskId }) => !taskId.endsWith('-ended'));
              if (living >= 0 && running > 0) {
                agent.says(
                  { kind: 'exited', code: 0, signal: null, killed: false },
                  agent.launched.length - 1,
                );
                scheduler.acknowledgeAll();
                running = [...(agent.checkpoint()?.tasks ?? [])].length;
              }
            } else if (offer !== undefined) {
              held.delete(offer.id.value);
              if (step === 'decline') {
                scheduler.call({
                  type: 'DECLINE',
                  decline: { offer_ids: [offer.id], filters: { refuse_seconds: 0 } },
                });
              } else {
                scheduler.launch(offer, `t${index}`);
                running = [...(agent.checkpoint()?.tasks ?? [])].length;
              }
            }
          }
        },
      ),
    );
  });
});

describe('a launch that cannot be', () => {
  const refusals: readonly [string, Readonly<Record<string, unknown>>, string][] = [
    ['a wrong agent', { agent_id: { value: 'S9' } }, 'Task uses invalid agent S9 while agent'],
    ['no id', { task_id: { value: '' } }, 'ID must not be empty'],
    ['a blank in its id', { task_id: { value: 'a b' } }, "'a b' contains invalid characters"],
    ['a long id', { task_id: { value: 'x'.repeat(256) } }, 'ID must not be greater than 255 characters'],
    ['no resources', { resources: [] }, 'Task uses no resources'],
    [
      'a role it was not offered',
      { resources: [scalar('cpus', 1, 'other')] },
      'Total resources cpus(allocated: other):1',
    ],
    ['a negative amount', { resources: [scalar('cpus', -1)] }, 'Task uses invalid resources'],
    ['no command', { command: undefined }, 'Task should have at least one'],
    ['an executor', { executor: {} }, 'The local Mesos does not do TaskInfo.executor'],
    ['a container', { container: { type: 'MESOS' } }, 'The local Mesos does not do TaskInfo.container'],
    ['limits', { limits: {} }, 'The local Mesos does not do TaskInfo.limits'],
    [
      'another user',
      { command: { value: 'true', user: 'nobody' } },
      'The local Mesos runs tasks as its own user',
    ],
    [
      'a health check by a scheme that nobody knows',
      { health_check: { type: 'HTTP', http: { port: 80, scheme: 'ftp' } } },
      "Unsupported HTTP health check scheme: 'ftp'",
    ],
    ['a TCP check of no port', { health_check: { type: 'TCP' } }, "Expecting 'tcp' to be set"],
    [
      'a TCP check of port 0',
      { health_check: { type: 'TCP', tcp: { port: 0 } } },
      'port 0 is not of 1 … 65535',
    ],
    ['negative grace', { kill_policy: { grace_period: { nanoseconds: -1 } } }, 'must be non-negative'],
  ];
  it.each(refusals)('%s: TASK_ERROR says so, and nothing is launched', (_, given, message) => {
    const machines = createMachines();
    const [agent] = machines.agents as [TestAgent];
    const scheduler = machines.subscribe();
    scheduler.launch(firstOffer(scheduler), 't', given as Partial<TaskInfo>);
    expect(scheduler.updates()).toMatchObject([
      { state: 'TASK_ERROR', reason: 'REASON_TASK_INVALID', source: 'SOURCE_MASTER' },
    ]);
    expect(scheduler.updates()[0]?.message).toContain(message);
    expect(agent.launched).toEqual([]);
    machines.advance(1300);
    expect(scheduler.offers().at(-1)?.resources).toContainEqual(scalar('cpus', 4));
  });

  it('offers of two agents, or one offer twice', () => {
    const machines = createMachines([describeAgent(1), describeAgent(2)]);
    const scheduler = machines.subscribe();
    const [one, two] = scheduler.offers();
    const task = {
      name: 't',
      task_id: { value: 't' },
      agent_id: one?.agent_id,
      resources: [scalar('cpus', 1)],
    };
    const operations = [{ type: 'LAUNCH', launch: { task_infos: [task] } }];
    scheduler.call({ type: 'ACCEPT', accept: { offer_ids: [one?.id, one?.id], operations } });
    expect(scheduler.updates().at(-1)).toMatchObject({
      state: 'TASK_DROPPED',
      reason: 'REASON_INVALID_OFFERS',
    });
    expect(scheduler.updates().at(-1)?.message).toContain('Duplicate offer');
    machines.advance(300);
    const again = scheduler.offers().at(-1);
    scheduler.call({ type: 'ACCEPT', accept: { offer_ids: [again?.id, two?.id], operations } });
    expect(scheduler.updates().at(-1)?.message).toContain('must belong to one single agent');
  });

  it('is TASK_LOST to a framework that knows nothing of partitions', () => {
    const machines = createMachines();
    const capabilities = ['MULTI_ROLE', 'RESERVATION_REFINEMENT'].map((type) => ({ type }));
    const scheduler = machines.subscribe({ capabilities });
    scheduler.call({ type: 'RECONCILE', reconcile: { tasks: [{ task_id: { value: 'nobody' } }] } });
    expect(scheduler.states()).toEqual(['nobody TASK_LOST']);
  });

  it('resources that do not say whose they are count as the offer’s', () => {
    const machines = createMachines();
    const scheduler = machines.subscribe();
    const cpus: Resource = { name: 'cpus', type: 'SCALAR', scalar: { value: 1 } };
    scheduler.launch(firstOffer(scheduler), 't', { resources: [cpus] });
    expect(scheduler.updates()).toEqual([]);
  });
});

describe('an operation that cannot be', () => {
  const held = (resource: Resource, role = 'etcd'): Resource => ({
    ...resource,
    reservations: [{ type: 'DYNAMIC', role }],
  });
  const volume = (id: string, resource: Resource = held(scalar('disk', 10))): Resource => ({
    ...resource,
    disk: { persistence: { id }, volume: { mode: 'RW', container_path: 'd' } },
  });
  const id = { value: 'op' };
  const refusals: readonly [string, Operation, string][] = [
    [
      'RESERVE of what is not reserved',
      { type: 'RESERVE', id, reserve: { resources: [scalar('cpus', 1)] } },
      'is not dynamically reserved',
    ],
    [
      'RESERVE for another role',
      { type: 'RESERVE', id, reserve: { resources: [held(scalar('cpus', 1), 'x')] } },
      "with role 'x'",
    ],
    [
      'UNRESERVE of what was never reserved',
      { type: 'UNRESERVE', id, unreserve: { resources: [held(scalar('cpus', 1))] } },
      'does not contain',
    ],
    [
      'CREATE without a volume',
      { type: 'CREATE', id, create: { volumes: [held(scalar('disk', 10))] } },
      'does not have persistence set',
    ],
    [
      'CREATE with a path for an id',
      { type: 'CREATE', id, create: { volumes: [volume('../x')] } },
      'contains invalid characters',
    ],
    [
      'CREATE on disk that is not reserved',
      { type: 'CREATE', id, create: { volumes: [volume('v')] } },
      'does not contain',
    ],
    [
      'DESTROY of no volume',
      { type: 'DESTROY', id, destroy: { volumes: [volume('v')] } },
      'Persistent volumes not found',
    ],
  ];
  it.each(refusals)('%s: OPERATION_ERROR says so', (_, operation, message) => {
    const machines = createMachines();
    const scheduler = machines.subscribe();
    scheduler.accept(firstOffer(scheduler), [operation]);
    const [status] = scheduler.operations();
    expect(status).toMatchObject({ operation_id: id, state: 'OPERATION_ERROR' });
    expect(status?.message).toContain(message);
    expect(status?.uuid).toBeUndefined();
  });

  const by = (resource: Resource, principal?: string): Resource => ({
    ...held(resource),
    reservations: [{ type: 'DYNAMIC', role: 'etcd', ...(principal === undefined ? {} : { principal }) }],
  });
  const volumeBy = (principal?: string): Resource => {
    const base = volume('v', by(scalar('disk', 10), 'p'));
    return { ...base, disk: { ...base.disk, persistence: { id: 'v', ...(principal && { principal }) } } };
  };
  const ofPrincipals: readonly [string, Operation, string][] = [
    [
      'RESERVE without its principal',
      { type: 'RESERVE', id, reserve: { resources: [by(scalar('cpus', 1))] } },
      'with no principal set',
    ],
    [
      'RESERVE as another principal',
      { type: 'RESERVE', id, reserve: { resources: [by(scalar('cpus', 1), 'q')] } },
      "in the request with principal 'q'",
    ],
    [
      'CREATE without its principal',
      { type: 'CREATE', id, create: { volumes: [volumeBy()] } },
      "no principal set in 'disk.persistence'",
    ],
    [
      'CREATE as another principal',
      { type: 'CREATE', id, create: { volumes: [volumeBy('q')] } },
      "principal 'q' set in 'disk.persistence'",
    ],
  ];
  it.each(ofPrincipals)('a framework with a principal makes a %s', (_, operation, message) => {
    const scheduler = createMachines().subscribe({ principal: 'p' });
    scheduler.accept(firstOffer(scheduler), [operation]);
    expect(scheduler.operations()).toMatchObject([{ operation_id: id, state: 'OPERATION_ERROR' }]);
    expect(scheduler.operations()[0]?.message).toContain(message);
  });

  const refined = (...roles: readonly string[]): Resource => ({
    ...scalar('cpus', 1),
    reservations: roles.map((role) => ({ type: 'DYNAMIC', role })),
  });
  it.each([
    ['for everybody', refined('*'), 'role "*" cannot be reserved'],
    ['that refines another role', refined('other', 'etcd'), "role 'etcd' is not a refinement of 'other'"],
  ])('RESERVE %s', (_, resource, message) => {
    const scheduler = createMachines().subscribe();
    scheduler.accept(firstOffer(scheduler), [{ type: 'RESERVE', id, reserve: { resources: [resource] } }]);
    expect(scheduler.operations()[0]?.message).toContain(message);
  });

  it('DESTROY of a volume that a task uses', () => {
    const machines = createMachines();
    const [agent] = machines.agents as [TestAgent];
    const scheduler = machines.subscribe();
    scheduler.accept(firstOffer(scheduler), [
      { type: 'RESERVE', reserve: { resources: [held(scalar('disk', 10))] } },
      { type: 'CREATE', create: { volumes: [volume('v')] } },
    ]);
    machines.advance(300);
    const offer = scheduler.offers().at(-1);
    if (offer === undefined) throw new Error('no offer');
    scheduler.launch(offer, 't', { resources: [scalar('cpus', 1), volume('v')] });
    machines.advance(1300);
    const rest = scheduler.offers().at(-1);
    if (rest === undefined) throw new Error('no offer');
    scheduler.accept(rest, [{ type: 'DESTROY', id, destroy: { volumes: [volume('v')] } }]);
    expect(scheduler.operations()[0]?.message).toContain('Persistent volumes in use');
    expect([...agent.volumes]).toEqual(['/srv/agent/volumes/roles/etcd/v']);
  });
});

describe('a framework', () => {
  it('fails over: the old stream ends, its offers go to the new one, its calls are refused', () => {
    const machines = createMachines();
    const scheduler = machines.subscribe();
    const next = scheduler.failOver();
    expect(scheduler.ended).toBe(true);
    expect(scheduler.events.at(-1)).toEqual({ type: 'ERROR', error: { message: 'Framework failed over' } });
    expect(next.offers()).toHaveLength(1);
    expect(scheduler.call({ type: 'REVIVE' }).status).toBe(400);
    expect(next.call({ type: 'REVIVE' }).status).toBe(202);
  });

  it('that is away gets no offers, and 403 for its calls', () => {
    const machines = createMachines();
    const scheduler = machines.subscribe();
    scheduler.drop();
    machines.advance(5000);
    expect(scheduler.offers()).toHaveLength(1);
    expect(scheduler.call({ type: 'REVIVE' })).toMatchObject({
      status: 403,
      body: 'Framework is not subscribed',
    });
  });

  it('is removed when its failover timeout has passed, with its tasks, and never taken again', () => {
    const machines = createMachines();
    const [agent] = machines.agents as [TestAgent];
    const scheduler = machines.subscribe({ failover_timeout: 10 });
    scheduler.launch(firstOffer(scheduler), 't');
    agent.runs();
    scheduler.drop();
    machines.advance(9900);
    expect(agent.destroyed).toEqual([]);
    machines.advance(200);
    expect(agent.destroyed).toHaveLength(1);
    expect(agent.checkpoint()?.tasks).toEqual([]);
    const next = scheduler.failOver();
    expect(next.ended).toBe(true);
    expect(next.events).toEqual([{ type: 'ERROR', error: { message: 'Framework has been removed' } }]);
  });

  it('gets a heartbeat every 15 s', () => {
    const machines = createMachines();
    const scheduler = machines.subscribe();
    machines.advance(61_000);
    expect(scheduler.events.filter(({ type }) => type === 'HEARTBEAT')).toHaveLength(5);
  });

  it('leaves a role: its offers of that role are rescinded', () => {
    const machines = createMachines();
    const scheduler = machines.subscribe({ roles: ['a', 'b'] });
    const offer = firstOffer(scheduler);
    const update = { framework_info: { ...scheduler.info, roles: ['b'] } };
    expect(scheduler.call({ type: 'UPDATE_FRAMEWORK', update_framework: update }).status).toBe(200);
    expect(scheduler.events).toContainEqual({ type: 'RESCIND', rescind: { offer_id: offer.id } });
    expect(scheduler.offers().at(-1)?.allocation_info?.role).toBe('b');
  });

  it.each([
    [{ roles: ['a b'] }, "'FrameworkInfo.roles' contains invalid role"],
    [{ roles: ['a', 'a'] }, 'contains duplicate items'],
    [{ roles: [''] }, 'Empty role name is invalid'],
    [{ failover_timeout: -1 }, 'failover_timeout (-1) is invalid'],
    [{ capabilities: [] }, 'with the capability MULTI_ROLE only'],
  ])('%j is refused on its stream', (info, message) => {
    const machines = createMachines();
    const scheduler = machines.subscribe(info);
    expect(scheduler.ended).toBe(true);
    expect(JSON.stringify(scheduler.events)).toContain(message);
    expect(scheduler.events).toHaveLength(1);
  });

  it('keeps its principal', () => {
    const machines = createMachines();
    const scheduler = machines.subscribe({ principal: 'p' });
    const next = machines.subscribe({ id: { value: scheduler.frameworkId }, principal: 'q' });
    const message = "Changing framework's principal is not allowed.";
    expect(next.events).toEqual([{ type: 'ERROR', error: { message } }]);
    expect(next.ended).toBe(true);
    expect(scheduler.ended).toBe(false);
  });

  it('may not change its user', () => {
    const scheduler = createMachines().subscribe();
    const update = { framework_info: { ...scheduler.info, user: 'nobody' } };
    expect(scheduler.call({ type: 'UPDATE_FRAMEWORK', update_framework: update })).toMatchObject({
      status: 400,
      body: "Updating 'FrameworkInfo.user' is unsupported",
    });
  });
});

describe('an agent', () => {
  function withTask() {
    const machines = createMachines([describeAgent(1), describeAgent(2)]);
    const [agent, other] = machines.agents as [TestAgent, TestAgent];
    const scheduler = machines.subscribe();
    const offer = scheduler.offers().find(({ hostname }) => hostname === 'agent-1');
    if (offer === undefined) throw new Error('no offer');
    scheduler.launch(offer, 't');
    agent.runs();
    scheduler.acknowledgeAll();
    return { machines, agent, other, scheduler, agentId: offer.agent_id.value };
  }

  it('that answers no pings is unreachable after three, and back when it speaks again', () => {
    const { machines, agent, scheduler } = withTask();
    agent.paused = true;
    machines.advance(4100);
    expect(scheduler.states().at(-1)).toBe('t TASK_UNREACHABLE');
    expect(scheduler.events.at(-1)?.type).toBe('FAILURE');
    agent.paused = false;
    expect(scheduler.updates().at(-1)).toMatchObject({
      state: 'TASK_RUNNING',
      reason: 'REASON_AGENT_REREGISTERED',
    });
    machines.advance(300);
    expect(scheduler.offers().at(-1)?.hostname).toBe('agent-1');
  });

  it('is not told of a KILL that names another agent', () => {
    const { agent, other, scheduler } = withTask();
    const elsewhere = { value: other.agentId() ?? '' };
    scheduler.call({ type: 'KILL', kill: { task_id: { value: 't' }, agent_id: elsewhere } });
    expect(agent.kills).toEqual([]);
  });

  it('is told of a KILL when it comes back', () => {
    const { agent, scheduler } = withTask();
    agent.unlink();
    scheduler.call({ type: 'KILL', kill: { task_id: { value: 't' } } });
    expect(agent.kills).toEqual([]);
    agent.link();
    expect(agent.kills).toHaveLength(1);
  });

  it('that was marked gone while it was unreachable: its tasks are gone, and it ends when it comes back', () => {
    const { machines, agent, scheduler, agentId } = withTask();
    agent.crash();
    machines.advance(4100);
    const gone = { type: 'MARK_AGENT_GONE', mark_agent_gone: { agent_id: { value: agentId } } };
    expect(machines.operator(gone).status).toBe(200);
    expect(scheduler.states().slice(-2)).toEqual(['t TASK_UNREACHABLE', 't TASK_GONE_BY_OPERATOR']);
    expect(machines.operator(gone).status).toBe(200);
    agent.start();
    expect(agent.exited).toBe('Agent has been marked gone');
    expect(agent.destroyed).toHaveLength(1);
    scheduler.call({
      type: 'RECONCILE',
      reconcile: { tasks: [{ task_id: { value: 't' }, agent_id: { value: agentId } }] },
    });
    expect(scheduler.updates().at(-1)).toMatchObject({
      state: 'TASK_GONE_BY_OPERATOR',
      reason: 'REASON_RECONCILIATION',
    });
  });

  it('of a framework that an operator tears down ends its tasks, and the framework is told', () => {
    const { machines, agent, scheduler } = withTask();
    const teardown = { framework_id: { value: scheduler.frameworkId } };
    expect(machines.operator({ type: 'TEARDOWN', teardown }).status).toBe(200);
    expect(agent.destroyed.length + agent.kills.length).toBe(1);
    expect(machines.operator({ type: 'TEARDOWN', teardown }).status).toBe(400);
  });

  it('nobody knows cannot be marked gone', () => {
    const machines = createMachines();
    const call = { type: 'MARK_AGENT_GONE', mark_agent_gone: { agent_id: { value: 'S9' } } };
    expect(machines.operator(call).status).toBe(404);
    expect(machines.operator({ type: 'MARK_AGENT_GONE' }).status).toBe(400);
  });

  it('that was rebuilt is another one; its former tasks are lost', () => {
    const { machines, agent, scheduler, agentId } = withTask();
    agent.crash();
    agent.wipe();
    agent.start();
    expect(agent.agentId()).not.toBe(agentId);
    expect(scheduler.updates().at(-1)).toMatchObject({
      state: 'TASK_LOST',
      message: 'Agent agent-1 removed: a new agent registered at the same address',
    });
    const agents = JSON.parse(machines.operator({ type: 'GET_AGENTS' }).body) as {
      get_agents: { agents: unknown[] };
    };
    expect(agents.get_agents.agents).toHaveLength(2);
  });

  it('tells of tasks of a framework that is over: it is told to end them', () => {
    const { agent, scheduler } = withTask();
    agent.unlink();
    scheduler.call({ type: 'TEARDOWN' });
    expect(agent.destroyed).toEqual([]);
    agent.link();
    expect(agent.destroyed).toHaveLength(1);
  });
});

describe('a request', () => {
  const post = (body: unknown, headers: Record<string, string> = {}) => ({
    path: '/api/v1/scheduler',
    headers,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

  it.each([...UNSUPPORTED_CALLS])('the call %s is not implemented, and says so', (type) => {
    const scheduler = createMachines().subscribe();
    const answer = scheduler.call({ type });
    expect(answer).toMatchObject({ status: 501, headers: { 'content-type': 'text/plain; charset=utf-8' } });
    expect(answer.body).toContain(type);
  });

  it.each([...UNSUPPORTED_OPERATIONS])('the operation %s is not implemented, and nothing is done', (type) => {
    const scheduler = createMachines().subscribe();
    const offer = firstOffer(scheduler);
    const answer = scheduler.call({
      type: 'ACCEPT',
      accept: { offer_ids: [offer.id], operations: [{ type }] },
    });
    expect(answer.status).toBe(501);
    expect(answer.body).toContain(type);
    scheduler.launch(offer, 't');
    expect(scheduler.updates()).toEqual([]);
  });

  it.each(['UPDATE_QUOTA', 'GET_ROLES', 'UPDATE_WEIGHTS', 'SUBSCRIBE'])(
    'the operator’s call %s is not implemented, and says so',
    (type) => {
      const answer = createMachines().operator({ type });
      expect(answer.status).toBe(501);
      expect(answer.body).toContain(type);
    },
  );

  it.each([
    ['{"type":', 'syntax error at line 1 near: '],
    ['{\n  type: 1}', 'syntax error at line 2 near: type: 1}'],
    ['[]', 'Failed to convert JSON into Call protobuf: Invalid input: expected object, received array'],
    ['{"type":"DECLINE","framework_id":{"value":"x"},"decline":{"offer_ids":"y"}}', 'decline.offer_ids'],
  ])('%j is malformed', (body, message) => {
    const answer = createMachines().request(post(body));
    expect(answer.status).toBe(400);
    expect(answer.body).toContain(message);
  });

  it('in protobuf, or larger than is taken, is refused', () => {
    const machines = createMachines();
    expect(machines.request(post('', { 'content-type': 'application/x-protobuf' })).status).toBe(501);
    expect(machines.request(post(' '.repeat(64 * 1024 * 1024 + 1))).status).toBe(413);
  });

  it.each([
    ['*/*', 200],
    ['application/*;q=0.5, text/html', 200],
    ['application/json;q=0', 406],
    ['application/x-protobuf', 406],
  ])('that accepts %s gets %i', (accept, status) => {
    const scheduler = createMachines().subscribe();
    const call = { type: 'SUBSCRIBE', subscribe: { framework_info: scheduler.info } };
    expect(createMachines().request(post(call, { accept })).status).toBe(status);
  });

  it.each(['/state', '/master/state', '/slaves', '/tasks?limit=1', '/version'])('GET %s is JSON', (path) => {
    const answer = createMachines().request({ method: 'GET', path });
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } });
    expect(() => JSON.parse(answer.body) as unknown).not.toThrow();
  });

  it('GET /health is empty, and what is not there is 404', () => {
    const machines = createMachines();
    expect(machines.request({ method: 'GET', path: '/health' })).toMatchObject({ status: 200, body: '' });
    expect(machines.request({ method: 'GET', path: '/nothing' })).toMatchObject({ status: 404 });
    expect(JSON.parse(machines.operator({ type: 'GET_HEALTH' }).body)).toEqual({
      type: 'GET_HEALTH',
      get_health: { healthy: true },
    });
    expect(machines.operator({ type: 'GET_VERSION' }).body).toContain('"version":"1.12.0"');
  });

  it('whatever is in it is answered', () => {
    const machines = createMachines();
    const scheduler = machines.subscribe();
    const framework_id = { value: scheduler.frameworkId };
    const type = fc.constantFrom(
      'ACCEPT',
      'DECLINE',
      'KILL',
      'RECONCILE',
      'ACKNOWLEDGE',
      'UPDATE_FRAMEWORK',
      'REVIVE',
    );
    const word = fc.constantFrom(
      'offer_ids',
      'operations',
      'value',
      'type',
      'RESERVE',
      'reserve',
      'resources',
      'task_id',
    );
    const json = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom(null, true, 0, -1, 1e300, '', 'LAUNCH'),
        fc.array(tie('node'), { maxLength: 3 }),
        fc.dictionary(word, tie('node'), { maxKeys: 4 }),
      ),
    })).node;
    fc.assert(
      fc.property(type, json, (name, body) => {
        const { status } = scheduler.call({ type: name, framework_id, [name.toLowerCase()]: body });
        expect([200, 202, 400, 501]).toContain(status);
      }),
      { numRuns: 300 },
    );
  });
});
