import type { Command } from 'commander';
import { schedulerAddress } from './scheduler-address.ts';

/** `etcd-mesos debug …`: what the scheduler sees, for who asks why something is not done. */
export function register(command: Command): void {
  command
    .command('offers')
    .description('why offers were taken or not: a summary for each slot, then every offer and what it lacks')
    .option('--json', 'print what the API answers')
    .addOption(schedulerAddress())
    .action(async (flags: { json?: true; scheduler: string }) => {
      const [{ createSchedulerClient }, { renderOffers }, { paintFor }] = await Promise.all([
        import('../runtime/scheduler-client.ts'),
        import('./offers-table.ts'),
        import('./style.ts'),
      ]);
      const offers = await createSchedulerClient(flags.scheduler, { outlastRestart: true }).offers();
      const text =
        flags.json === true
          ? `${JSON.stringify(offers, null, 2)}\n`
          : renderOffers(offers, paintFor(process.stdout, process.env));
      process.stdout.write(text);
    });
}
