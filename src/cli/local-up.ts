import path from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { PublishedView } from '../protocol/view.ts';
import type { LocalTrial } from '../runtime/local-up.ts';
import type { LiveScreen } from './live-screen.ts';

interface UpFlags {
  readonly dir?: string;
  readonly keep?: true;
  readonly size: number;
  readonly agents?: number;
  readonly port: number;
  readonly check?: true;
  readonly json?: true;
}

/** `etcd-mesos local up`: a whole cluster on this machine, to look at, to break and to write to. */
export function registerUp(command: Command): void {
  command
    .command('up')
    .description('start a Mesos and an etcd cluster on this machine and show them until Ctrl-C ends both')
    .usage('[options] [-- <options of the scheduler>]')
    .option('--size <count>', 'members of the cluster: 1, 3, 5 or 7', sizeOf, 3)
    .option('--agents <count>', 'agents of the Mesos; default one more than members, as a spare', countOf)
    .option('--port <number>', 'of the scheduler’s API; 0: any that is free', portOf, 0)
    .option(
      '--dir <path>',
      'where everything is kept; default a temporary directory that is removed at the end',
    )
    .option('--keep', 'keep the temporary directory')
    .option('--check', 'break the cluster in four ways under a writer, tell what happened, and end')
    .option('--json', 'with --check: tell it as JSON')
    .argument('[options...]', 'options of the scheduler, after --')
    .action(async (schedulerArgs: readonly string[], flags: UpFlags) => {
      if (flags.json === true && flags.check !== true) command.error('error: --json is for --check');
      process.exitCode = await up(schedulerArgs, flags);
    });
}

async function up(schedulerArgs: readonly string[], flags: UpFlags): Promise<number> {
  const { startLocalTrial } = await import('../runtime/local-up.ts');
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
  const trial = await startLocalTrial(
    {
      directory: flags.dir ?? null,
      keep: flags.keep === true,
      size: flags.size,
      agents: flags.agents ?? flags.size + (flags.check === true ? 2 : 1),
      port: flags.port,
      schedulerArgs: [...(flags.check === true ? CHECK_ARGUMENTS : []), ...schedulerArgs],
    },
    stop.signal,
  ).catch((error: unknown) => {
    if (stop.signal.aborted) return null;
    throw error;
  });
  if (trial === null) return 0;
  try {
    if (flags.check === true) return await check(trial, flags.json === true, stop.signal);
    await show(trial, flags, stop.signal);
    return 0;
  } finally {
    await trial.close();
  }
}

/** An agent that is away is given up soon, so that the check need not wait for it. */
const CHECK_ARGUMENTS = ['--unreachable-timeout', '5s'] as const;

async function show(trial: LocalTrial, flags: UpFlags, signal: AbortSignal): Promise<void> {
  const [{ createLiveScreen }, { paintFor }] = await Promise.all([
    import('./live-screen.ts'),
    import('./style.ts'),
  ]);
  const paint = paintFor(process.stdout, process.env);
  const screen: LiveScreen = createLiveScreen(process.stdout, paint);
  screen.note(`starting in ${trial.directory}; the scheduler’s log is ${trial.directory}/scheduler.log`);
  let isReady = false;
  await trial.follow((view) => {
    screen.show(view);
    if (!isReady && isWhole(view)) {
      isReady = true;
      screen.ready(welcome(trial, view, flags));
    }
    return false;
  }, signal);
  screen.note('ending everything');
}

const isWhole = (view: PublishedView): boolean =>
  view.health.state === 'healthy' && view.health.healthyVoters >= view.size && view.intent === null;

/** How to start this program again from here: it may not be in PATH, and the node that is there may be too old. */
function ownCommand(): string {
  const near = (file: string): string => {
    const relative = path.relative(process.cwd(), file);
    return relative.startsWith('..') ? file : relative;
  };
  const entry = process.argv[1] ?? 'etcd-mesos';
  return /\.[jt]s$/.test(entry) ? `${near(process.execPath)} ${near(entry)}` : entry;
}

function welcome(trial: LocalTrial, view: PublishedView, flags: UpFlags): readonly string[] {
  const endpoints = view.endpoints.client.join(',');
  const isKept = flags.keep === true || flags.dir !== undefined;
  return [
    `${view.health.healthyVoters} healthy members at ${endpoints}`,
    '',
    `  ETCDCTL_API=3 etcdctl --endpoints=${endpoints} put greeting hello`,
    `  ${ownCommand()} status --scheduler ${trial.apiUrl}`,
    '',
    `  logs: ${trial.directory}/scheduler.log, and the members’ below ${trial.directory}/mesos/agents`,
    `  Ctrl-C ends everything${isKept ? ' and leaves the directory' : ' and removes the directory'}`,
  ];
}

async function check(trial: LocalTrial, isJson: boolean, signal: AbortSignal): Promise<number> {
  const { runLocalCheck } = await import('../runtime/local-check-role.ts');
  const { renderCheck } = await import('./check-table.ts');
  const report = await runLocalCheck(trial, {
    note: (line) => void process.stderr.write(`${line}\n`),
    signal,
  });
  process.stdout.write(isJson ? `${JSON.stringify(report, null, 2)}\n` : renderCheck(report));
  return report.ok ? 0 : 1;
}

function sizeOf(text: string): number {
  if (['1', '3', '5', '7'].includes(text)) return Number(text);
  throw new InvalidArgumentError('It must be 1, 3, 5 or 7.');
}

function countOf(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= 20) return count;
  throw new InvalidArgumentError('It must be a whole number from 1 to 20.');
}

function portOf(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError('It must be a whole number from 0 to 65535.');
}
