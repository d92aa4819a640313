import type { PlanName } from '../protocol/record.ts';

/** An operator has paused this plan: what was begun of it is finished, nothing more is begun. */
export function isPaused(
  { plans }: { readonly plans: { readonly paused: readonly { readonly plan: PlanName }[] } },
  plan: PlanName,
): boolean {
  return plans.paused.some((one) => one.plan === plan);
}
