import type { SchedulerSnapshot } from '../../src/framework/snapshot.ts';
import type { Decision } from '../../src/reconcile/decision.ts';

/** Looks at what schedulers have decided: what is wrong with a decision whatever it is about. */
export interface DecisionChecks {
  /** What is wrong with the newest decision; `null` when nothing is, or when it was looked at before. */
  look(snapshot: SchedulerSnapshot | null): string | null;
}

const CHANGES: readonly string[] = ['member-add', 'member-remove', 'member-promote', 'move-leader'];

export function createDecisionChecks(): DecisionChecks {
  let newest: Decision | null = null;
  return {
    look: (snapshot) => {
      const decision = snapshot?.decision ?? null;
      if (decision === null || decision === newest) return null;
      newest = decision;
      return problemOf(decision);
    },
  };
}

export function problemOf({ actions, wants, blocked, record }: Decision): string | null {
  const mute = [...actions, ...wants].find(({ reason }) => reason.trim() === '');
  if (mute !== undefined) return `${JSON.stringify(mute)} is decided without a reason`;
  const unexplained = blocked.find(({ code, message }) => code === '' || message.trim() === '');
  if (unexplained !== undefined) return `${JSON.stringify(unexplained)} is said without a reason`;
  if (record.intent?.reason.trim() === '') return `the intent ${record.intent.id} has no reason`;
  const changes = actions.flatMap((action) =>
    action.kind === 'order' && CHANGES.includes(action.body.kind) ? [action.body.kind] : [],
  );
  return changes.length > 1 ? `${changes.join(' and ')} are ordered at once` : null;
}
