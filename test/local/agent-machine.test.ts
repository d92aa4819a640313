import { describe, expect, it } from 'vitest';
import { type AgentInput, createAgentMachine } from '../../src/local/agent-machine.ts';
import type { Operation, Resource } from '../../src/mesos/wire.ts';
import {
  createMachines,
  describeAgent,
  scalar,
  subscribed,
  type TestAgent,
  type TestScheduler,
} from './mesos-machines.ts';

function launched(taskId = 't') {
  const { machines, agent, scheduler, offer } = subscribed();
  scheduler.launch(offer, taskId);
  return { machines, agent, scheduler };
}

const last = (scheduler: TestScheduler) => scheduler.updates().at(-1);

describe('a task', () => {
  it('is told of from start to end, each update once the one before was acknowledged', () => {
    const { agent, scheduler } = launched();
    agent.runs();
    agent.says({ kind: 'exited', code: 0, signal: null, killed: false });
    expect(scheduler.states()).toEqual(['t TASK_STARTING']);
    scheduler.acknowledgeAll();
    expect(scheduler.states()).toEqual(['t TASK_STARTING', 't TASK_RUNNING', 't TASK_FINISHED']);
    expect(agent.checkpoint()?.tasks).toEqual([]);
    expect(agent.checkpoint()?.frameworks).toEqual([]);
  });

  it.each([
    [{ code: 0, signal: null, killed: false }, 'TASK_FINISHED', 'Command exited with status 0'],
    [{ code: 3, signal: null, killed: false }, 'TASK_FAILED', 'Command exited with status 3'],
    [
      { code: null, signal: 'SIGSEGV', killed: false },
      'TASK_FAILED',
      'Command terminated with signal Segmentation fault',
    ],
    [
      { code: null, signal: 'SIGTERM', killed: true },
      'TASK_KILLED',
      'Command terminated with signal Terminated',
    ],
    [{ code: 0, signal: null, killed: true }, 'TASK_KILLED', 'Command exited with status 0'],
  ])('%j is %s', (exit, state, message) => {
    const { agent, scheduler } = launched();
    agent.runs();
    agent.says({ kind: 'exited', ...exit });
    scheduler.acknowledgeAll();
    expect(last(scheduler)).toMatchObject({ state, message, source: 'SOURCE_EXECUTOR' });
  });

  it('says nothing twice, whatever is repeated', () => {
    const { agent, scheduler } = launched();
    agent.runs();
    agent.runs();
    agent.says({ kind: 'killing', becauseUnhealthy: false });
    agent.says({ kind: 'killing', becauseUnhealthy: false });
    agent.says({ kind: 'health', healthy: true });
    agent.says({ kind: 'exited', code: 1, signal: null, killed: true });
    agent.says({ kind: 'executor-terminated' });
    scheduler.acknowledgeAll();
    expect(scheduler.states()).toEqual([
      't TASK_STARTING',
      't TASK_RUNNING',
      't TASK_KILLING',
      't TASK_KILLED',
    ]);
  });

  it('hears of TASK_KILLING only where its framework can', () => {
    const machines = createMachines();
    const [agent] = machines.agents as [TestAgent];
    const capabilities = ['MULTI_ROLE', 'PARTITION_AWARE', 'RESERVATION_REFINEMENT'].map((type) => ({
      type,
    }));
    const scheduler = machines.subscribe({ capabilities });
    const [offer] = scheduler.offers();
    if (offer !== undefined) scheduler.launch(offer, 't');
    agent.runs();
    agent.says({ kind: 'killing', becauseUnhealthy: false });
    agent.says({ kind: 'exited', code: null, signal: 'SIGTERM', killed: true });
    scheduler.acknowledgeAll();
    expect(scheduler.states()).toEqual(['t TASK_STARTING', 't TASK_RUNNING', 't TASK_KILLED']);
  });

  it('killed before its executor ran was killed by the agent', () => {
    const { agent, scheduler } = launched();
    scheduler.call({ type: 'KILL', kill: { task_id: { value: 't' } } });
    expect(agent.kills).toMatchObject([{ graceMs: 3000 }]);
    agent.says({ kind: 'exited', code: null, signal: 'SIGTERM', killed: true });
    expect(last(scheduler)).toMatchObject({
      state: 'TASK_KILLED',
      source: 'SOURCE_AGENT',
      reason: 'REASON_TASK_KILLED_DURING_LAUNCH',
    });
  });

  it('is killed with the grace of the call, else its own, else 3 s', () => {
    const { agent, scheduler, offer } = subscribed();
    scheduler.launch(offer, 't', { kill_policy: { grace_period: { nanoseconds: 5e9 } } });
    const kill = { task_id: { value: 't' } };
    scheduler.call({ type: 'KILL', kill });
    scheduler.call({ type: 'KILL', kill: { ...kill, kill_policy: { grace_period: { nanoseconds: 0 } } } });
    expect(agent.kills.map(({ graceMs }) => graceMs)).toEqual([5000, 0]);
    expect(agent.launched[0]?.killGraceMs).toBe(5000);
  });
});

