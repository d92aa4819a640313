import { expect, it } from 'vitest';
import { agentOffersOf } from '../../src/framework/agent-offers.ts';
import { matchOffers } from '../../src/framework/offers.ts';
import type { Offer } from '../../src/mesos/wire.ts';
import { CONFIG, offer, ROLE, RUN, record, seat } from './fixtures.ts';

/** Three members on three agents, the second of which is to be moved. */
const seats = [0, 1, 2].map((at) =>
  seat({
    id: `s${at}`,
    slot: `etcd-${at}`,
    agentId: `S${at + 1}`,
    hostname: `agent-${at + 1}`,
    lost: at === 1 ? { cause: 'moved', message: 'alice has it replaced' } : null,
  }),
);

function hostFor(list: readonly Offer[]): string | undefined {
  const match = matchOffers({
    wants: [{ kind: 'place', slot: 'etcd-1', run: RUN, reason: 'alice has it replaced' }],
    record: record({ seats }),
    offers: agentOffersOf(list, ROLE),
    config: CONFIG,
    schedulerKey: 'a2V5',
    shunned: new Map(),
    around: { masterRegion: null, seen: new Map() },
    freshId: 'fresh',
    wallMs: 1000,
  });
  return match.record.seats.at(3)?.hostname;
}
const at = (number: number, cpus = 4): Offer =>
  offer({ id: `O${number}`, agent: `S${number}`, hostname: `agent-${number}`, ip: `10.0.0.${number}`, cpus });

it('a member that is replaced goes to another agent, though its own has more room', () => {
  expect(hostFor([at(1), at(2, 16), at(3), at(4, 2)])).toBe('agent-4');
});

it('a member that is replaced stays on its own agent where no other may have it', () => {
  expect(hostFor([at(1), at(2), at(3)])).toBe('agent-2');
});
