import { describe, expect, it } from 'vitest';
import { agentOffersOf } from '../../src/framework/agent-offers.ts';
import { reservationLabels } from '../../src/framework/labels.ts';
import { EMPTY_VIEW, type MesosView } from '../../src/framework/mesos-view.ts';
import { NOTHING_MISSING, type ReleaseState, settleReleases } from '../../src/framework/releases.ts';
import type { Offer } from '../../src/mesos/wire.ts';
import { offer, ROLE, record, seat } from './fixtures.ts';

const leaving = record({ leaving: [{ seat: seat(), reason: 'replaced', sinceMs: 0 }] });
const over: MesosView = {
  ...EMPTY_VIEW,
  subscribed: true,
  answered: new Set(['etcd-0__one']),
  tasks: new Map([
    [
      'etcd-0__one',
      {
        kind: 'over',
        agentId: 'S1',
        end: {
          standing: 'asserted',
          state: 'TASK_GONE',
          source: 'SOURCE_MASTER',
          reason: '',
          message: '',
          atMs: 0,
        },
      },
    ],
  ]),
};
const withOperation = (id: string, state: string): MesosView => ({
  ...over,
  operations: new Map([[id, { state, message: '' }]]),
});

/** Which seats are forgotten when these offers are seen at these times. */
function forgotten(
  view: MesosView,
  ...seen: readonly (readonly [number, readonly Offer[]])[]
): readonly number[] {
  let state: ReleaseState = NOTHING_MISSING;
  return seen.map(([nowMs, offers]) => {
    const next = settleReleases(state, { record: leaving, view, offers: agentOffersOf(offers, ROLE), nowMs });
    state = next.state;
    expect(next.record.leaving).toHaveLength(1 - next.released.length);
    return next.released.length;
  });
}

describe('a leaving seat is forgotten', () => {
  it('when its reservation was given back', () => {
    expect(forgotten(withOperation('etcd-0-seat:unreserve:x', 'OPERATION_FINISHED'), [0, []])).toEqual([1]);
    expect(forgotten(withOperation('etcd-0-seat:unreserve:x', 'OPERATION_PENDING'), [0, []])).toEqual([0]);
    expect(forgotten(withOperation('etcd-0-seat:unreserve:x', 'OPERATION_ERROR'), [0, []])).toEqual([0]);
    expect(forgotten(withOperation('etcd-0-seat2:unreserve:x', 'OPERATION_FINISHED'), [0, []])).toEqual([0]);
  });

  it('when it could never be reserved', () => {
    expect(forgotten(withOperation('etcd-0-seat:reserve', 'OPERATION_ERROR'), [0, []])).toEqual([1]);
    expect(forgotten(withOperation('etcd-0-seat:reserve', 'OPERATION_FINISHED'), [0, []])).toEqual([0]);
  });

  const bare = [offer()];
  it('when its agent goes on offering without it', () => {
    expect(forgotten(over, [0, bare], [14_000, bare], [15_000, []], [16_000, bare])).toEqual([0, 0, 0, 1]);
  });

  it('not while it is on offer, its agent offers nothing, or its task may live', () => {
    const labels = reservationLabels(
      { framework: 'etcd', cluster: 'cluster-1', slot: 'etcd-0', epoch: 1, seat: 'etcd-0-seat' },
      seat(),
    );
    const reserved = {
      name: 'cpus',
      type: 'SCALAR',
      scalar: { value: 1 },
      reservations: [{ type: 'DYNAMIC', role: ROLE, labels }],
    } as const;
    const whole = [offer({ more: [reserved] })];
    expect(forgotten(over, [0, bare], [10_000, whole], [20_000, bare], [30_000, bare])).toEqual([0, 0, 0, 0]);
    expect(forgotten(over, [0, [offer({ agent: 'S2' })]], [99_000, [offer({ agent: 'S2' })]])).toEqual([
      0, 0,
    ]);
    const alive: MesosView = {
      ...over,
      tasks: new Map([
        ['etcd-0__one', { kind: 'alive', state: 'TASK_KILLING', agentId: 'S1', healthy: null }],
      ]),
    };
    expect(forgotten(alive, [0, bare], [99_000, bare])).toEqual([0, 0]);
    expect(forgotten({ ...over, answered: new Set() }, [0, bare], [99_000, bare])).toEqual([0, 0]);
  });
});