describe('an agent', () => {
  it('sends an update again after 10, 20 and 40 s', () => {
    const { machines, agent } = launched();
    const startMs = machines.nowMs();
    agent.says({ kind: 'starting', executorPid: 1 });
    machines.advance(80_000);
    const times = agent.sent.filter(({ kind }) => kind === 'update').map(({ atMs }) => atMs - startMs);
    expect(times).toEqual([0, 10_000, 30_000, 70_000]);
  });

  it('sends again at once to a scheduler that has failed over', () => {
    const { machines, agent, scheduler } = launched();
    agent.runs();
    machines.advance(1000);
    const next = scheduler.failOver();
    expect(next.states()).toEqual(['t TASK_STARTING']);
    next.acknowledgeAll();
    expect(next.states()).toEqual(['t TASK_STARTING', 't TASK_RUNNING']);
  });

  it('frees what an ended task used while its end is not told yet', () => {
    const { machines, agent, scheduler } = launched();
    agent.runs();
    machines.advance(1500);
    agent.says({ kind: 'exited', code: 0, signal: null, killed: false });
    machines.advance(10_500);
    expect(scheduler.states()).toEqual(['t TASK_STARTING', 't TASK_STARTING']);
    expect(scheduler.offers().at(-1)?.resources).toEqual([scalar('cpus', 1), scalar('mem', 64)]);
  });

  it('started on its work directory goes on where it was', () => {
    const { machines, agent, scheduler } = launched();
    agent.runs();
    const agentId = agent.agentId();
    agent.crash();
    machines.advance(1000);
    agent.start();
    agent.says({ kind: 'exited', code: 1, signal: null, killed: false });
    scheduler.acknowledgeAll();
    expect(agent.agentId()).toBe(agentId);
    expect(scheduler.states().slice(-2)).toEqual(['t TASK_RUNNING', 't TASK_FAILED']);
    expect(scheduler.events.some(({ type }) => type === 'FAILURE')).toBe(false);
  });

  it('remembers that an update was acknowledged', () => {
    const { agent, scheduler } = launched();
    agent.says({ kind: 'starting', executorPid: 1 });
    scheduler.acknowledgeAll();
    agent.crash();
    agent.start();
    expect(scheduler.states()).toEqual(['t TASK_STARTING']);
  });

  it('says that a launch never arrived', () => {
    const { agent, scheduler, offer } = subscribed();
    agent.paused = true;
    scheduler.launch(offer, 't');
    // What was on its way is lost with the process.
    agent.crash();
    agent.paused = false;
    agent.start();
    expect(last(scheduler)).toMatchObject({
      state: 'TASK_DROPPED',
      source: 'SOURCE_AGENT',
      reason: 'REASON_RECONCILIATION',
    });
    scheduler.acknowledgeAll();
    expect(agent.checkpoint()?.tasks).toEqual([]);
    expect(agent.launched).toEqual([]);
  });

  it('that is shut down ends its tasks, keeps its volumes, and is another one when it is started again', () => {
    const { agent, scheduler } = launched();
    agent.runs();
    const agentId = agent.agentId();
    agent.tell({ kind: 'shutdown' });
    expect(agent.exited).toBe('the agent was shut down');
    expect(agent.destroyed).toEqual([agent.launched[0]?.containerId]);
    expect(last(scheduler)).toMatchObject({
      state: 'TASK_LOST',
      message: 'Agent agent-1 removed: the agent unregistered',
    });
    agent.start();
    expect(agent.agentId()).not.toBe(agentId);
    expect(scheduler.offers().at(-1)?.agent_id.value).toBe(agent.agentId());
  });

  it('that hears no pings for long enough registers again, every second until it is heard', () => {
    const machine = createAgentMachine({
      description: describeAgent(1),
      workDirectory: '/srv/agent',
      ids: { uuid: () => '00000000-0000-4000-8000-000000000001' },
      recovered: null,
    });
    const at = (monotonicMs: number, input: AgentInput) =>
      machine
        .handle(input, { monotonicMs, wallMs: 0 })
        .flatMap((output) => (output.kind === 'send' ? [output.message.kind] : []));
    expect(at(0, { kind: 'link-up' })).toEqual(['register']);
    expect(machine.nextWakeMs()).toBe(1000);
    expect(at(1000, { kind: 'tick' })).toEqual(['register']);
    at(1500, { kind: 'message', message: { kind: 'registered', agentId: 'S0', pingTimeoutMs: 4000 } });
    expect(machine.nextWakeMs()).toBe(5500);
    expect(at(3000, { kind: 'message', message: { kind: 'ping' } })).toEqual(['pong']);
    expect(at(6999, { kind: 'tick' })).toEqual([]);
    expect(at(7000, { kind: 'tick' })).toEqual(['reregister']);
    expect(at(8000, { kind: 'tick' })).toEqual(['reregister']);
  });

  it('finds a master that was started anew, with its tasks and their framework', () => {
    const { machines, agent, scheduler } = launched();
    agent.runs();
    scheduler.acknowledgeAll();
    machines.restartMaster();
    const next = scheduler.failOver();
    expect(next.frameworkId).toBe(scheduler.frameworkId);
    next.call({ type: 'RECONCILE', reconcile: { tasks: [] } });
    expect(next.states()).toEqual(['t TASK_RUNNING']);
    expect(next.offers().at(-1)?.resources).toContainEqual(scalar('cpus', 3));
  });
});

