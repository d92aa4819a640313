import { describe, expect, it } from 'vitest';
import type { ExecutorInfo, Operation, Resource, TaskInfo } from '../../src/mesos/wire.ts';
import { createMachines, scalar, type TestAgent, type TestScheduler } from './mesos-machines.ts';

function subscribed() {
  const machines = createMachines();
  const [agent] = machines.agents as [TestAgent];
  const scheduler = machines.subscribe();
  return { machines, agent, scheduler };
}

const offerOf = (scheduler: TestScheduler) => {
  const offer = scheduler.offers().at(-1);
  if (offer === undefined) throw new Error('no offer');
  return offer;
};
const minimum = [scalar('cpus', 0.1), scalar('mem', 32), scalar('disk', 32)];

function group(
  scheduler: TestScheduler,
  tasks: Readonly<Record<string, Partial<TaskInfo>>>,
  executor: Partial<ExecutorInfo> = {},
): Operation {
  const { agent_id } = offerOf(scheduler);
  return {
    type: 'LAUNCH_GROUP',
    launch_group: {
      executor: {
        type: 'DEFAULT',
        executor_id: { value: 'pod' },
        framework_id: { value: scheduler.frameworkId },
        resources: minimum,
        ...executor,
      },
      task_group: {
        tasks: Object.entries(tasks).map(([id, given]) => ({
          name: id,
          task_id: { value: id },
          agent_id,
          resources: [scalar('cpus', 0.1), scalar('mem', 32)],
          command: { value: 'true' },
          ...given,
        })),
      },
    },
  };
}

const launch = (scheduler: TestScheduler, operation: Operation) =>
  scheduler.accept(offerOf(scheduler), [operation], 0);
const cpusOffered = (scheduler: TestScheduler) =>
  offerOf(scheduler)
    .resources.filter(({ name }) => name === 'cpus')
    .reduce((sum, { scalar: cpus }) => sum + (cpus?.value ?? 0), 0);

