import { describe, expect, it } from 'vitest';
import { type Machines, runningTask, subscribed } from './mesos-machines.ts';

const drain = (machines: Machines, agentId: string, more: object = {}) =>
  machines.operator({ type: 'DRAIN_AGENT', drain_agent: { agent_id: { value: agentId }, ...more } });
const reactivate = (machines: Machines, agentId: string) =>
  machines.operator({ type: 'REACTIVATE_AGENT', reactivate_agent: { agent_id: { value: agentId } } });

interface ShownAgent {
  readonly agent_info: { readonly hostname: string };
  readonly active: boolean;
  readonly deactivated: boolean;
  readonly drain_info?: { readonly state: string; readonly config: unknown };
}
function shown(machines: Machines, hostname = 'agent-1'): ShownAgent | undefined {
  const { get_agents } = JSON.parse(machines.operator({ type: 'GET_AGENTS' }).body) as {
    get_agents: { agents: readonly ShownAgent[] };
  };
  return get_agents.agents.find(({ agent_info }) => agent_info.hostname === hostname);
}

describe('a drained agent', () => {
  it('has its offers rescinded and its tasks killed, is offered to nobody, and comes back when it is reactivated', () => {
    const { machines, scheduler, agent, agentId } = runningTask();
    const [offer] = scheduler
      .offers()
      .filter(({ hostname }) => hostname === 'agent-1')
      .slice(-1);
    expect(drain(machines, agentId, { max_grace_period: { seconds: 2 } }).status).toBe(200);
    expect(scheduler.events).toContainEqual({ type: 'RESCIND', rescind: { offer_id: offer?.id } });
    expect(agent.kills.map(({ graceMs }) => graceMs)).toEqual([2000]);
    expect(shown(machines)).toMatchObject({
      active: false,
      deactivated: true,
      drain_info: { state: 'DRAINING' },
    });
    expect(reactivate(machines, agentId)).toMatchObject({ status: 400 });
    agent.says({ kind: 'killing', becauseUnhealthy: false });
    scheduler.acknowledgeAll();
    agent.says({ kind: 'exited', code: null, signal: 'SIGTERM', killed: true });
    scheduler.acknowledgeAll();
    expect(scheduler.updates().slice(-2)).toMatchObject([
      { state: 'TASK_KILLING', source: 'SOURCE_EXECUTOR', reason: 'REASON_AGENT_DRAINING' },
      { state: 'TASK_KILLED', source: 'SOURCE_EXECUTOR', reason: 'REASON_AGENT_DRAINING' },
    ]);
    const config = { max_grace_period: { nanoseconds: 2e9 }, mark_gone: false };
    expect(shown(machines)?.drain_info).toEqual({ state: 'DRAINED', config });
    const before = scheduler.offers().length;
    machines.advance(60_000);
    expect(scheduler.offers().slice(before)).toEqual([]);
    expect(reactivate(machines, agentId).status).toBe(200);
    expect(scheduler.offers().slice(before)).toMatchObject([{ hostname: 'agent-1' }]);
    expect(shown(machines)).toMatchObject({ active: true, deactivated: false });
    expect(shown(machines)?.drain_info).toBeUndefined();
  });

  it.each([
    [undefined, undefined, 3000],
    [undefined, 10_000, 10_000],
    [{ seconds: 5 }, undefined, 5000],
    [{ seconds: 5 }, 10_000, 5000],
    [{ seconds: 5 }, 1000, 1000],
    // A field that this type of duration does not have.
    [{ nanoseconds: 5e9 }, 1000, 0],
  ])('grants %j to a task with %j ms of its own: %j ms', (granted, own, expected) => {
    const { machines, agent, scheduler, offer } = subscribed();
    const policy = own === undefined ? {} : { kill_policy: { grace_period: { nanoseconds: own * 1e6 } } };
    scheduler.launch(offer, 't', policy);
    agent.runs();
    drain(machines, agent.agentId() ?? '', granted === undefined ? {} : { max_grace_period: granted });
    expect(agent.kills.map(({ graceMs }) => graceMs)).toEqual([expected]);
  });

  it('that is to be gone says so of its tasks as soon as they are killed, and then is', () => {
    const { machines, scheduler, agent, agentId } = runningTask();
    expect(drain(machines, agentId, { mark_gone: true }).status).toBe(200);
    agent.says({ kind: 'killing', becauseUnhealthy: false });
    expect(scheduler.updates().at(-1)).toMatchObject({
      state: 'TASK_GONE_BY_OPERATOR',
      source: 'SOURCE_EXECUTOR',
      reason: 'REASON_AGENT_DRAINING',
    });
    expect(agent.exited).toBeNull();
    scheduler.acknowledgeAll();
    expect(agent.exited).toBe('Agent has been marked gone');
    expect(scheduler.events).toContainEqual({ type: 'FAILURE', failure: { agent_id: { value: agentId } } });
    expect(shown(machines)).toBeUndefined();
  });

  it('goes on with it after a restart of its own', () => {
    const { machines, scheduler, agent, agentId } = runningTask();
    agent.crash();
    drain(machines, agentId);
    agent.start();
    expect(agent.kills).toHaveLength(1);
    agent.crash();
    agent.start();
    agent.says({ kind: 'exited', code: null, signal: 'SIGTERM', killed: true });
    expect(scheduler.updates().at(-1)).toMatchObject({
      state: 'TASK_KILLED',
      reason: 'REASON_AGENT_DRAINING',
    });
    scheduler.acknowledgeAll();
    expect(shown(machines)?.drain_info).toMatchObject({ state: 'DRAINED' });
    expect(agent.checkpoint()?.drain).toBeUndefined();
  });

  it('is known to the next leader of several masters', () => {
    const { machines, scheduler, agent, agentId } = runningTask({ severalMasters: true });
    drain(machines, agentId);
    agent.says({ kind: 'exited', code: null, signal: 'SIGTERM', killed: true });
    scheduler.acknowledgeAll();
    machines.restartMaster();
    expect(shown(machines)).toMatchObject({
      active: false,
      deactivated: true,
      drain_info: { state: 'DRAINED' },
    });
    expect(
      scheduler
        .failOver()
        .offers()
        .map(({ hostname }) => hostname),
    ).toEqual(['agent-2']);
  });

  it('is refused where there is none, and where its machine has maintenance scheduled', () => {
    const { machines, agentId } = runningTask();
    expect(drain(machines, 'nobody')).toMatchObject({ status: 400, body: 'Unknown agent' });
    expect(machines.operator({ type: 'DRAIN_AGENT' })).toMatchObject({ status: 400 });
    expect(reactivate(machines, agentId)).toMatchObject({ status: 400, body: 'Agent is not deactivated' });
    const window = {
      machine_ids: [{ hostname: 'agent-1', ip: '127.0.0.1' }],
      unavailability: { start: { nanoseconds: 1.8e18 } },
    };
    machines.operator({
      type: 'UPDATE_MAINTENANCE_SCHEDULE',
      update_maintenance_schedule: { schedule: { windows: [window] } },
    });
    expect(drain(machines, agentId)).toMatchObject({
      status: 400,
      body: expect.stringContaining('is part of a maintenance schedule') as string,
    });
  });
});

it('a deactivated agent is offered to nobody, and what runs there runs on', () => {
  const { machines, scheduler, agent, agentId } = runningTask();
  const call = { type: 'DEACTIVATE_AGENT', deactivate_agent: { agent_id: { value: agentId } } };
  expect(machines.operator(call).status).toBe(200);
  const before = scheduler.offers().length;
  machines.advance(10_000);
  expect(
    scheduler
      .offers()
      .slice(before)
      .map(({ hostname }) => hostname),
  ).toEqual([]);
  expect(agent.kills).toEqual([]);
  expect(shown(machines)).toMatchObject({ active: false, deactivated: true });
  agent.unlink();
  agent.link();
  expect(shown(machines)).toMatchObject({ active: false, deactivated: true });
  expect(reactivate(machines, agentId).status).toBe(200);
  expect(
    scheduler
      .offers()
      .slice(before)
      .map(({ hostname }) => hostname),
  ).toEqual(['agent-1']);
});
