import type { Command } from 'commander';

/** `etcd-mesos run-member`: what a member's Mesos task runs. It takes no options: its launch tells it everything. */
export function register(command: Command): void {
  command.action(async () => {
    const { runMember } = await import('../runtime/run-member.ts');
    const stop = new AbortController();
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => stop.abort());
    await runMember({ environment: process.env, workDirectory: process.cwd(), signal: stop.signal });
  });
}
