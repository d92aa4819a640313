import type { Command } from 'commander';

/** The processes of a local Mesos, as `etcd-mesos local up` starts them; each can be started by hand too. */
export function register(command: Command): void {
  command
    .command('executor')
    .description('run one command task for an agent of the local Mesos (agents start it)')
    .requiredOption('--directory <path>', 'where its socket and journal are')
    .action(async (options: { directory: string }) => {
      const { runLocalExecutor } = await import('../runtime/local-executor.ts');
      await runLocalExecutor(options);
    });
}