describe('a task group', () => {
  it('shares its executor with the next one, whose resources are taken once and free at its end', () => {
    const { machines, agent, scheduler } = subscribed();
    launch(scheduler, group(scheduler, { a: {} }));
    machines.advance(1000);
    expect(cpusOffered(scheduler)).toBeCloseTo(3.8);
    expect(offerOf(scheduler).executor_ids).toEqual([{ value: 'pod' }]);
    launch(scheduler, group(scheduler, { b: {} }));
    machines.advance(1000);
    expect(cpusOffered(scheduler)).toBeCloseTo(3.7);
    const [first, second] = agent.launchedGroups;
    expect(second?.containerId).toBe(first?.containerId);
    const containerId = first?.containerId ?? '';
    for (const { tasks } of agent.launchedGroups) {
      const exited = { kind: 'exited', code: 0, signal: null, killed: false } as const;
      agent.tell({ kind: 'container', containerId: tasks[0]?.containerId ?? '', event: exited });
    }
    agent.tell({ kind: 'container', containerId, event: { kind: 'executor-ended', status: 0 } });
    scheduler.acknowledgeAll();
    machines.advance(1000);
    expect(scheduler.states()).toEqual(['a TASK_FINISHED', 'b TASK_FINISHED']);
    expect(scheduler.events.filter(({ type }) => type === 'FAILURE')).toEqual([
      {
        type: 'FAILURE',
        failure: { agent_id: { value: agent.agentId() }, executor_id: { value: 'pod' }, status: 0 },
      },
    ]);
    const state = JSON.parse(machines.request({ path: '/state' }).body) as {
      slaves: { used_resources: { cpus: number } }[];
      frameworks: { executors: unknown[] }[];
    };
    expect(state.slaves[0]?.used_resources.cpus).toBe(0);
    expect(state.frameworks[0]?.executors).toEqual([]);
  });

  it('ends with its executor', () => {
    const { agent, scheduler } = subscribed();
    launch(scheduler, group(scheduler, { a: {}, b: {} }));
    const containerId = agent.launchedGroups[0]?.containerId ?? '';
    agent.tell({ kind: 'container', containerId, event: { kind: 'executor-ended', status: 9 } });
    expect(scheduler.updates()).toMatchObject([
      { state: 'TASK_FAILED', source: 'SOURCE_AGENT', reason: 'REASON_EXECUTOR_TERMINATED' },
      { state: 'TASK_FAILED', executor_id: { value: 'pod' } },
    ]);
    const failures = scheduler.events.filter(({ type }) => type === 'FAILURE');
    expect(failures).toMatchObject([{ failure: { executor_id: { value: 'pod' }, status: 9 } }]);
  });

  it('is known to an agent and a master that are started again', () => {
    const { machines, agent, scheduler } = subscribed();
    launch(scheduler, group(scheduler, { a: {} }));
    const task = agent.launchedGroups[0]?.tasks[0]?.containerId ?? '';
    agent.tell({
      kind: 'container',
      containerId: task,
      event: { kind: 'starting', executorPid: null },
    });
    agent.crash();
    machines.restartMaster();
    agent.start();
    const again = scheduler.failOver();
    machines.advance(1000);
    expect(offerOf(again).executor_ids).toEqual([{ value: 'pod' }]);
    expect(cpusOffered(again)).toBeCloseTo(3.8);
    const state = JSON.parse(machines.request({ path: '/state' }).body) as {
      frameworks: { tasks: { id: string; executor_id: string }[]; executors: { executor_id: string }[] }[];
    };
    expect(state.frameworks[0]?.tasks).toMatchObject([{ id: 'a', executor_id: 'pod' }]);
    expect(state.frameworks[0]?.executors).toMatchObject([{ executor_id: 'pod' }]);
    again.call({ type: 'TEARDOWN' });
    expect(agent.destroyed).toEqual([agent.launchedGroups[0]?.containerId]);
  });

  const port = (begin: number): Resource => ({
    name: 'ports',
    type: 'RANGES',
    ranges: { range: [{ begin, end: begin }] },
    allocation_info: { role: 'etcd' },
  });
  const some = [scalar('cpus', 0.1), scalar('mem', 32)];
  it.each<[string, Parameters<typeof group>[1], Partial<ExecutorInfo>]>([
    ['Task group cannot be empty', {}, {}],
    ["Task 'b/c' is invalid", { a: {}, 'b/c': {} }, {}],
    ["'ExecutorInfo.type' must be set", { a: {} }, { type: undefined } as unknown as Partial<ExecutorInfo>],
    ["'ExecutorInfo.framework_id' must be set", { a: {} }, { framework_id: undefined } as never],
    ['invalid FrameworkID', { a: {} }, { framework_id: { value: 'other' } }],
    ['contains invalid characters', { a: {} }, { executor_id: { value: 'a b' } }],
    ['uses less CPUs (None) than the minimum required (0.01)', { a: {} }, { resources: [scalar('mem', 32)] }],
    ['uses less memory (16MB)', { a: {} }, { resources: [scalar('cpus', 1), scalar('mem', 16)] }],
    ['uses no disk', { a: {} }, { resources: some }],
    ["must be 'MESOS' for 'DEFAULT' executor", { a: {} }, { container: { type: 'DOCKER' } }],
    [
      'overlapping resources',
      { a: { resources: [...some, port(31_000)] }, b: { resources: [...some, port(31_000)] } },
      {},
    ],
    ['are more than available', { a: { resources: [scalar('cpus', 4), scalar('mem', 32)] } }, {}],
    ['does not do TaskInfo.container', { a: { container: { type: 'MESOS', network_infos: [] } } }, {}],
  ])('is refused whole: %s', (problem, tasks, executor) => {
    const { agent, scheduler } = subscribed();
    const operation = group(scheduler, tasks, executor);
    launch(scheduler, operation);
    expect(agent.launchedGroups).toEqual([]);
    for (const status of scheduler.updates()) {
      expect(status).toMatchObject({
        state: 'TASK_ERROR',
        source: 'SOURCE_MASTER',
        reason: 'REASON_TASK_GROUP_INVALID',
      });
      expect(status.message).toContain(problem);
    }
    expect(scheduler.updates()).toHaveLength(Object.keys(tasks).length);
  });

  it('is refused under another executor of the same id, and with a task id that is taken', () => {
    const { machines, scheduler } = subscribed();
    launch(scheduler, group(scheduler, { a: {} }));
    machines.advance(1000);
    launch(scheduler, group(scheduler, { b: {} }, { resources: [...minimum.slice(1), scalar('cpus', 0.2)] }));
    machines.advance(1000);
    launch(scheduler, group(scheduler, { a: {} }));
    const messages = scheduler.updates().map(({ message }) => message);
    expect(messages).toEqual([
      'ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.',
      "Task 'a' is invalid: Task has duplicate ID: a",
    ]);
  });

  it('is dropped with the offer that it was launched on', () => {
    const { machines, scheduler } = subscribed();
    const operation = group(scheduler, { a: {}, b: {} });
    const offer = offerOf(scheduler);
    scheduler.call({ type: 'DECLINE', decline: { offer_ids: [offer.id] } });
    scheduler.accept(offer, [operation]);
    machines.advance(0);
    expect(scheduler.states()).toEqual(['a TASK_DROPPED', 'b TASK_DROPPED']);
  });
});