describe('reservations and volumes', () => {
  const held = (resource: Resource): Resource => ({
    ...resource,
    reservations: [{ type: 'DYNAMIC', role: 'etcd', labels: { labels: [{ key: 'id', value: 'r' }] } }],
  });
  const disk = held(scalar('disk', 100));
  const volume: Resource = {
    ...disk,
    disk: { persistence: { id: 'v1' }, volume: { mode: 'RW', container_path: 'data' } },
  };
  const reserve: Operation = {
    type: 'RESERVE',
    id: { value: 'op-1' },
    reserve: { resources: [held(scalar('cpus', 1)), held(scalar('mem', 64)), disk] },
  };
  const create: Operation = { type: 'CREATE', id: { value: 'op-2' }, create: { volumes: [volume] } };

  function reserved() {
    const { machines, agent, scheduler, offer } = subscribed();
    scheduler.accept(offer, [reserve, create]);
    return { machines, agent, scheduler };
  }

  it('are made, told of, offered to their role only, and live on a directory of their own', () => {
    const { machines, agent, scheduler } = reserved();
    expect(scheduler.operations()).toMatchObject([
      { operation_id: { value: 'op-1' }, state: 'OPERATION_FINISHED' },
      { operation_id: { value: 'op-2' }, state: 'OPERATION_FINISHED' },
    ]);
    expect([...agent.volumes]).toEqual(['/srv/agent/volumes/roles/etcd/v1']);
    machines.advance(300);
    expect(scheduler.offers().at(-1)?.resources).toContainEqual(volume);
    scheduler.drop();
    const stranger = machines.subscribe({ roles: ['other'] });
    const names = stranger
      .offers()
      .flatMap(({ resources }) => resources.filter(({ reservations }) => reservations));
    expect(names).toEqual([]);
    expect(stranger.offers()[0]?.resources).toContainEqual(scalar('cpus', 3, 'other'));
  });

  it('survive the agent and the master, and the volume is mounted into its task', () => {
    const { machines, agent, scheduler } = reserved();
    agent.volumes.clear();
    agent.crash();
    agent.start();
    expect([...agent.volumes]).toEqual(['/srv/agent/volumes/roles/etcd/v1']);
    machines.restartMaster();
    const next = scheduler.failOver();
    const offer = next.offers().at(-1);
    expect(offer?.resources).toContainEqual(volume);
    if (offer === undefined) throw new Error('no offer');
    next.launch(offer, 't', {
      resources: [held(scalar('cpus', 1)), held(scalar('mem', 64)), volume],
    });
    expect(agent.launched.at(-1)?.volumes).toEqual([
      { containerPath: 'data', hostPath: '/srv/agent/volumes/roles/etcd/v1' },
    ]);
  });

  it('are given back: the directory goes, everything is free', () => {
    const { machines, agent, scheduler } = reserved();
    machines.advance(300);
    const offer = scheduler.offers().at(-1);
    if (offer === undefined) throw new Error('no offer');
    scheduler.accept(offer, [
      { type: 'DESTROY', destroy: { volumes: [volume] } },
      {
        type: 'UNRESERVE',
        unreserve: { resources: [held(scalar('cpus', 1)), held(scalar('mem', 64)), disk] },
      },
    ]);
    expect(agent.volumes.size).toBe(0);
    expect(agent.checkpoint()?.totalResources).toHaveLength(4);
    machines.advance(300);
    expect(scheduler.offers().at(-1)?.resources).toEqual(
      expect.arrayContaining([scalar('cpus', 4), scalar('mem', 1024), scalar('disk', 1024)]),
    );
  });

  it('feedback is sent again until it is acknowledged', () => {
    const { machines, scheduler } = reserved();
    machines.advance(10_500);
    expect(scheduler.operations().map(({ operation_id }) => operation_id?.value)).toEqual([
      'op-1',
      'op-2',
      'op-1',
      'op-2',
    ]);
    for (const status of scheduler.operations().slice(0, 2)) {
      scheduler.call({
        type: 'ACKNOWLEDGE_OPERATION_STATUS',
        acknowledge_operation_status: {
          agent_id: status.agent_id,
          operation_id: status.operation_id,
          uuid: status.uuid?.value,
        },
      });
    }
    machines.advance(700_000);
    expect(scheduler.operations()).toHaveLength(4);
  });

  it('are still there when the agent was shut down for good and another starts in its place', () => {
    const { machines, agent, scheduler } = reserved();
    const former = agent.agentId();
    agent.tell({ kind: 'shutdown' });
    agent.start();
    expect(agent.agentId()).not.toBe(former);
    machines.advance(300);
    expect(scheduler.offers().at(-1)?.resources).toContainEqual(volume);
  });

  it('that are on their way to an agent that registers again meanwhile are not dropped', () => {
    const { machines, agent, scheduler, offer } = subscribed();
    agent.holding = true;
    scheduler.accept(offer, [reserve]);
    agent.tell({ kind: 'message', message: { kind: 'reregister-asked' } });
    expect(scheduler.operations()).toEqual([]);
    agent.holding = false;
    expect(scheduler.operations()).toMatchObject([{ state: 'OPERATION_FINISHED' }]);
    machines.advance(300);
    expect(scheduler.offers().at(-1)?.resources).toContainEqual(held(scalar('cpus', 1)));
  });

  it('an operation that never reached the agent is dropped, and the resources are what they were', () => {
    const { machines, agent, scheduler, offer } = subscribed();
    agent.paused = true;
    scheduler.accept(offer, [reserve]);
    agent.crash();
    agent.paused = false;
    agent.start();
    expect(scheduler.operations()).toMatchObject([
      { operation_id: { value: 'op-1' }, state: 'OPERATION_DROPPED' },
    ]);
    machines.advance(1500);
    expect(scheduler.offers().at(-1)?.resources).toContainEqual(scalar('cpus', 4));
  });
});

