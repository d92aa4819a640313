import { describe, expect, it } from 'vitest';
import {
  agentsGoneOf,
  EMPTY_VIEW,
  type MesosView,
  reduceView,
  taskEvidenceOf,
  unansweredTasks,
  withLaunched,
  withoutAcks,
} from '../../src/framework/mesos-view.ts';
import type { ConnectionEvent } from '../../src/mesos/connection.ts';
import { MesosError } from '../../src/mesos/errors.ts';
import type { Offer, TaskStatus } from '../../src/mesos/wire.ts';
import { offer, record, seat } from './fixtures.ts';

const subscribed: ConnectionEvent = { kind: 'subscribed', frameworkId: 'framework-1', master: null };
const disconnected: ConnectionEvent = {
  kind: 'disconnected',
  error: new MesosError('connection-lost', 'the stream ended'),
  retryMs: 100,
};
const offered = (...list: readonly Offer[]): ConnectionEvent => ({
  kind: 'event',
  event: { type: 'OFFERS', offers: { offers: list } },
});
const update = (task: string, status: Partial<TaskStatus>): ConnectionEvent => ({
  kind: 'event',
  event: {
    type: 'UPDATE',
    update: {
      status: { task_id: { value: task }, state: 'TASK_RUNNING', agent_id: { value: 'S1' }, ...status },
    },
  },
});
const operation = (id: string, state: string, uuid?: string): ConnectionEvent => ({
  kind: 'event',
  event: {
    type: 'UPDATE_OPERATION_STATUS',
    update_operation_status: {
      status: {
        operation_id: { value: id },
        state,
        message: 'why',
        agent_id: { value: 'S1' },
        ...(uuid === undefined ? {} : { uuid: { value: uuid } }),
      },
    },
  },
});
const viewAfter = (...events: readonly ConnectionEvent[]): MesosView =>
  events.reduce((view, event) => reduceView(view, event, { wallMs: 1000, monotonicMs: 10 }), EMPTY_VIEW);

describe('offers', () => {
  it('are in hand until rescinded, and void when the stream ends', () => {
    const first = viewAfter(subscribed, offered(offer({ id: 'O1' }), offer({ id: 'O2', agent: 'S2' })));
    expect([...first.offers.keys()]).toEqual(['O1', 'O2']);
    const rescind: ConnectionEvent = {
      kind: 'event',
      event: { type: 'RESCIND', rescind: { offer_id: { value: 'O1' } } },
    };
    expect([...reduceView(first, rescind, { wallMs: 0, monotonicMs: 0 }).offers.keys()]).toEqual(['O2']);
    expect(reduceView(first, disconnected, { wallMs: 0, monotonicMs: 0 }).offers.size).toBe(0);
  });
});

describe('agents gone', () => {
  const ours = record({ seats: [seat()] });
  const reborn = offer({ agent: 'S9', ip: '10.0.0.1' });

  it('are those whose address another agent id has taken', () => {
    expect([...agentsGoneOf(viewAfter(subscribed, offered(offer()), offered(reborn)), ours)]).toEqual(['S1']);
  });
  it('are known from the record alone after a restart', () => {
    expect([...agentsGoneOf(viewAfter(subscribed, offered(reborn)), ours)]).toEqual(['S1']);
  });
  it('are not those of another agent process at the same IP', () => {
    const neighbour = offer({ agent: 'S9', ip: '10.0.0.1', port: 5052 });
    expect(agentsGoneOf(viewAfter(subscribed, offered(neighbour)), ours).size).toBe(0);
  });
  it('are not the new agent, when an old id is still heard of first', () => {
    const view = viewAfter(subscribed, offered(offer({ agent: 'S0' })), offered(offer()));
    expect(agentsGoneOf(view, ours).size).toBe(0);
  });
  it('are those marked gone by an operator', () => {
    const view = viewAfter(
      subscribed,
      update('t', { state: 'TASK_GONE_BY_OPERATOR', source: 'SOURCE_MASTER' }),
    );
    expect([...agentsGoneOf(view, ours)]).toEqual(['S1']);
  });
  it('are not those of a FAILURE alone', () => {
    const failure: ConnectionEvent = {
      kind: 'event',
      event: { type: 'FAILURE', failure: { agent_id: { value: 'S1' } } },
    };
    expect(agentsGoneOf(viewAfter(subscribed, failure), ours).size).toBe(0);
  });
});

describe('reconciled', () => {
  const isAnswered = (view: MesosView): boolean => unansweredTasks(view, ours).length === 0;
  const ours = record({
    seats: [seat()],
    leaving: [{ seat: seat({ id: 'old', task: 'etcd-0__old' }), reason: 'r', sinceMs: 0 }],
  });
  it('is when every recorded task, leaving ones too, was answered for in this subscription', () => {
    const one = viewAfter(subscribed, update('etcd-0__one', {}));
    expect(isAnswered(one)).toBe(false);
    const both = viewAfter(
      subscribed,
      update('etcd-0__one', {}),
      update('etcd-0__old', { state: 'TASK_GONE' }),
    );
    expect(isAnswered(both)).toBe(true);
  });
  it('is not after a new subscription, but what was said is kept', () => {
    const view = viewAfter(
      subscribed,
      update('etcd-0__one', {}),
      update('etcd-0__old', {}),
      disconnected,
      subscribed,
    );
    expect(isAnswered(view)).toBe(false);
    expect(view.tasks.get('etcd-0__one')).toMatchObject({ kind: 'alive' });
  });
  it('counts what was launched in this subscription as answered', () => {
    const view = withLaunched(viewAfter(subscribed, update('etcd-0__old', {})), ['etcd-0__one']);
    expect(isAnswered(view)).toBe(true);
  });
});

describe('acknowledgements', () => {
  it('are owed once for each uuid, for tasks and operations, until given', () => {
    const view = viewAfter(
      subscribed,
      update('t', { uuid: 'a' }),
      update('t', { uuid: 'a' }),
      update('t', { source: 'SOURCE_MASTER' }),
      operation('x', 'OPERATION_FINISHED', 'b'),
      operation('y', 'OPERATION_ERROR'),
    );
    expect(view.acks.map((ack) => ack.uuid)).toEqual(['a', 'b']);
    expect(withoutAcks(view, view.acks.slice(0, 1)).acks.map((ack) => ack.uuid)).toEqual(['b']);
  });
});

describe('a failed operation', () => {
  it('is none where it was carried out before: the call has arrived twice', () => {
    const view = viewAfter(
      subscribed,
      operation('x', 'OPERATION_FINISHED'),
      operation('x', 'OPERATION_ERROR'),
    );
    expect(view.operations.get('x')?.state).toBe('OPERATION_FINISHED');
  });

  const ours = record({ seats: [seat()] });
  it.each(['etcd-0-seat:reserve', 'etcd-0-seat:create'])('%s means that the launch never ran', (id) => {
    const view = viewAfter(subscribed, operation(id, 'OPERATION_ERROR'));
    expect(taskEvidenceOf(view, ours, 5).get('etcd-0__one')).toMatchObject({
      kind: 'over',
      end: { standing: 'never-ran', message: 'why' },
    });
    expect(view.counts.operationsFailed).toBe(1);
  });
  it('says nothing of a task that was launched on the seat later', () => {
    const later = record({ seats: [seat({ launches: 2 })] });
    const view = viewAfter(subscribed, operation('etcd-0-seat:reserve', 'OPERATION_ERROR'));
    expect(taskEvidenceOf(view, later, 5).has('etcd-0__one')).toBe(false);
  });
});
