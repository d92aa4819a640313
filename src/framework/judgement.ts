import type { OfferRequirement } from '../protocol/view.ts';
import { atLeast } from './resources.ts';

/** What a place must have, held against an offer: each requirement, whether it is met, and by how much not. Pure. */

/** So much of something. */
export function amountRequirement(
  requirement: string,
  of: { readonly needed: number; readonly offered: number; readonly unit?: string },
): OfferRequirement {
  const { needed, offered, unit = '' } = of;
  const ok = atLeast(offered, needed);
  const missing = ok ? 0 : Math.round((needed - offered) * 1000) / 1000;
  return { requirement, ok, needed, offered, missing, unit };
}

/** Something that is so or not. `needed` and `offered` are for people. */
export function ruleRequirement(
  requirement: string,
  of: { readonly ok: boolean; readonly needed: string; readonly offered: string },
): OfferRequirement {
  return { requirement, ...of, missing: null, unit: '' };
}

export function isMet(requirements: readonly OfferRequirement[]): boolean {
  return requirements.every(({ ok }) => ok);
}

/** For people: what is missing, or all that was asked for where nothing is. */
export function describeRequirements(requirements: readonly OfferRequirement[]): string {
  const failed = requirements.filter(({ ok }) => !ok);
  if (failed.length > 0) return failed.map(describe).join('; ');
  const amounts = requirements.filter(({ missing }) => missing !== null);
  return `fits: ${amounts.map(({ requirement, offered, unit }) => `${offered}${suffix(unit)} ${requirement}`).join(', ')} free`;
}

function describe({ requirement, needed, offered, missing, unit }: OfferRequirement): string {
  if (missing === null) return `${requirement}: ${needed} is needed, this is ${offered}`;
  const end = suffix(unit);
  return `${requirement}: ${needed}${end} needed, ${offered}${end} free, ${missing}${end} missing`;
}

const suffix = (unit: string): string => (unit === '' ? '' : ` ${unit}`);
