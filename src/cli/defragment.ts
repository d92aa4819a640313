import { Argument, type Command } from 'commander';
import type { PublishedView } from '../protocol/view.ts';
import { connect, newestLine, type OperationFlags, type Progress, waitFor } from './operation.ts';
import { schedulerAddress, tokenFile } from './scheduler-address.ts';

/** `etcd-mesos defragment`: members' databases without what is free in them. */
export function register(command: Command): void {
  command
    .addArgument(new Argument('[slot]', 'such as etcd-0; without it every member'))
    .option('--force', 'although the others are no quorum: the cluster takes no writes meanwhile')
    .option('--no-wait', 'end as soon as the scheduler has taken it')
    .option('--json', 'print what the API answers, and nothing while it waits')
    .addOption(schedulerAddress())
    .addOption(tokenFile())
    .addHelpText(
      'after',
      '\nOne member at a time, the leader last and after it handed over. A member answers nobody while it rewrites its' +
        '\ndatabase: about a second for each 300 MiB. Ends with 0 when all that were named have, with 1 when that is' +
        '\nrefused or given up.',
    )
    .action(async (slot: string | undefined, flags: OperationFlags & { readonly force?: true }) => {
      const client = await connect(flags);
      const before = await client.view();
      const query = slot === undefined ? '' : `&slot=${encodeURIComponent(slot)}`;
      const text = await client.post(`/v1/defragment?force=${flags.force === true}${query}`, {});
      const { message } = JSON.parse(text) as { message: string };
      process.stdout.write(flags.json === true ? text : `${message}\n`);
      if (!flags.wait) return;
      await waitFor(client, {
        slots: slot === undefined ? before.members.map((member) => member.slot) : [slot],
        since: newestLine(before),
        isQuiet: flags.json === true,
        judge: judgeOf(before, slot),
      });
    });
}

function judgeOf(before: PublishedView, slot: string | undefined): (view: PublishedView) => Progress {
  const givenUp = (view: PublishedView): boolean =>
    view.story.some(
      ({ sequence, text }) => sequence > newestLine(before) && text.includes('could not be defragmented'),
    );
  return (view) => {
    if (givenUp(view)) return { isDone: false, text: 'not all were defragmented: see etcd-mesos status' };
    if (view.space?.defragment != null) return null;
    const sizes = view.members
      .filter((member) => slot === undefined || member.slot === slot)
      .map((member) => `${member.slot} ${sizeIn(before, member.slot)} → ${sizeIn(view, member.slot)}`);
    return { isDone: true, text: `defragmented: ${sizes.join(', ')}` };
  };
}

function sizeIn({ members }: PublishedView, slot: string): string {
  const bytes = members.find((member) => member.slot === slot)?.dbSizeBytes ?? null;
  return bytes === null ? 'unknown' : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
