/**
 * etcd must never outlive its supervisor: a task that Mesos reports as ended would serve on. The kernel keeps
 * that promise: util-linux's setpriv sets the parent-death signal and then becomes the program.
 */
export const SETPRIV = 'setpriv';

/** The arguments with which {@link SETPRIV} becomes `program`. */
export function underDeathPact(program: string, args: readonly string[]): readonly string[] {
  return ['--pdeathsig', 'KILL', '--', program, ...args];
}

/** Marks every etcd of ours in its environment, with the seat it runs on as its value. */
export const MEMBER_VARIABLE = 'MEMBER_OF_ETCD_MESOS';

/**
 * The seat and not the slot: a slot's old member serves until its successor votes, and on a machine with several
 * agents both may be there.
 */
export const memberMark = (launch: { readonly cluster: string; readonly seat: string }): string =>
  `${launch.cluster}/${launch.seat}`;

/** What etcd needs of ours: its own variables (`ETCD_NAME` …) would override what it is told, proxies its peers. */
const PASSED_ON = ['TZ', 'GOMAXPROCS', 'GOGC', 'GOMEMLIMIT', 'ETCD_UNSUPPORTED_ARCH'];

/** Mesos may give a task none; setpriv and a bare name of etcd are looked up in it. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function etcdEnvironment(
  launch: { readonly cluster: string; readonly seat: string },
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const passed = PASSED_ON.flatMap((name) => {
    const value = environment[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const PATH = environment['PATH'] ?? DEFAULT_PATH;
  return { ...Object.fromEntries(passed), PATH, [MEMBER_VARIABLE]: memberMark(launch) };
}
