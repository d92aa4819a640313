import type { Command } from 'commander';
import type { PublishedPlan } from '../protocol/view.ts';
import { schedulerAddress, tokenFile } from './scheduler-address.ts';

interface Flags {
  readonly destroyData?: true;
  readonly wait: boolean;
  readonly scheduler: string;
  readonly tokenFile?: string;
}

/** Between two looks at the plan. */
const LOOK_MS = 500;

/** `etcd-mesos uninstall`: gives the service up and waits until nothing of it is left. */
export function register(command: Command): void {
  command
    .option(
      '--destroy-data',
      'leave to destroy the data; without it the service goes on until the plan is continued',
    )
    .option('--no-wait', 'end as soon as the scheduler has taken it')
    .addOption(schedulerAddress())
    .addOption(tokenFile())
    .addHelpText(
      'after',
      '\nIt cannot be taken back, and destroys the data. Ends with 0 when nothing is left. Then stop the scheduler:' +
        '\none that is started again without its state begins a new cluster.',
    )
    .action(async (flags: Flags) => {
      const [{ createSchedulerClient, readToken }, { createSystemClock }] = await Promise.all([
        import('../runtime/scheduler-client.ts'),
        import('../runtime/clock.ts'),
      ]);
      const clock = createSystemClock();
      const token = flags.tokenFile === undefined ? null : await readToken(flags.tokenFile);
      const client = createSchedulerClient(flags.scheduler, { outlastRestart: true, token });
      const destroyData = flags.destroyData === true;
      await client.post('/v1/uninstall', { destroyData });
      if (!flags.wait || !destroyData) {
        process.stdout.write(destroyData ? 'uninstalling\n' : WAITS);
        return;
      }
      let said = '';
      for (;;) {
        const view = await client.view();
        const [plan] = view.plans;
        const now = plan === undefined ? '' : progressOf(plan);
        if (now !== said) process.stdout.write(now);
        said = now;
        if (view.uninstall?.done === true) {
          for (const line of view.uninstall.skipped) process.stdout.write(`not given back: ${line}\n`);
          process.stdout.write('uninstalled; stop the scheduler now\n');
          return;
        }
        await clock.sleep(LOOK_MS);
      }
    });
}

const WAITS =
  'Asked for. The data would be destroyed, so nothing is touched until somebody says so:\n' +
  '  etcd-mesos uninstall --destroy-data\n' +
  'or POST /v1/plans/deploy/continue to the scheduler.\n';

function progressOf(plan: PublishedPlan): string {
  return plan.phases
    .flatMap((phase) => phase.steps)
    .filter((step) => step.status !== 'COMPLETE')
    .map((step) => `${step.name}: ${step.message}\n`)
    .join('');
}
