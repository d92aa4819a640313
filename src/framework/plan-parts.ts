import { createHash } from 'node:crypto';
import type { PlanStatus, PublishedPlan } from '../protocol/view.ts';

/** What plans are made of, in the words of DC/OS: phases of steps, each with a status and an id of its own. */
export type Phase = PublishedPlan['phases'][number];
export type Step = Phase['steps'][number];

export function step(name: string, status: PlanStatus, message: string): Step {
  return { id: idOf(name), name, status, message };
}

export function phaseOf(name: string, strategy: Phase['strategy'], steps: Step[]): Phase {
  return { id: idOf(name), name, status: together(steps), strategy, steps };
}

export function planOf(name: string, strategy: PublishedPlan['strategy'], phases: Phase[]): PublishedPlan {
  return { name, status: together(phases), strategy, phases, errors: [] };
}

/** Of a parent: complete when all is, in error or waiting for a word when something is. */
function together(children: readonly { readonly status: PlanStatus }[]): PlanStatus {
  const has = (status: PlanStatus): boolean => children.some((child) => child.status === status);
  if (children.every(({ status }) => status === 'COMPLETE')) return 'COMPLETE';
  if (has('ERROR')) return 'ERROR';
  if (has('WAITING')) return 'WAITING';
  return children.every(({ status }) => status === 'PENDING') ? 'PENDING' : 'IN_PROGRESS';
}

/** A UUID that is the same whenever it is asked for (RFC 9562, version 8: of our own making). */
function idOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}
