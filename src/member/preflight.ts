import { withDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import type { Clock, Processes } from '../base/ports.ts';
import { EtcdBinaryError, type EtcdVersion, judgeVersion, parseEtcdVersion } from '../etcd/versions.ts';
import { SETPRIV, underDeathPact } from './death-pact.ts';

export interface Preflight {
  readonly version: EtcdVersion;
  readonly warnings: readonly string[];
}

const VERSION_MS_MAX = 10_000;
const LINES_MAX = 20;

/**
 * Asks the etcd program for its version in the very way in which it will be run, so the death pact is tried too.
 * Rejects with an {@link EtcdBinaryError} that says what is missing or why this etcd is not run.
 */
export async function checkEtcd(
  ports: { readonly processes: Processes; readonly clock: Clock },
  run: {
    readonly program: string;
    readonly cwd: string;
    readonly env: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
  },
): Promise<Preflight> {
  const output = await printedVersion(ports, run);
  const version = parseEtcdVersion(output);
  const { refusal, warnings } = judgeVersion(version);
  if (refusal === null) return { version, warnings };
  throw new EtcdBinaryError('refused', refusal, { hint: 'Run the newest patch release of etcd 3.5 or 3.6.' });
}

async function printedVersion(
  { processes, clock }: { readonly processes: Processes; readonly clock: Clock },
  { program, cwd, env, signal }: Parameters<typeof checkEtcd>[1],
): Promise<string> {
  const lines: string[] = [];
  const onLine = (line: string) => {
    if (lines.length < LINES_MAX) lines.push(line);
  };
  let code: number | null;
  try {
    const args = underDeathPact(program, ['--version']);
    const process = await processes.start({ command: SETPRIV, args, cwd, env, onLine });
    try {
      ({ code } = await withDeadline(clock, VERSION_MS_MAX, signal, () => process.exit));
    } finally {
      process.signal('SIGKILL');
    }
  } catch (cause) {
    throw new EtcdBinaryError('not-run', `${SETPRIV} could not be run: ${describeError(cause)}`, {
      cause,
      hint: 'Install util-linux 2.33 or newer on the agents: it keeps etcd from outliving its supervisor.',
    });
  }
  const output = lines.join('\n');
  if (code === 0) return output;
  if (/pdeathsig/.test(output)) {
    throw new EtcdBinaryError('not-run', `${SETPRIV} is too old: ${lines[0] ?? ''}`, {
      hint: 'Install util-linux 2.33 or newer on the agents: it keeps etcd from outliving its supervisor.',
    });
  }
  throw new EtcdBinaryError(
    code === 127 || code === 126 ? 'not-found' : 'not-run',
    lines[0] ?? `code ${code}`,
    {
      hint: `Is ${program} an etcd for this machine? PATH is ${env['PATH'] ?? 'empty'}.`,
    },
  );
}
