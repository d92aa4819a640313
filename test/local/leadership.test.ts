import { expect, test } from 'vitest';
import { createMasterMachine, type MasterMachine } from '../../src/local/master-machine.ts';
import { createMachines, describeAgent, type Machines, type TestScheduler } from './mesos-machines.ts';

const AT = { monotonicMs: 0, wallMs: 1_700_000_000_000 };

function standby(port = 5060): MasterMachine {
  let count = 0;
  const uuid = () => `00000000-0000-4000-8000-0000${port}${String(++count).padStart(4, '0')}`;
  return createMasterMachine({
    ids: { uuid },
    hostname: '127.0.0.1',
    ip: '127.0.0.1',
    port,
    startedAt: AT,
    standsBy: true,
  });
}

function ask(master: MasterMachine, method: string, path: string) {
  const [answer] = master.handle(
    { kind: 'request', exchange: `${method} ${path}`, method, path, headers: {}, body: '' },
    AT,
  );
  return answer?.kind === 'respond' ? { status: answer.status, location: answer.headers['location'] } : null;
}

test('a standby sends everybody to the leader and answers only for its own process', () => {
  const master = standby();
  expect(ask(master, 'GET', '/state')).toEqual({ status: 503, location: undefined });
  expect(ask(master, 'GET', '/redirect')).toEqual({ status: 503, location: undefined });
  master.handle({ kind: 'leader', leader: standby(5050).info }, AT);
  const leader = '//127.0.0.1:5050';
  for (const path of ['/api/v1/scheduler', '/api/v1', '/state', '/slaves', '/tasks?limit=3']) {
    const expected = { status: 307, location: `${leader}/master${path}` };
    expect(ask(master, 'GET', path)).toEqual(expected);
    expect(ask(master, 'POST', `/master${path}`)).toEqual(expected);
  }
  expect(ask(master, 'GET', '/redirect')).toEqual({ status: 307, location: leader });
  expect(ask(master, 'GET', '/master/redirect')).toEqual({ status: 307, location: leader });
  expect(ask(master, 'GET', '/health')).toMatchObject({ status: 200 });
  expect(ask(master, 'GET', '/version')).toMatchObject({ status: 200 });
  expect(ask(master, 'GET', '/nothing')).toMatchObject({ status: 404 });
});

test('a standby that is elected serves, and one that has led ends when it leads no more', () => {
  const master = standby();
  expect(master.handle({ kind: 'elected', registry: null }, AT)).toMatchObject([{ kind: 'store' }]);
  expect(master.isLeading()).toBe(true);
  expect(ask(master, 'GET', '/state')).toMatchObject({ status: 200 });
  expect(ask(master, 'GET', '/redirect')).toEqual({ status: 307, location: '//127.0.0.1:5060' });
  expect(master.handle({ kind: 'elected', registry: null }, AT)).toEqual([]);
  const message = 'Conceded leadership to master@127.0.0.1:5050';
  expect(master.handle({ kind: 'leader', leader: standby(5050).info }, AT)).toEqual([
    { kind: 'exit', message },
  ]);
  expect(ask(master, 'GET', '/health')).toBeNull();
});

function running(machines: Machines): TestScheduler {
  const scheduler = machines.subscribe();
  for (const offer of scheduler.offers()) scheduler.launch(offer, `on-${offer.hostname}`);
  for (const agent of machines.agents) agent.runs();
  scheduler.acknowledgeAll();
  return scheduler;
}
const two = () => createMachines([describeAgent(1), describeAgent(2)], { severalMasters: true });
const question = (taskId: string, agentId: string | null) => ({
  type: 'RECONCILE',
  reconcile: {
    tasks: [{ task_id: { value: taskId }, ...(agentId === null ? {} : { agent_id: { value: agentId } }) }],
  },
});

test('a new leader has a new id; framework, agents and tasks stay', () => {
  const machines = two();
  const before = running(machines);
  const agentIds = machines.agents.map((agent) => agent.agentId());
  const masterId = (scheduler: TestScheduler) =>
    scheduler.events.flatMap((event) =>
      event.type === 'SUBSCRIBED' ? [event.subscribed.master_info?.id] : [],
    );
  machines.restartMaster();
  const after = before.failOver();
  expect(masterId(after)).not.toEqual(masterId(before));
  expect(after.frameworkId).toBe(before.frameworkId);
  expect(machines.agents.map((agent) => agent.agentId())).toEqual(agentIds);
  after.call({ type: 'RECONCILE', reconcile: { tasks: [] } });
  expect([...after.states()].sort()).toEqual(['on-agent-1 TASK_RUNNING', 'on-agent-2 TASK_RUNNING']);
});

test('of an agent that is not back yet the new leader says nothing, until its time has passed', () => {
  const machines = two();
  const before = running(machines);
  const [first, second] = machines.agents;
  const lateId = second?.agentId() ?? '';
  machines.restartMaster(first === undefined ? [] : [first]);
  const after = before.failOver();
  expect(recoveredAgents(machines)).toEqual([lateId]);
  after.call(question('on-agent-2', lateId));
  after.call(question('on-agent-2', null));
  after.call(question('on-agent-1', first?.agentId() ?? ''));
  expect(after.states()).toEqual(['on-agent-1 TASK_RUNNING']);
  machines.advance(600_000);
  expect(recoveredAgents(machines)).toEqual([]);
  expect(after.events).toContainEqual({ type: 'FAILURE', failure: { agent_id: { value: lateId } } });
  after.call(question('on-agent-2', lateId));
  expect(after.states().at(-1)).toBe('on-agent-2 TASK_UNREACHABLE');
  second?.link();
  after.call(question('on-agent-2', lateId));
  expect(after.states().at(-1)).toBe('on-agent-2 TASK_RUNNING');
});

test('the new leader knows which agents were marked gone', () => {
  const machines = two();
  running(machines);
  const [first, second] = machines.agents;
  if (first === undefined || second === undefined) throw new Error('there are two');
  const goneId = second.agentId();
  second.unlink();
  const answer = machines.operator({
    type: 'MARK_AGENT_GONE',
    mark_agent_gone: { agent_id: { value: goneId } },
  });
  expect(answer.status).toBe(200);
  machines.restartMaster([first]);
  second.link();
  expect(second.exited).toBe('Agent has been marked gone');
});

function recoveredAgents(machines: Machines): readonly string[] {
  const { get_agents } = JSON.parse(machines.operator({ type: 'GET_AGENTS' }).body) as {
    get_agents: { recovered_agents: readonly { id: { value: string } }[] };
  };
  return get_agents.recovered_agents.map(({ id }) => id.value);
}
