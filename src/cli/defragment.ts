import { Argument, type Command } from 'commander';
import type { PublishedView } from '../protocol/view.ts';
import { formatBytes } from './amounts.ts';
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
      const { message, outcome } = JSON.parse(text) as { message: string; outcome: string };
      process.stdout.write(flags.json === true ? text : `${message}\n`);
      if (!flags.wait) return;
      await waitFor(client, {
        slots: slot === undefined ? before.members.map((member) => member.slot) : [slot],
        since: newestLine(before),
        isQuiet: flags.json === true,
        judge: judgeOf(before, { slot, isNew: outcome === 'done' }),
      });
    });
}

/** Over when none is left to do; what was done is in the story, unless another scheduler has taken over meanwhile. */
function judgeOf(
  before: PublishedView,
  { slot, isNew }: { readonly slot: string | undefined; readonly isNew: boolean },
): (view: PublishedView) => Progress {
  const asked = before.members
    .filter((member) => (slot === undefined ? member.role === 'voter' : member.slot === slot))
    .map((member) => member.slot);
  const done = new Set<string>();
  return (view) => {
    for (const line of view.story) {
      if (line.sequence > newestLine(before) && line.text === DONE && line.slot !== null) done.add(line.slot);
    }
    if (view.space?.defragment != null) return null;
    const missing = asked.filter((one) => !done.has(one));
    if (isNew && missing.length > 0 && view.framework.generation === before.framework.generation) {
      return { isDone: false, text: `${missing.join(', ')} not defragmented: see etcd-mesos status` };
    }
    const sizes = asked.map((one) => `${one} ${sizeIn(before, one)} → ${sizeIn(view, one)}`);
    return { isDone: true, text: `defragmented: ${sizes.join(', ')}` };
  };
}

/** What the story says of an order that was carried out. */
const DONE = 'defragment its database';

function sizeIn({ members }: PublishedView, slot: string): string {
  const bytes = members.find((member) => member.slot === slot)?.dbSizeBytes ?? null;
  return bytes === null ? 'unknown' : formatBytes(bytes);
}
