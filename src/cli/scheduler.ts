import type { Command } from 'commander';
import { optionHelp } from '../protocol/option-reference.ts';

/** `etcd-mesos scheduler`: the framework's scheduler. Its options are read by their own schema. */
export function register(command: Command): void {
  command
    .usage('--master <url> [options]')
    .allowUnknownOption()
    .allowExcessArguments()
    .argument('[options...]')
    .addHelpText('after', () => `\nOptions (docs/options.md says more):\n${optionHelp()}\n`)
    .action(async () => {
      const { runScheduler } = await import('../runtime/scheduler-role.ts');
      await runScheduler({ argv: command.args, environment: process.env });
    });
}
