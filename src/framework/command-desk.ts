import type { Clock } from '../base/ports.ts';
import type { ClusterRecord } from '../protocol/record.ts';
import type { CommandAnswer, CommandContext } from '../reconcile/command-answers.ts';
import { applyCommand, type OperatorCommand } from '../reconcile/commands.ts';
import { SchedulerError } from './config.ts';

/** Takes operators' commands to the next pass, and answers them once what they mean is stored. */
export interface CommandDesk {
  /** Resolves when it is stored. Rejects with a {@link SchedulerError} `command-not-stored`. */
  tell(command: OperatorCommand): Promise<CommandAnswer>;
  /** What the commands that wait make of the record. They are answered by `stored`, or wait on after `lost`. */
  take(record: ClusterRecord, context: CommandContext): TakenCommands;
  /** Nothing is stored any more: whoever waits is told so. */
  close(): void;
}
export interface TakenCommands {
  readonly record: ClusterRecord;
  readonly commands: readonly OperatorCommand[];
  stored(): void;
  lost(): void;
}

/** Commands that may wait at once. */
const WAITING_MAX = 32;
/** How long one may wait until it is stored. */
const ANSWER_MS = 10_000;

interface Waiting {
  readonly command: OperatorCommand;
  readonly answered: (answer: CommandAnswer) => void;
  readonly refused: (error: SchedulerError) => void;
}

export function createCommandDesk(options: {
  readonly clock: Clock;
  readonly onCommand: () => void;
}): CommandDesk {
  let waiting: readonly Waiting[] = [];
  let closed = false;

  return {
    async tell(command) {
      if (closed || waiting.length >= WAITING_MAX) {
        throw notStored(closed ? 'the scheduler is stopping' : 'too many commands wait already');
      }
      const over = new AbortController();
      const answer = new Promise<CommandAnswer>((answered, refused) => {
        waiting = [...waiting, { command, answered, refused }];
      });
      options.onCommand();
      try {
        return await Promise.race([answer, tooLate(options.clock, over.signal)]);
      } finally {
        over.abort();
      }
    },
    take(record, context) {
      const taken = waiting;
      waiting = [];
      const answers: (() => void)[] = [];
      let next = record;
      for (const { command, answered } of taken) {
        const applied = applyCommand(next, command, context);
        next = applied.record;
        answers.push(() => answered(applied.answer));
      }
      return {
        record: next,
        commands: taken.map(({ command }) => command),
        stored: () => {
          for (const answer of answers) answer();
        },
        lost: () => {
          waiting = [...taken, ...waiting];
        },
      };
    },
    close() {
      closed = true;
      for (const { refused } of waiting) refused(notStored('the scheduler is stopping'));
      waiting = [];
    },
  };
}

async function tooLate(clock: Clock, signal: AbortSignal): Promise<never> {
  await clock.sleep(ANSWER_MS, signal);
  throw notStored(`it was not stored in ${ANSWER_MS / 1000} s, and may still be`);
}

function notStored(why: string): SchedulerError {
  return new SchedulerError('command-not-stored', `the command was not taken: ${why}`, {
    hint: 'Look at the scheduler’s health, then give it again: to give a command twice does no harm.',
  });
}
