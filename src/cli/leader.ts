import type { Command } from 'commander';
import { commandReceiptSchema } from '../protocol/pod-answer.ts';
import type { PublishedView } from '../protocol/view.ts';
import { connect, newestLine, type OperationFlags, type Progress, waitFor } from './operation.ts';
import { schedulerAddress, tokenFile } from './scheduler-address.ts';

/** `etcd-mesos leader move`: who of the members leads. */
export function register(command: Command): void {
  command
    .command('move')
    .description('hand leadership to another member, as before work on its agent')
    .option('--to <slot>', 'the one that is to lead; without it the one whose log goes furthest')
    .option('--no-wait', 'end as soon as the scheduler has taken it')
    .option('--json', 'print what the API answers, and nothing while it waits')
    .addOption(schedulerAddress())
    .addOption(tokenFile())
    .addHelpText('after', '\nEnds with 0 when another member leads, with 1 when that is refused or given up.')
    .action(async (flags: OperationFlags & { readonly to?: string }) => {
      const client = await connect(flags);
      const before = await client.view();
      const query = flags.to === undefined ? '' : `?to=${encodeURIComponent(flags.to)}`;
      const text = await client.post(`/v1/leader/move${query}`, {});
      const receipt = commandReceiptSchema.parse(JSON.parse(text));
      process.stdout.write(flags.json === true ? text : `${receipt.message}\n`);
      if (!flags.wait || receipt.disruption === null) return;
      await waitFor(client, {
        slots: before.members.map(({ slot }) => slot),
        since: newestLine(before),
        isQuiet: flags.json === true,
        judge: (view) => judge(before, view, receipt.disruption),
      });
    });
}

function judge(before: PublishedView, view: PublishedView, disruption: string | null): Progress {
  if (view.disruption?.id === disruption) return null;
  const { leader } = view.health;
  if (leader === null) return null;
  const slot = view.members.find(({ memberId }) => memberId === leader)?.slot ?? leader;
  return leader === before.health.leader
    ? { isDone: false, text: `${slot} leads still: see etcd-mesos status` }
    : { isDone: true, text: `${slot} leads` };
}
