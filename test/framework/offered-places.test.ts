import { describe, expect, it } from 'vitest';
import { agentOffersOf } from '../../src/framework/agent-offers.ts';
import { ownershipOf, reservationLabels } from '../../src/framework/labels.ts';
import { withOfferedPlaces } from '../../src/framework/offered-places.ts';
import type { Offer } from '../../src/mesos/wire.ts';
import { atRest, type ClusterRecord, newEpoch, type Seat } from '../../src/protocol/record.ts';
import { offer, ROLE, RUN, record, seat } from './fixtures.ts';

/** What is reserved for a seat, as its agent offers it when no task is there. */
function offerOf(of: Seat, cluster = 'cluster-1'): Offer {
  const owner = ownershipOf(of, { framework: 'etcd', cluster, epoch: 1 });
  const labels = reservationLabels(owner, of);
  const reservations = [{ type: 'DYNAMIC' as const, role: ROLE, labels }];
  const { resources } = offer({ ports: [{ begin: 31_000, end: 31_002 }], reservations });
  const volume = {
    persistence: { id: of.volumeId },
    volume: { mode: 'RW' as const, container_path: 'etcd-volume' },
  };
  return offer({
    more: resources.map((one) => (one.name === 'disk' ? { ...one, disk: volume } : one)),
  });
}

const known = seat({ id: 'etcd-1-seat', slot: 'etcd-1' });
const preparing = (changes: Partial<ClusterRecord> = {}): ClusterRecord =>
  record({
    epoch: newEpoch({ number: 1, attempt: 2, token: 'token-2', openedAtMs: 0 }),
    seats: [{ ...known, data: { epoch: 1, attempt: 2, started: false, memberId: null, floor: null } }],
    ...changes,
  });
const recordAfter = (before: ClusterRecord, ...offers: readonly Offer[]): ClusterRecord =>
  withOfferedPlaces({ record: before, offers: agentOffersOf(offers, ROLE), pinned: RUN, wallMs: 5 }, true);

describe('a place on offer, of the cluster that a record prepares', () => {
  it('shows that the record is an older copy, if it does not know it: the volumes are read first', () => {
    const found = recordAfter(preparing(), offerOf(seat()));
    expect(found.epoch).toMatchObject({ phase: 'adopting', source: { kind: 'adopted' }, number: 1 });
    expect(found.seats.map(({ id, data }) => [id, data])).toEqual([
      ['etcd-1-seat', null],
      ['etcd-0-seat', null],
    ]);
  });

  it('is as it should be, if it is known or another cluster’s', () => {
    const before = preparing();
    expect(recordAfter(before, offerOf(known), offerOf(seat(), 'another'))).toBe(before);
  });

  it('is about to be given back, where the service is given up', () => {
    const uninstall = { askedAtMs: 0, by: 'operator', confirmed: true, skipped: [] } as const;
    const before = preparing({ ...atRest(), uninstall: { ...uninstall, skipped: [] } });
    expect(recordAfter(before, offerOf(seat()))).toBe(before);
  });
});
