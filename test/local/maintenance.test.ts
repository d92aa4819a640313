import { describe, expect, it } from 'vitest';
import type { InverseOffer, SchedulerEvent } from '../../src/mesos/wire.ts';
import { createMachines, type Machines, runningTask, type TestScheduler } from './mesos-machines.ts';

const machine = (number: number) => ({ hostname: `agent-${number}`, ip: '127.0.0.1' });
const unavailability = { start: { nanoseconds: 1.8e18 }, duration: { nanoseconds: 3.6e12 } };
const window = (...numbers: readonly number[]) => ({ machine_ids: numbers.map(machine), unavailability });
const schedule = (machines: Machines, ...windows: readonly object[]) =>
  machines.operator({
    type: 'UPDATE_MAINTENANCE_SCHEDULE',
    update_maintenance_schedule: { schedule: { windows } },
  });
const start = (machines: Machines, number: number) =>
  machines.operator({ type: 'START_MAINTENANCE', start_maintenance: { machines: [machine(number)] } });
const stop = (machines: Machines, number: number) =>
  machines.operator({ type: 'STOP_MAINTENANCE', stop_maintenance: { machines: [machine(number)] } });
const read = (machines: Machines, type: string): unknown =>
  (JSON.parse(machines.operator({ type }).body) as Record<string, unknown>)[type.toLowerCase()];

const inverse = ({ events }: TestScheduler): readonly InverseOffer[] =>
  events.flatMap((event: SchedulerEvent) =>
    event.type === 'INVERSE_OFFERS' ? event.inverse_offers.inverse_offers : [],
  );
const answer = (
  scheduler: TestScheduler,
  offer: InverseOffer | undefined,
  type: 'ACCEPT' | 'DECLINE',
  seconds?: number,
) => {
  const filters = seconds === undefined ? {} : { filters: { refuse_seconds: seconds } };
  const body = { inverse_offer_ids: [offer?.id], ...filters };
  return scheduler.call({
    type: `${type}_INVERSE_OFFERS`,
    [`${type.toLowerCase()}_inverse_offers`]: body,
  });
};

