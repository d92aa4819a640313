/** What of etcd's command line the model understands. */
export interface EtcdCommandLine {
  readonly name: string;
  readonly dataDirectory: string;
  /** The peer URL that the member tells the others. */
  readonly peerUrl: string;
  readonly peerPort: number;
  readonly clientPort: number;
  readonly clientUrls: readonly string[];
  readonly initialCluster: readonly { readonly name: string; readonly peerUrl: string }[];
  readonly isNew: boolean;
  readonly token: string;
  /** Bytes that the database may grow to. */
  readonly quotaBytes: number;
  /** It compares its data with its peers' before it serves. */
  readonly checksData: boolean;
}

/**
 * Reads the arguments after etcd's own name, as etcd does: `--flag=value` or `--flag value`, and what is needed
 * must be there. Throws with etcd's complaint where etcd would refuse.
 */
export function parseEtcdCommandLine(args: readonly string[]): EtcdCommandLine {
  const flags = new Map<string, string>();
  for (let position = 0; position < args.length; position += 1) {
    const flag = args[position] as string;
    if (!flag.startsWith('-')) throw new Error(`'${flag}' is not a valid flag`);
    const name = flag.replace(/^--?/, '');
    const equals = name.indexOf('=');
    if (equals >= 0) flags.set(name.slice(0, equals), name.slice(equals + 1));
    else {
      const next = args[position + 1];
      if (next === undefined || next.startsWith('-')) flags.set(name, 'true');
      else {
        flags.set(name, next);
        position += 1;
      }
    }
  }
  const value = (name: string, fallback?: string): string => {
    const found = flags.get(name) ?? fallback;
    if (found === undefined) throw new Error(`the flag --${name} is missing`);
    return found;
  };
  const state = value('initial-cluster-state', 'new');
  if (state !== 'new' && state !== 'existing') throw new Error(`unknown cluster state ${state}`);
  if (flags.has('force-new-cluster'))
    throw new Error('--force-new-cluster is given on a live data directory');
  return {
    name: value('name'),
    dataDirectory: value('data-dir'),
    peerUrl: value('initial-advertise-peer-urls'),
    peerPort: portOf(value('listen-peer-urls').split(',')[0] as string),
    clientPort: portOf(value('listen-client-urls').split(',')[0] as string),
    clientUrls: value('advertise-client-urls').split(','),
    initialCluster: value('initial-cluster', '')
      .split(',')
      .filter((part) => part !== '')
      .map((part) => {
        const equals = part.indexOf('=');
        return { name: part.slice(0, equals), peerUrl: part.slice(equals + 1) };
      }),
    isNew: state === 'new',
    token: value('initial-cluster-token', 'etcd-cluster'),
    checksData: CHECKS.some(([name, value]) => flags.get(name) === value),
    quotaBytes: Number(value('quota-backend-bytes', String(2 * 1024 ** 3))),
  };
}

const CHECKS = [
  ['experimental-initial-corrupt-check', 'true'],
  ['feature-gates', 'InitialCorruptCheck=true'],
] as const;

export function portOf(url: string): number {
  return Number(new URL(url).port);
}
