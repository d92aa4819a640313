import { OPERATOR_HEADER } from '../protocol/operator-header.ts';
import type { CommandAnswer } from '../reconcile/command-answers.ts';
import type { OperatorCommand } from '../reconcile/commands.ts';
import { type ApiContext, problem } from './api-access.ts';
import { SchedulerError } from './config.ts';

/** Rejects with a {@link SchedulerError} `command-not-stored`. */
export type Tell = (command: OperatorCommand) => Promise<CommandAnswer>;

/** Gives a command; an answer to it, or the response that says why it was not taken or not done. */
export async function told(
  context: ApiContext,
  tell: Tell,
  command: OperatorCommand,
): Promise<CommandAnswer | Response> {
  try {
    const answer = await tell(command);
    if (answer.outcome !== 'refused') return answer;
    return problem(context, 409, answer.message, answer.hint ?? 'GET /v1/view shows what is under way.');
  } catch (error) {
    if (!(error instanceof SchedulerError)) throw error;
    return problem(context, 503, error.message, error.hint ?? 'Ask again in a moment.');
  }
}

/** Whether the query has `force=true`; the response that says what is wrong with it. */
export function forceOf(context: ApiContext): boolean | Response {
  const text = context.req.query('force') ?? 'false';
  if (text === 'true' || text === 'false') return text === 'true';
  return problem(context, 400, `force is ${text}`, 'It is true or false. Nothing was changed.');
}

const OPERATOR_CHARS_MAX = 120;

/** Who asked, for the record: what the client calls itself, which nobody checks, and where it asked from. */
export function operatorOf(context: ApiContext): string {
  const address = context.env.remoteAddress ?? 'an unknown address';
  const printable = context.req.header(OPERATOR_HEADER)?.replace(/[^\x20-\x7e]/g, '') ?? '';
  const name = printable.trim().slice(0, OPERATOR_CHARS_MAX);
  return name === '' ? address : `${name} at ${address}`;
}
