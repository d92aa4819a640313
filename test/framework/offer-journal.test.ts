import { describe, expect, it } from 'vitest';
import { agentOffersOf } from '../../src/framework/agent-offers.ts';
import { amountRequirement, isMet, ruleRequirement } from '../../src/framework/judgement.ts';
import { createOfferJournal } from '../../src/framework/offer-journal.ts';
import type { SlotJudgement } from '../../src/framework/offers.ts';
import { OFFER_EXPLANATION_AGE_MS, OFFER_EXPLANATIONS_MAX } from '../../src/protocol/view.ts';
import { offer, ROLE } from './fixtures.ts';

function judged(slot: string, at: number, cpus: number, isFree: boolean): SlotJudgement {
  const id = `O${at}`;
  const [one] = agentOffersOf([offer({ id, agent: `S${at}`, hostname: `agent-${at}`, zone: 'z1' })], ROLE);
  if (one === undefined) throw new Error('no offer');
  const requirements = [
    amountRequirement('cpus', { needed: 1, offered: cpus }),
    ruleRequirement('hostname UNIQUE', { ok: isFree, needed: 'a free host', offered: 'another' }),
  ];
  return { slot, judgement: { offer: one, fits: isMet(requirements), requirements } };
}

describe('the journal of offers', () => {
  it('sums up for each slot what failed most', () => {
    const journal = createOfferJournal();
    journal.note([judged('etcd-0', 1, 0.5, true), judged('etcd-0', 2, 0.25, false)], 1_000);
    journal.note([judged('etcd-0', 3, 2, true), judged('etcd-1', 3, 0.9, true)], 2_000);
    expect(journal.summaries(2_000)).toEqual([
      {
        slot: 'etcd-0',
        sinceMs: 1_000,
        lastMs: 2_000,
        looked: 3,
        fitted: 1,
        failed: [
          { requirement: 'cpus', offers: 2 },
          { requirement: 'hostname UNIQUE', offers: 1 },
        ],
      },
      expect.objectContaining({ slot: 'etcd-1', looked: 1, fitted: 0 }),
    ]);
    expect(journal.rejections()).toEqual({ cpus: 3, 'hostname UNIQUE': 1 });
    expect(journal.explanations(2_000)[1]).toMatchObject({
      slot: 'etcd-0',
      hostname: 'agent-2',
      zone: 'z1',
      outcome: 'fail',
      explanation:
        'cpus: 1 needed, 0.25 free, 0.75 missing; hostname UNIQUE: a free host is needed, this is another',
    });
  });

  it('counts an offer once, however often it is judged while it is held', () => {
    const journal = createOfferJournal();
    for (const atMs of [1, 2, 3]) journal.note([judged('etcd-0', 1, 0.5, true)], atMs);
    expect(journal.summaries(3)).toMatchObject([{ looked: 1 }]);
    expect(journal.explanations(3)).toMatchObject([{ atMs: 3 }]);
  });

  it('keeps the newest, counts all, and forgets what is old', () => {
    const journal = createOfferJournal();
    const count = OFFER_EXPLANATIONS_MAX + 50;
    for (let at = 0; at < count; at += 1) journal.note([judged('etcd-0', at, 0.5, true)], at);
    const kept = journal.explanations(count);
    expect([kept.length, kept.at(-1)?.hostname]).toEqual([OFFER_EXPLANATIONS_MAX, `agent-${count - 1}`]);
    expect(journal.summaries(count)).toMatchObject([{ looked: count }]);
    const later = count + OFFER_EXPLANATION_AGE_MS;
    expect([journal.explanations(later), journal.summaries(later)]).toEqual([[], []]);
    journal.note([judged('etcd-0', 1, 2, true)], later);
    expect(journal.summaries(later)).toMatchObject([{ sinceMs: later, looked: 1, fitted: 1 }]);
  });
});