describe('a check', () => {
  it('is told with every update of its task, the last outcome that is known', () => {
    const { agent, scheduler, offer } = subscribed();
    scheduler.launch(offer, 't', { check: { type: 'COMMAND', command: { command: { value: 'true' } } } });
    agent.runs();
    agent.says({ kind: 'health', healthy: true });
    agent.says({ kind: 'check', status: { type: 'COMMAND', command: { exit_code: 2 } } });
    agent.says({ kind: 'exited', code: 0, signal: null, killed: false });
    scheduler.acknowledgeAll();
    expect(scheduler.updates().map(({ check_status: status }) => status?.command)).toEqual([
      {},
      {},
      {},
      { exit_code: 2 },
      { exit_code: 2 },
    ]);
    expect(scheduler.updates().at(3)).toMatchObject({
      state: 'TASK_RUNNING',
      reason: 'REASON_TASK_CHECK_STATUS_UPDATED',
      healthy: true,
    });
  });

  it('that cannot be made is refused', () => {
    const { scheduler, offer } = subscribed();
    scheduler.launch(offer, 't', { check: { type: 'HTTP', http: { port: 80, path: 'health' } } });
    expect(scheduler.updates().at(-1)).toMatchObject({
      state: 'TASK_ERROR',
      message: "Task uses invalid check: The path 'health' of HTTP check must start with '/'",
    });
  });
});
