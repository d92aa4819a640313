import type { ClusterRecord } from '../protocol/record.ts';
import { type Membership, membershipOf } from './membership.ts';
import type { Observation, Spec } from './observation.ts';
import { type Pass, startPass } from './pass.ts';

export interface CommandAnswer {
  /** `already`: it was said before, or nothing waits for it. `refused`: nothing was changed; the message says why. */
  readonly outcome: 'done' | 'already' | 'refused';
  /** For people. */
  readonly message: string;
  /** `refused`: what the same command with `force` would cost, or what to do instead. */
  readonly hint?: string;
  /** The disruption that was opened, or that does it already: it is over when the record has it no more. */
  readonly disruption?: string;
}

/** What a command is judged by. */
export interface CommandContext {
  readonly spec: Spec;
  readonly seen: Observation;
}

export interface AppliedCommand {
  readonly record: ClusterRecord;
  readonly answer: CommandAnswer;
}

/** What a command makes of the record, by what is seen at that moment: nothing unless it is `done`. */
export function judged(
  record: ClusterRecord,
  { spec, seen }: CommandContext,
  judge: (pass: Pass, membership: Membership | null) => CommandAnswer,
): AppliedCommand {
  const pass = startPass(spec, record, seen);
  const answer = judge(pass, membershipOf(pass));
  return { record: answer.outcome === 'done' ? pass.record : record, answer };
}

export const WAIT_HINT = 'GET /v1/view shows what is under way; ask again when it is over.';

export function done(message: string, disruption?: string): CommandAnswer {
  return { outcome: 'done', message, ...(disruption === undefined ? {} : { disruption }) };
}

export function already(message: string, disruption?: string): CommandAnswer {
  return { outcome: 'already', message, ...(disruption === undefined ? {} : { disruption }) };
}

export function refused(message: string, hint?: string): CommandAnswer {
  return { outcome: 'refused', message, ...(hint === undefined ? {} : { hint }) };
}
