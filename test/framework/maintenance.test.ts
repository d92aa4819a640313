import { describe, expect, it } from 'vitest';
import {
  answerQuestions,
  HORIZON_MS,
  type Maintenance,
  maintenanceAhead,
  NO_MAINTENANCE,
  withOffered,
  withoutQuestion,
  withQuestions,
} from '../../src/framework/maintenance.ts';
import type { InverseOffer } from '../../src/mesos/wire.ts';
import { offer, record, seat } from './fixtures.ts';

const NOW = 1_700_000_000_000;
const at = (monotonicMs: number) => ({ wallMs: NOW + monotonicMs, monotonicMs });
const window = (inMs: number) => ({
  start: { nanoseconds: (NOW + inMs) * 1e6 },
  duration: { nanoseconds: 3_600_000 * 1e6 },
});
const question = (inMs: number, id = 'I1', agent = 'S1'): InverseOffer => ({
  id: { value: id },
  agent_id: { value: agent },
  unavailability: window(inMs),
});
const asked = (inMs: number): Maintenance => withQuestions(NO_MAINTENANCE, [question(inMs)], 0);
const agents = (state: Maintenance, monotonicMs = 0) => [...maintenanceAhead(state, at(monotonicMs)).keys()];

describe('what is ahead', () => {
  it('counts from a day before it begins to its end', () => {
    expect(agents(asked(60_000))).toEqual(['S1']);
    expect(agents(asked(-60_000))).toEqual(['S1']);
    expect(agents(asked(HORIZON_MS + 60_000))).toEqual([]);
    expect(agents(asked(-3_700_000))).toEqual([]);
  });

  it('is cancelled by the question that is taken back, and by an offer that is silent of it', () => {
    expect(agents(withoutQuestion(asked(0), 'I1'))).toEqual([]);
    expect(agents(withOffered(asked(0), [offer({ agent: 'S1' })], 1))).toEqual([]);
    expect(agents(withOffered(asked(0), [offer({ agent: 'S2' })], 1))).toEqual(['S1']);
  });

  it('is told by offers alone', () => {
    const told = { ...offer({ agent: 'S2' }), unavailability: window(0) };
    expect(agents(withOffered(NO_MAINTENANCE, [told], 0))).toEqual(['S2']);
  });

  it('is forgotten when Mesos does not ask again', () => {
    const declined = { ...asked(0), open: new Map() };
    expect(agents(declined, 299_000)).toEqual(['S1']);
    expect(agents(declined, 301_000)).toEqual([]);
    expect(agents(asked(0), 301_000)).toEqual(['S1']);
  });
});

describe('an inverse offer', () => {
  const input = (monotonicMs: number, seats = [seat()]) => ({
    record: record({ seats }),
    tasks: new Map(),
    ...at(monotonicMs),
  });

  it('is held while a member may move away, and declined when that takes longer', () => {
    expect(answerQuestions(asked(0), input(0))).toMatchObject({ calls: [], wakeMs: 60_000 });
    const { calls, state } = answerQuestions(asked(0), input(60_000));
    expect(calls).toEqual([
      {
        type: 'DECLINE_INVERSE_OFFERS',
        decline_inverse_offers: {
          inverse_offer_ids: [{ value: 'I1' }],
          filters: { refuse_seconds: 60 },
        },
      },
    ]);
    expect(state.open.size).toBe(0);
    expect(agents(state, 60_000)).toEqual(['S1']);
  });

  it('is accepted where nothing of ours is, or is any more', () => {
    const { calls } = answerQuestions(asked(0), input(0, []));
    expect(calls).toMatchObject([
      { type: 'ACCEPT_INVERSE_OFFERS', accept_inverse_offers: { inverse_offer_ids: [{ value: 'I1' }] } },
    ]);
    const leaving = record({ leaving: [{ seat: seat(), reason: 'replaced', sinceMs: 0 }] });
    expect(answerQuestions(asked(0), { ...input(0), record: leaving }).calls).toEqual([]);
    const over = new Map([['etcd-0__one', { kind: 'over', agentId: 'S1', end: {} }]]) as never;
    expect(answerQuestions(asked(0), { ...input(0), record: leaving, tasks: over }).calls).toHaveLength(1);
  });

  it('of what is far ahead is declined until it is near', () => {
    const { calls } = answerQuestions(asked(HORIZON_MS + 10_000), input(0));
    expect(calls).toMatchObject([{ decline_inverse_offers: { filters: { refuse_seconds: 10 } } }]);
  });
});
