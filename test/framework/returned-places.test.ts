import { describe, expect, it } from 'vitest';
import { agentOffersOf } from '../../src/framework/agent-offers.ts';
import { ownershipOf, reservationLabels } from '../../src/framework/labels.ts';
import { EMPTY_VIEW, reduceView } from '../../src/framework/mesos-view.ts';
import { observe } from '../../src/framework/observe.ts';
import { withReturnedPlaces } from '../../src/framework/returned-places.ts';
import type { Offer, Resource } from '../../src/mesos/wire.ts';
import type { ClusterRecord, Seat } from '../../src/protocol/record.ts';
import { type OfferShape, offer, ROLE, record, seat } from './fixtures.ts';

/** What is reserved for a seat, as a new agent at its address offers it. */
function offerOf(
  of: Seat,
  { volumes = [of.volumeId], ...shape }: OfferShape & { volumes?: string[] },
): Offer {
  const owner = ownershipOf(of, { framework: 'etcd', cluster: 'cluster-1', epoch: 1 });
  const reservations = [{ type: 'DYNAMIC' as const, role: ROLE, labels: reservationLabels(owner, of) }];
  const rest = offer({
    cpus: of.resources.cpus,
    mem: of.resources.memMb,
    disk: 0,
    ports: [{ begin: 31_000, end: 31_002 }],
    reservations,
  });
  const disks = (volumes.length === 0 ? [null] : volumes).map(
    (id): Resource => ({
      name: 'disk',
      type: 'SCALAR',
      scalar: { value: 1024 },
      allocation_info: { role: ROLE },
      reservations,
      ...(id === null
        ? {}
        : { disk: { persistence: { id }, volume: { mode: 'RW', container_path: 'etcd-volume' } } }),
    }),
  );
  const reserved = rest.resources.filter(({ name }) => name !== 'disk');
  return offer({ agent: 'S9', ...shape, more: [...reserved, ...disks] });
}

const nameTask = { task: 'etcd-0-client__one', launchedAtMs: 0 };
const movedBy = (before: ClusterRecord, ...offers: readonly Offer[]): ClusterRecord =>
  withReturnedPlaces(before, agentOffersOf(offers, ROLE));

function seen(of: ClusterRecord, ...offers: readonly Offer[]) {
  const event = { kind: 'event', event: { type: 'OFFERS', offers: { offers } } } as const;
  const view = reduceView(EMPTY_VIEW, event, { wallMs: 1, monotonicMs: 1 });
  const shared = {
    members: new Map(),
    role: ROLE,
    wallMs: 1,
    monotonicMs: 1,
    elapsedMs: 1,
    freshId: 'one',
    archive: null,
  };
  return observe({ record: of, view, offers: agentOffersOf(offers, ROLE), ...shared }).mesos;
}

describe('a place whose agent has another id now', () => {
  it('is that of before: its agent is not gone, and its member can be launched there', () => {
    const came = offerOf(seat(), { port: 5051 });
    const moved = movedBy(record({ seats: [seat({ nameTask })] }), came);
    expect(moved.seats).toEqual([seat({ agentId: 'S9', nameTask: null })]);
    const { agentsGone, offered } = seen(moved, came);
    expect([...agentsGone]).toEqual([]);
    expect(offered.get('etcd-0-seat')).toEqual({ volume: true, complete: true });
    expect(movedBy(moved, came)).toBe(moved);
  });

  it('is given back there when it is on its way out', () => {
    const leaving = [{ seat: seat(), reason: 'replaced', sinceMs: 0 }];
    const moved = movedBy(record({ leaving }), offerOf(seat(), {}));
    expect(moved.leaving[0]?.seat.agentId).toBe('S9');
  });

  it.each<[what: string, seat: Seat, shape: OfferShape & { volumes?: string[] }]>([
    ['has lost its volume', seat(), { volumes: [] }],
    ['has lost that of its log', seat({ wal: { volumeId: 'etcd-0-seat-wal', diskMb: 512 } }), {}],
    ['is at another address, where no peer looks for it', seat(), { ip: '10.0.0.9' }],
    ['was given up already', seat({ lost: { cause: 'agent-gone', message: 'gone' } }), {}],
    ['never had a volume', seat({ storage: 'sandbox' }), { volumes: [] }],
  ])('is lost where it %s', (_, before, shape) => {
    const lost = record({ seats: [before] });
    expect(movedBy(lost, offerOf(before, shape))).toBe(lost);
  });
});
