import type { Command } from 'commander';
import { schedulerAddress } from './scheduler-address.ts';

/** `etcd-mesos status`: how the cluster is. Ends with 0 if it is healthy, with 1 if not. */
export function register(command: Command): void {
  command
    .option('--json', 'print everything that is known, as JSON')
    .addOption(schedulerAddress())
    .addHelpText('after', '\nEnds with 0 if the cluster is healthy, with 1 if it is not or nobody answers.')
    .action(async (flags: { json?: true; scheduler: string }) => {
      const [{ createSchedulerClient }, { renderStatus }, { paintFor }] = await Promise.all([
        import('../runtime/scheduler-client.ts'),
        import('./status-table.ts'),
        import('./style.ts'),
      ]);
      const view = await createSchedulerClient(flags.scheduler, { outlastRestart: true }).view();
      const text =
        flags.json === true
          ? `${JSON.stringify(view, null, 2)}\n`
          : renderStatus(view, paintFor(process.stdout, process.env));
      process.stdout.write(text);
      process.exitCode = view.health.state === 'healthy' ? 0 : 1;
    });
}
