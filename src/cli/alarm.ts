import { Argument, type Command } from 'commander';
import { alarmsAnswerSchema } from '../protocol/space-answer.ts';
import { connect, type OperationFlags } from './operation.ts';
import { schedulerAddress, tokenFile } from './scheduler-address.ts';

type Flags = Omit<OperationFlags, 'wait'>;

/** `etcd-mesos alarm`: etcd's own alarms, under which it refuses writes or everything. */
export function register(command: Command): void {
  command
    .command('list')
    .description('alarms that stand')
    .option('--json', 'print what the API answers')
    .addOption(schedulerAddress())
    .action(async (flags: Flags) => {
      const text = await (await connect({ ...flags, wait: false })).text('/v1/alarms');
      if (flags.json === true) {
        process.stdout.write(text);
        return;
      }
      const alarms = alarmsAnswerSchema.parse(JSON.parse(text));
      const lines = alarms.map(
        ({ alarm, memberId, slot }) => `${alarm}  ${memberId}  ${slot ?? 'no member of ours'}\n`,
      );
      process.stdout.write(lines.length === 0 ? 'no alarm stands\n' : lines.join(''));
    });
  command
    .command('disarm')
    .description('let an alarm go, whoever raised it; NOSPACE comes back while there is no space')
    .addArgument(new Argument('<alarm>').choices(['NOSPACE', 'CORRUPT']))
    .addOption(schedulerAddress())
    .addOption(tokenFile())
    .action(async (alarm: string, flags: Flags) => {
      const client = await connect({ ...flags, wait: false });
      const { message } = JSON.parse(await client.post(`/v1/alarms/${alarm}/disarm`, {})) as {
        message: string;
      };
      process.stdout.write(`${message}\n`);
    });
}
