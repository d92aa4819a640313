import { type Command, InvalidArgumentError, Option } from 'commander';
import type { DataDirectoryOutput, RestoreOutcome, RestoreRequest } from '../runtime/archive-restore.ts';
import { type ArchiveFlags, epochNumber, nameOf, ofArchive } from './archive-flags.ts';

interface Flags extends ArchiveFlags {
  readonly to: string;
  readonly epoch?: number;
  readonly snapshotFile?: string;
  readonly dataDir?: string;
  readonly name: string;
  readonly initialCluster?: string;
  readonly initialClusterToken: string;
  readonly initialAdvertisePeerUrls: string;
  readonly etcdutl?: string;
  readonly method: RestoreRequest['method'];
  readonly etcd?: string;
  readonly raiseBy?: bigint;
  readonly acceptMismatch?: true;
  readonly allHashes?: true;
}

/** Hashes that are compared unless all are asked for: each takes as long as to read the data once or twice. */
const HASHES_MAX = 16;

/** `etcd-mesos restore`: from an archive alone; neither Mesos nor a scheduler is needed. */
export function register(command: Command): void {
  ofArchive(command)
    .option('--to <target>', 'head, a revision, or a time with its zone, as 2026-03-01T09:30:00Z', 'head')
    .option('--epoch <number>', 'of which of the clusters’ lives; by default the newest', epochNumber)
    .addOption(
      new Option('--snapshot-file <file>', 'write a snapshot that every `snapshot restore` takes')
        .conflicts('dataDir')
        .argParser(nameOf),
    )
    .option('--data-dir <directory>', 'make a member’s data directory, with etcdutl or etcdctl', nameOf)
    .option('--name <name>', 'of the member, for --data-dir', nameOf, 'default')
    .option(
      '--initial-cluster <members>',
      'as etcd’s own, for --data-dir; by default this member alone',
      initialCluster,
    )
    .option('--initial-cluster-token <token>', 'as etcd’s own, for --data-dir', 'etcd-cluster')
    .option(
      '--initial-advertise-peer-urls <urls>',
      'as etcd’s own, for --data-dir',
      peerUrls,
      'http://localhost:2380',
    )
    .option('--etcdutl <program>', 'etcdutl, or an etcdctl of 3.4 or 3.5; by default the one in PATH')
    .addOption(
      new Option(
        '--method <method>',
        'splice, replay (through a private etcd, slowly), or auto: replay where a backend’s layout is not known',
      )
        .choices(['auto', 'splice', 'replay'])
        .default('auto'),
    )
    .option('--etcd <program>', 'what a replay writes into; by default the etcd in PATH')
    .option('--raise-by <number>', 'go on so many revisions further, all before compacted', raise)
    .option('--all-hashes', `compare every hash that members told; by default ${HASHES_MAX}, the newest too`)
    .option('--accept-mismatch', 'give the result also where a hash that a member told disproves it')
    .addHelpText(
      'after',
      '\nA restored cluster whose clients have seen later revisions than it has must be raised beyond them, by' +
        '\n1000000000 say: they would else take old answers for new ones.' +
        '\nEnds with 0 if what was asked for was restored, with 1 if it cannot be, with 2 for bad input.',
    )
    .action(async (flags: Flags) => {
      const output = outputOf(flags);
      if (output === null) command.error('error: name a --snapshot-file or a --data-dir to restore to');
      if (output.kind === 'data-directory' && !`,${output.initialCluster}`.includes(`,${output.name}=`)) {
        const { initialCluster: members, name } = output;
        command.error(
          `error: --initial-cluster ${members} has no member ${name}: name it, or another --name`,
        );
      }
      const outcome = await restore(flags, output);
      const [{ renderRestore }, { paintFor }] = await Promise.all([
        import('./restore-table.ts'),
        import('./style.ts'),
      ]);
      const text =
        flags.json === true
          ? `${JSON.stringify(outcome, null, 2)}\n`
          : renderRestore(outcome, paintFor(process.stdout, process.env));
      process.stdout.write(text);
    });
}

async function restore(flags: Flags, output: RestoreRequest['output']): Promise<RestoreOutcome> {
  const [{ openArchiveToRead }, { restoreTo, parseTarget, interruptible }, { progressOn }] =
    await Promise.all([
      import('../runtime/archive-place.ts'),
      import('../runtime/archive-restore.ts'),
      import('./progress.ts'),
    ]);
  const { to, epoch = null, raiseBy = null, acceptMismatch: acceptsMismatch = false, json = false } = flags;
  const { method, etcdutl = null, etcd = null } = flags;
  const proofsMax = flags.allHashes === true ? null : HASHES_MAX;
  const programs = { etcdutl, etcd };
  const target = parseTarget(to);
  const progress = progressOn(process.stderr, { isWanted: !json });
  try {
    return await interruptible(async (signal) => {
      const archive = await openArchiveToRead(flags, signal);
      return await restoreTo(
        { archive, target, epoch, raiseBy, acceptsMismatch, proofsMax, method, programs, output },
        { onProgress: progress.step, signal },
      );
    });
  } finally {
    progress.end();
  }
}

function outputOf(flags: Flags): RestoreRequest['output'] | null {
  if (flags.snapshotFile !== undefined) return { kind: 'snapshot', file: flags.snapshotFile };
  if (flags.dataDir === undefined) return null;
  const { name, initialClusterToken: token, initialAdvertisePeerUrls: peerUrls } = flags;
  const output: DataDirectoryOutput = {
    kind: 'data-directory',
    directory: flags.dataDir,
    name,
    token,
    peerUrls,
    initialCluster: flags.initialCluster ?? `${name}=${peerUrls}`,
  };
  return output;
}

/** etcd would refuse these only when all else is done. */
const PEER_URL = /^(?:https?|unixs?):\/\/(?:\[[^\]/]+\]|[^/:[\]]+):\d{1,5}$/;

function peerUrls(text: string): string {
  if (text.split(',').every((url) => PEER_URL.test(url))) return text;
  throw new InvalidArgumentError(
    'It is a URL with a port, or several with commas between them: http://10.0.0.1:2380.',
  );
}

function initialCluster(text: string): string {
  const isMember = (entry: string): boolean =>
    /^[^=]+=/.test(entry) && PEER_URL.test(entry.replace(/^[^=]+=/, ''));
  if (text.split(',').every(isMember)) return text;
  throw new InvalidArgumentError(
    'It is members with commas between them: m0=http://10.0.0.1:2380,m1=http://10.0.0.2:2380.',
  );
}

function raise(text: string): bigint {
  if (/^[1-9]\d{0,17}$/.test(text)) return BigInt(text);
  throw new InvalidArgumentError('It is a whole number from 1 to 999999999999999999.');
}
