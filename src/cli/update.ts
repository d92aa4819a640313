import type { Command } from 'commander';
import { FORCE, type PlanFlags, showPlan, tellPlan } from './plan.ts';
import { schedulerAddress, tokenFile } from './scheduler-address.ts';

/** `etcd-mesos update …`: the plan `update` under the name that people know. */
export function register(command: Command): void {
  command
    .command('start')
    .description(
      'bring members to what the scheduler’s options ask for, one after the other, the leader last',
    )
    .option('--force', FORCE)
    .addOption(schedulerAddress())
    .addOption(tokenFile())
    .addHelpText(
      'after',
      '\nEnds once the scheduler has taken it; `etcd-mesos update status` shows how far it is.',
    )
    .action(async (flags: PlanFlags) => await tellPlan('update', 'start', { flags }));
  command
    .command('status')
    .description('which members have what is asked for, and what the others wait for')
    .option('--json', 'print what the API answers')
    .addOption(schedulerAddress())
    .action(async (flags: PlanFlags) => await showPlan('update', flags));
  for (const { verb, about } of VERBS) {
    command
      .command(verb)
      .description(about)
      .addOption(schedulerAddress())
      .addOption(tokenFile())
      .action(async (flags: PlanFlags) => await tellPlan('update', verb, { flags }));
  }
}

const VERBS = [
  { verb: 'pause', about: 'finish the member that was begun and begin no other, until it is resumed' },
  { verb: 'resume', about: 'go on after a pause, after the first member of a canary, or after a failure' },
] as const;
