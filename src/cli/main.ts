import { Command, CommanderError } from 'commander';
import { BUILD_ID, VERSION } from '../base/build.ts';
import { COMMANDS, type CommandEntry } from './commands.ts';

process.on('uncaughtException', (error) => void fail(error));
await main(process.argv, COMMANDS);

async function main(argv: readonly string[], entries: readonly CommandEntry[]): Promise<void> {
  const program = new Command('etcd-mesos')
    .description('Launches, watches and repairs an etcd cluster on Apache Mesos and DC/OS.')
    .version(`etcd-mesos ${VERSION} (build ${BUILD_ID}, node ${process.version})`)
    .exitOverride();
  const typed = argv.slice(2).find((word) => !word.startsWith('-') && word !== 'help');
  for (const entry of entries) {
    const command = program.command(entry.name).description(entry.summary);
    if (entry.name === typed) (await entry.load()).register(command);
  }
  try {
    await program.parseAsync(argv);
  } catch (error) {
    // What is wrong with the command line was printed by its parser: 0 after help, 2 after a complaint.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
    else await fail(error);
  }
}

/** Ends the process even where something still waits for its turn: what failed must not linger. */
async function fail(error: unknown): Promise<never> {
  const { reportFailure } = await import('./failure.ts');
  process.exit(await reportFailure(error));
}