describe('scheduled maintenance', () => {
  it('rescinds all offers and makes them again, those of the machine with its unavailability', () => {
    const { machines, scheduler, agentId } = runningTask();
    const before = scheduler.offers();
    expect(schedule(machines, window(1)).status).toBe(200);
    const rescinded = scheduler.events.flatMap((event) =>
      event.type === 'RESCIND' ? [event.rescind.offer_id.value] : [],
    );
    const hostOf = (id: string) => before.find((offer) => offer.id.value === id)?.hostname;
    expect(rescinded.map(hostOf).sort()).toEqual(['agent-1', 'agent-2']);
    const again = scheduler.offers().slice(before.length);
    expect(Object.fromEntries(again.map((offer) => [offer.hostname, offer.unavailability]))).toEqual({
      'agent-1': unavailability,
      'agent-2': undefined,
    });
    expect(inverse(scheduler)).toMatchObject([{ agent_id: { value: agentId }, unavailability }]);
    expect(read(machines, 'GET_MAINTENANCE_SCHEDULE')).toEqual({ schedule: { windows: [window(1)] } });
  });

  it.each(['ACCEPT', 'DECLINE'] as const)(
    'asks again when the time of the filter has passed, whether the answer was %s',
    (type) => {
      const { machines, scheduler } = runningTask();
      schedule(machines, window(1));
      machines.advance(60_000);
      expect(inverse(scheduler)).toHaveLength(1);
      expect(answer(scheduler, inverse(scheduler)[0], type, 20).status).toBe(202);
      expect(read(machines, 'GET_MAINTENANCE_STATUS')).toMatchObject({
        status: {
          draining_machines: [
            { id: machine(1), statuses: [{ status: type, framework_id: { value: scheduler.frameworkId } }] },
          ],
        },
      });
      machines.advance(19_000);
      expect(inverse(scheduler)).toHaveLength(1);
      machines.advance(2000);
      expect(inverse(scheduler)).toHaveLength(2);
      // Without a filter it holds for five seconds.
      answer(scheduler, inverse(scheduler)[1], type);
      machines.advance(4000);
      expect(inverse(scheduler)).toHaveLength(2);
      machines.advance(2000);
      expect(inverse(scheduler)).toHaveLength(3);
    },
  );

  it('asks only who has something there', () => {
    const { machines } = runningTask();
    const other = machines.subscribe({ name: 'other', roles: ['other'] }, ['other']);
    schedule(machines, window(1));
    expect(inverse(other)).toEqual([]);
  });

  it('takes its questions back when it is called off, and when the agent is gone', () => {
    const { machines, scheduler, agent } = runningTask();
    schedule(machines, window(1));
    const rescindedOf = (offer: InverseOffer | undefined) => ({
      type: 'RESCIND_INVERSE_OFFER',
      rescind_inverse_offer: { inverse_offer_id: offer?.id },
    });
    schedule(machines);
    expect(scheduler.events).toContainEqual(rescindedOf(inverse(scheduler)[0]));
    expect(read(machines, 'GET_MAINTENANCE_STATUS')).toEqual({ status: {} });
    schedule(machines, window(1));
    agent.unlink();
    expect(scheduler.events).toContainEqual(rescindedOf(inverse(scheduler)[1]));
  });

  it('is asked of the next scheduler too, and known to the next leader', () => {
    const { machines, scheduler } = runningTask({ severalMasters: true });
    schedule(machines, window(1));
    const second = scheduler.failOver();
    machines.advance(1000);
    expect(inverse(second)).toHaveLength(1);
    machines.restartMaster();
    const third = second.failOver();
    machines.advance(1000);
    expect(inverse(third)).toHaveLength(1);
    expect(read(machines, 'GET_MAINTENANCE_SCHEDULE')).toEqual({ schedule: { windows: [window(1)] } });
  });

  it('begins: the agent ends and its tasks are lost; it is over: the agent may be started again', () => {
    const { machines, scheduler, agent, agentId } = runningTask();
    expect(start(machines, 1)).toMatchObject({
      status: 400,
      body: expect.stringContaining('is not part of a maintenance schedule') as string,
    });
    schedule(machines, window(1));
    expect(stop(machines, 1)).toMatchObject({
      status: 400,
      body: expect.stringContaining('is not in DOWN mode') as string,
    });
    expect(start(machines, 1).status).toBe(200);
    expect(agent.exited).toBe("Operator initiated 'Machine DOWN'");
    expect(agent.destroyed).toEqual([agent.launched[0]?.containerId]);
    expect(scheduler.updates().at(-1)).toMatchObject({
      state: 'TASK_LOST',
      reason: 'REASON_AGENT_REMOVED',
      message: "Agent agent-1 removed: Operator initiated 'Machine DOWN'",
    });
    expect(scheduler.events).toContainEqual({ type: 'FAILURE', failure: { agent_id: { value: agentId } } });
    expect(read(machines, 'GET_MAINTENANCE_STATUS')).toEqual({ status: { down_machines: [machine(1)] } });
    expect(schedule(machines)).toMatchObject({
      status: 400,
      body: expect.stringContaining('cannot be removed from the schedule') as string,
    });
    agent.start();
    expect(agent.exited).toBe('Machine is `DOWN`');
    expect(stop(machines, 1).status).toBe(200);
    expect(read(machines, 'GET_MAINTENANCE_SCHEDULE')).toEqual({ schedule: {} });
    agent.start();
    expect(agent.agentId()).not.toBeNull();
    expect(agent.agentId()).not.toBe(agentId);
  });

  it.each([
    [[{ machine_ids: [], unavailability }], 'List of machines in the maintenance window is empty'],
    [[{ machine_ids: [{}], unavailability }], "Both 'hostname' and 'ip' for a machine are empty"],
    [[window(1), window(1)], 'appears more than once in the schedule'],
    [[{ machine_ids: [{ ip: 'x' }], unavailability }], 'Failed to parse the IP'],
    [
      [{ machine_ids: [machine(1)], unavailability: { ...unavailability, duration: { nanoseconds: -1 } } }],
      "Unavailability 'duration' is negative",
    ],
    [[{ machine_ids: [machine(1)] }], 'Failed to validate'],
  ])('is refused where it is none: %j', (windows, problem) => {
    const machines = createMachines();
    expect(schedule(machines, ...windows)).toMatchObject({
      status: 400,
      body: expect.stringContaining(problem) as string,
    });
  });
});
