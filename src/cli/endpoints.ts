import type { Command } from 'commander';
import { schedulerAddress } from './scheduler-address.ts';

/** `etcd-mesos endpoints [name]`: where clients and peers reach the cluster. */
export function register(command: Command): void {
  command
    .argument('[name]', 'client, peer or etcd-servers; without a name the names are listed')
    .addOption(schedulerAddress())
    .addHelpText('after', '\nEnds with 1 as long as the cluster has not formed: nothing is published before.')
    .action(async (name: string | undefined, flags: { scheduler: string }) => {
      const { createSchedulerClient } = await import('../runtime/scheduler-client.ts');
      const path = name === undefined ? '/v1/endpoints' : `/v1/endpoints/${encodeURIComponent(name)}`;
      const client = createSchedulerClient(flags.scheduler, { outlastRestart: true });
      process.stdout.write(await client.text(path));
    });
}
