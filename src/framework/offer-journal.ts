import {
  OFFER_EXPLANATION_AGE_MS,
  OFFER_EXPLANATIONS_MAX,
  type OfferExplanation,
  type OfferSummary,
} from '../protocol/view.ts';
import { describeRequirements } from './judgement.ts';
import type { SlotJudgement } from './offers.ts';

/** Remembers how offers were judged, for people who ask why a member is not launched. Decides nothing. */
export interface OfferJournal {
  note(judged: readonly SlotJudgement[], atMs: number): void;
  /** The newest, in the order in which they were judged. */
  explanations(nowMs: number): readonly OfferExplanation[];
  /** For each slot that looked for a place lately. */
  summaries(nowMs: number): readonly OfferSummary[];
  /** Since the scheduler's start, by requirement: how often an offer missed it. */
  rejections(): Readonly<Record<string, number>>;
}

interface Tally {
  readonly slot: string;
  readonly sinceMs: number;
  lastMs: number;
  looked: number;
  fitted: number;
  readonly failed: Map<string, number>;
}

export function createOfferJournal(): OfferJournal {
  const entries = new Map<string, { readonly atMs: number; readonly judged: SlotJudgement }>();
  const tallies = new Map<string, Tally>();
  const rejections: Record<string, number> = {};

  const tallyOf = (slot: string, atMs: number): Tally => {
    const known = tallies.get(slot);
    if (known !== undefined && atMs - known.lastMs <= OFFER_EXPLANATION_AGE_MS) return known;
    const fresh = { slot, sinceMs: atMs, lastMs: atMs, looked: 0, fitted: 0, failed: new Map() };
    tallies.set(slot, fresh);
    return fresh;
  };

  const count = ({ slot, judgement }: SlotJudgement, atMs: number): void => {
    const tally = tallyOf(slot, atMs);
    tally.lastMs = atMs;
    tally.looked += 1;
    if (judgement.fits) tally.fitted += 1;
    for (const { requirement, ok } of judgement.requirements) {
      if (ok) continue;
      tally.failed.set(requirement, (tally.failed.get(requirement) ?? 0) + 1);
      rejections[requirement] = (rejections[requirement] ?? 0) + 1;
    }
  };

  return {
    note(judged, atMs) {
      for (const [at, one] of judged.entries()) {
        const key = `${one.slot} ${one.judgement.offer.offerIds.join(' ')}`;
        // An offer that is held and judged again is one offer.
        if (!entries.has(key)) count(one, atMs);
        entries.delete(key);
        if (judged.length - at <= OFFER_EXPLANATIONS_MAX) entries.set(key, { atMs, judged: one });
      }
      for (const oldest of entries.keys()) {
        if (entries.size <= OFFER_EXPLANATIONS_MAX) break;
        entries.delete(oldest);
      }
    },
    explanations: (nowMs) =>
      [...entries.values()]
        .filter(({ atMs }) => nowMs - atMs <= OFFER_EXPLANATION_AGE_MS)
        .map(({ atMs, judged }) => explanationOf(judged, atMs)),
    summaries: (nowMs) =>
      [...tallies.values()]
        .filter(({ lastMs }) => nowMs - lastMs <= OFFER_EXPLANATION_AGE_MS)
        .sort((a, b) => (a.slot < b.slot ? -1 : 1))
        .map(({ failed, ...tally }) => ({ ...tally, failed: mostFirst(failed) })),
    rejections: () => ({ ...rejections }),
  };
}

function mostFirst(failed: ReadonlyMap<string, number>): OfferSummary['failed'] {
  return [...failed]
    .map(([requirement, offers]) => ({ requirement, offers }))
    .sort((a, b) => b.offers - a.offers);
}

function explanationOf({ slot, judgement }: SlotJudgement, atMs: number): OfferExplanation {
  const { offer, fits, requirements } = judgement;
  return {
    atMs,
    slot,
    offerId: offer.offerIds[0] ?? '',
    agentId: offer.agent.id,
    hostname: offer.agent.hostname,
    zone: offer.zone,
    outcome: fits ? 'pass' : 'fail',
    explanation: describeRequirements(requirements),
    requirements: [...requirements],
  };
}
