import { expect, test } from 'vitest';
import { subscribed } from './mesos-machines.ts';

test('of a task that an agent does not name when it is back, nobody says that it is unreachable still', () => {
  const { machines, agent, scheduler, offer } = subscribed();
  // The agent's process dies before the launch arrives.
  agent.holding = true;
  scheduler.launch(offer, 't');
  agent.crash();
  agent.holding = false;
  machines.advance(10_000);
  expect(scheduler.states()).toEqual(['t TASK_UNREACHABLE']);
  agent.start();
  expect(agent.launched).toEqual([]);
  const ask = (agentId: string | null) =>
    scheduler.call({
      type: 'RECONCILE',
      reconcile: {
        tasks: [{ task_id: { value: 't' }, ...(agentId === null ? {} : { agent_id: { value: agentId } }) }],
      },
    });
  ask(null);
  expect(scheduler.states().at(-1)).toBe('t TASK_UNKNOWN');
  ask(agent.agentId());
  expect(scheduler.states().at(-1)).toBe('t TASK_GONE');
});
