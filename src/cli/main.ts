import { Command, CommanderError } from 'commander';
import { BUILD_ID, VERSION } from '../base/build.ts';
import { COMMANDS, type CommandEntry } from './commands.ts';

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
    else process.exitCode = await (await import('./failure.ts')).reportFailure(error);
  }
}
