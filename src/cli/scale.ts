import { type Command, InvalidArgumentError } from 'commander';
import { schedulerAddress, tokenFile } from './scheduler-address.ts';

interface Flags {
  readonly scheduler: string;
  readonly tokenFile?: string;
}

/** `etcd-mesos scale <members>`: how many members there are to be. */
export function register(command: Command): void {
  command
    .argument('<members>', '1, 3, 5 or 7', count)
    .addOption(schedulerAddress())
    .addOption(tokenFile())
    .addHelpText(
      'after',
      '\nEnds once the scheduler has taken it; `etcd-mesos status` shows how far it is. Members go one after the' +
        '\nother, the highest slot first, and their data with them. Asking for the former number takes back what' +
        '\nwas not begun.',
    )
    .action(async (size: number, flags: Flags) => {
      const { createSchedulerClient, readToken } = await import('../runtime/scheduler-client.ts');
      const token = flags.tokenFile === undefined ? null : await readToken(flags.tokenFile);
      const client = createSchedulerClient(flags.scheduler, { outlastRestart: true, token });
      const answer: unknown = JSON.parse(await client.post('/v1/scale', { size }));
      const { message } = answer as { message: string };
      process.stdout.write(`${message}\n`);
    });
}

/** Which numbers it takes the scheduler says, with why. */
function count(text: string): number {
  if (/^\d{1,3}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be 1, 3, 5 or 7.');
}
