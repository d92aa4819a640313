import { describe, expect, test } from 'vitest';
import { nearest, OptionsError, resolveOptions } from '../../src/protocol/option-sources.ts';
import { OPTION_KEYS, OPTIONS, type OptionKey, optionSpec, variableOf } from '../../src/protocol/options.ts';

const MASTER = ['--master', '10.0.0.1:5050'];
const IN_DIRECTORY = ['--archive=/mnt/archive'];
const IN_S3 = ['--archive=s3://bucket'];

const resolve = (
  argv: readonly string[],
  environment: Record<string, string> = {},
  file: unknown = undefined,
) =>
  resolveOptions({
    argv,
    environment,
    file: file === undefined ? null : { name: 'scheduler.json', content: file },
  });

function problemsOf(action: () => unknown): OptionsError['problems'] {
  try {
    action();
  } catch (error) {
    if (error instanceof OptionsError) return error.problems;
    throw error;
  }
  throw new Error('no OptionsError was thrown');
}

/** For each option: spellings with their values, and texts that must be refused. Together with other flags. */
const TABLE: Record<OptionKey, { good: [string, unknown][]; bad: string[]; with?: string[] }> = {
  masterUrls: {
    good: [
      ['10.0.0.1:5050', ['http://10.0.0.1:5050']],
      ['https://m1/mesos/,m2', ['https://m1/mesos', 'http://m2:5050']],
      ['m1:80', ['http://m1']],
      ['http://m:81/', ['http://m:81']],
      ['[::1]:5050', ['http://[::1]:5050']],
      ['zk://a:2181,b,[::1]:2183/mesos/', ['zk://a:2181,b:2181,[::1]:2183/mesos']],
    ],
    bad: [
      '',
      'a,,b',
      'ftp://x',
      'x/path',
      'http://x?a=b',
      'x:99999',
      'zk://a:2181',
      'zk://a:2181/mesos,b:5050',
      'zk://a:0/mesos',
      'zk://a:2181/../mesos',
      'http://u:p@x',
      'x:0',
    ],
  },
  masterTimeoutMs: {
    good: [
      ['0', 0],
      ['2m', 120_000],
    ],
    bad: ['-1', 'soon', '2d'],
  },
  frameworkName: {
    good: [
      ['etcd-k8s', 'etcd-k8s'],
      ['/team/etcd', '/team/etcd'],
      [`/${'a'.repeat(40)}/${'b'.repeat(23)}.c`, `/${'a'.repeat(40)}/${'b'.repeat(23)}.c`],
    ],
    bad: ['', 'a b', 'a__b', '-', 'a/', `/${'a'.repeat(40)}/${'b'.repeat(24)}`],
  },
  size: {
    good: [
      ['1', 1],
      ['3', 3],
      ['5', 5],
      ['7', 7],
    ],
    bad: ['0', '2', '4', '9', '03', 'three', '3.0', ''],
  },
  role: {
    good: [
      ['etcd', 'etcd'],
      ['a/b', 'a/b'],
    ],
    bad: ['*', '.', '..', '-x', '/x', 'x/', 'a//b', 'a b', ''],
  },
  principal: { good: [['p', 'p']], bad: ['', 'a b'] },
  serviceAccount: { good: [['secrets/sa.json', 'secrets/sa.json']], bad: ['', ' '] },
  masterCaFile: { good: [['/etc/ca.crt', '/etc/ca.crt']], bad: [''] },
  secretFile: { good: [['/run/secret', '/run/secret']], bad: ['', ' '] },
  user: { good: [['nobody', 'nobody']], bad: ['', 'a b', '1user', 'x'.repeat(40)] },
  failoverTimeoutMs: {
    good: [
      ['4w', 2_419_200_000],
      ['3600', 3_600_000],
    ],
    bad: ['0', '-1s', '2years', '500d'],
  },
  zkState: {
    good: [
      ['zk://a', 'zk://a:2181'],
      ['ZK://10.0.0.1:2181,10.0.0.2:2182/some/place/', 'zk://10.0.0.1:2181,10.0.0.2:2182/some/place'],
    ],
    bad: [
      '',
      'a:2181/x',
      'http://a/x',
      'zk://',
      'zk:///x',
      'zk://a:b/x',
      'zk://a//x',
      'zk://a,,b/x',
      'zk://a/x y',
    ],
  },
  zkAuthFile: { with: ['--zk-framework-persist=zk://a/b'], good: [['f', 'f']], bad: [''] },
  zkSessionTimeoutMs: {
    good: [
      ['2s', 2_000],
      ['120', 120_000],
    ],
    bad: ['1999ms', '121s', 'long'],
  },
  stateDir: { good: [['/srv/state', '/srv/state']], bad: [''] },
  orderKeyFile: { good: [['k.pem', 'k.pem']], bad: [''] },
  listen: {
    good: [
      ['127.0.0.1', '127.0.0.1'],
      ['::', '::'],
    ],
    bad: ['', 'a b', 'http://x'],
  },
  port: {
    good: [
      ['0', 0],
      ['65535', 65_535],
    ],
    bad: ['65536', '-1', '1.5', 'http', '$PORT0'],
  },
  hostname: { good: [['node-1.example', 'node-1.example']], bad: ['', 'a/b'] },
  webuiUrl: { good: [['http://x/service/etcd', 'http://x/service/etcd']], bad: ['x', 'ftp://x', ''] },
  apiTokenFile: { good: [['t', 't']], bad: [''] },
  cpus: {
    good: [
      ['0.5', 0.5],
      ['2', 2],
    ],
    bad: ['0', '257', '-1', '1e3', 'two', 'NaN', 'Infinity'],
  },
  memMb: {
    good: [
      ['512', 512],
      ['2GiB', 2048],
      ['1.5g', 1536],
    ],
    bad: ['0', '100', '1.0001', '2 parsecs', '2TiB'],
  },
  diskMb: {
    good: [
      ['8192', 8192],
      ['10GB', 10_240],
    ],
    bad: ['1', '-5', 'big', '1KiB'],
  },
  quotaBytes: {
    good: [
      ['2147483648', 2 ** 31],
      ['512MiB', 2 ** 29],
    ],
    bad: ['0', '15MiB', '65GiB', '1.5', '2x'],
  },
  placement: {
    good: [
      ['hostname:MAX_PER:2', [{ field: 'hostname', operator: 'MAX_PER', parameter: '2' }]],
      ['[["rack","group_by"]]', [{ field: 'rack', operator: 'GROUP_BY', parameter: null }]],
    ],
    bad: ['rack', 'rack:NEAR:r1', '[["rack"]]', '@continent:UNIQUE', 'rack:LIKE:(', '[7'],
  },
  heartbeatIntervalMs: {
    good: [
      ['50', 50],
      ['100ms', 100],
    ],
    bad: ['5', '6s', 'fast'],
  },
  electionTimeoutMs: {
    good: [
      ['1500', 1500],
      ['2s', 2000],
    ],
    bad: ['10', '51s'],
  },
  compactKeepRevisions: {
    good: [
      ['0', 0],
      ['10000', 10_000],
    ],
    bad: ['-1', '1e4', 'all'],
  },
  snapshotCount: { good: [['10000', 10_000]], bad: ['9', '1000001', '1e4'] },
  artifact: {
    good: [
      ['serve', 'serve'],
      ['checkout', 'checkout'],
    ],
    bad: ['', 'docker'],
  },
  artifactUri: {
    good: [['https://x/a.tar.gz', 'https://x/a.tar.gz']],
    bad: ['a.tar.gz', ''],
    with: ['--artifact-sha256', 'a'.repeat(64)],
  },
  artifactSha256: {
    good: [['0'.repeat(64), '0'.repeat(64)]],
    bad: ['abc', 'A'.repeat(64), `${'a'.repeat(64)}0`],
    with: ['--artifact-file', 'a.tar'],
  },
  artifactEtcdVersion: {
    good: [
      ['3.5.30', '3.5.30'],
      ['3.6.0-rc.1', '3.6.0-rc.1'],
    ],
    bad: ['3.5', 'v3.5.30', '2.3.8', ''],
    with: ['--artifact-file', 'a.tar'],
  },
  artifactFile: { good: [['a.tar.gz', 'a.tar.gz']], bad: [''] },
  etcdBinary: { good: [['/usr/bin/etcd', '/usr/bin/etcd']], bad: [''] },
  updateStrategy: {
    good: [
      ['serial', 'serial'],
      ['canary', 'canary'],
    ],
    bad: ['parallel', ''],
  },
  updateStepTimeoutMs: { good: [['20m', 1_200_000]], bad: ['9s', '7h'] },
  etcdctlBinary: { good: [['/usr/bin/etcdctl', '/usr/bin/etcdctl']], bad: [''] },
  uninstall: {
    good: [
      ['true', 'true'],
      ['FALSE', 'false'],
    ],
    bad: ['yes', '1'],
  },
  destroyData: {
    good: [
      ['true', 'true'],
      ['false', 'false'],
    ],
    bad: ['yes', ''],
    with: ['--uninstall=true'],
  },
  bootstrap: {
    good: [
      ['adopt', 'adopt'],
      ['NEW', 'new'],
    ],
    bad: ['restore', 'yes'],
  },
  bootstrapWindowMs: {
    good: [
      ['0s', 0],
      ['5', 5000],
    ],
    bad: ['11m'],
  },
  unreachableTimeoutMs: { good: [['20m', 1_200_000]], bad: ['0', '8d', '500ms'] },
  volumeTimeoutMs: { good: [['1h30m', 5_400_000]], bad: ['0', '8d'] },
  launchTimeoutMs: { good: [['10s', 10_000]], bad: ['4s', '7h'] },
  killGraceMs: {
    good: [
      ['0', 0],
      ['1500ms', 1500],
    ],
    bad: ['11m'],
  },
  reseedTimeoutMs: { good: [['240', 240_000]], bad: ['0', 'never'] },
  autoReseed: {
    good: [
      ['false', 'false'],
      ['terminal', 'terminal'],
      ['true', 'true'],
    ],
    bad: ['yes', '1'],
  },
  preReservedRole: { good: [['slave_public', 'slave_public']], bad: ['*', 'a b', '-a'] },
  groupRole: {
    good: [
      ['dev', 'dev'],
      ['*', '*'],
    ],
    bad: ['', 'a b'],
  },
  enforceGroupRole: {
    good: [
      ['true', 'true'],
      ['FALSE', 'false'],
    ],
    bad: ['yes', ''],
    with: ['--group-role=dev'],
  },
  diskType: {
    good: [
      ['root', 'root'],
      ['MOUNT', 'mount'],
    ],
    bad: ['path', ''],
  },
  walDiskMb: {
    good: [
      ['512', 512],
      ['1GiB', 1024],
    ],
    bad: ['0', '63MiB', 'none'],
  },
  walDiskType: { good: [['MOUNT', 'mount']], bad: ['block'] },
  storage: {
    good: [
      ['persistent', 'persistent'],
      ['sandbox', 'sandbox'],
    ],
    bad: ['memory'],
  },
  peerPort: {
    good: [
      ['2380', 2380],
      ['0', 0],
    ],
    bad: ['65536', '-1', 'any'],
  },
  clientPort: {
    good: [
      ['2379', 2379],
      ['0', 0],
    ],
    bad: ['65536', '1.5'],
  },
  supervisorPort: {
    good: [
      ['2378', 2378],
      ['0', 0],
    ],
    bad: ['99999'],
  },
  archive: {
    good: [
      ['/mnt/archive', '/mnt/archive'],
      ['s3://bucket', 's3://bucket'],
      ['s3://my.bucket/etcd/prod', 's3://my.bucket/etcd/prod'],
    ],
    bad: ['', 's3://', 's3://Bucket/x', 's3:///x', 'https://bucket/x', 's3://bucket/a b'],
  },
  archiveGivenUp: { good: [['9f2c-1', '9f2c-1']], bad: ['', 'a b', 'a/b'], with: IN_DIRECTORY },
  archiveS3Endpoint: {
    good: [['https://s3.example.com:9000', 'https://s3.example.com:9000']],
    bad: ['s3.example.com', 'https://s3.example.com/path', 'ftp://x'],
    with: IN_S3,
  },
  archiveS3Region: { good: [['eu-central-1', 'eu-central-1']], bad: ['', 'EU Central'], with: IN_S3 },
  archiveS3PathStyle: { good: [['true', 'true']], bad: ['yes'], with: IN_S3 },
  archiveS3CaFile: { good: [['/ca.pem', '/ca.pem']], bad: [''], with: IN_S3 },
  archiveKeyFile: { good: [['/key', '/key']], bad: [''], with: IN_DIRECTORY },
  archiveSegmentIntervalMs: {
    good: [
      ['0', 0],
      ['500ms', 500],
      ['1m', 60_000],
    ],
    bad: ['61s', '-1', 'never'],
    with: IN_DIRECTORY,
  },
  archiveFullSchedule: {
    good: [
      ['*/5 0-6 * * MON', '*/5 0-6 * * MON'],
      ['None', 'none'],
    ],
    bad: ['', 'daily', '61 * * * *', '* * * * * *', '0 0 30 2 *', '* * * *'],
    with: IN_DIRECTORY,
  },
  archiveFullAfterBytes: {
    good: [
      ['1MiB', 1024 ** 2],
      ['2GiB', 2 * 1024 ** 3],
    ],
    bad: ['1', '2048GiB'],
    with: IN_DIRECTORY,
  },
  archiveProofIntervalMs: {
    good: [
      ['1s', 1000],
      ['1d', 86_400_000],
    ],
    bad: ['500ms', '2d'],
    with: IN_DIRECTORY,
  },
  archiveVerifySchedule: { good: [['none', 'none']], bad: ['weekly'], with: IN_DIRECTORY },
  archiveSpoolBytes: { good: [['64MiB', 64 * 1024 ** 2]], bad: ['0', '2048GiB'], with: IN_DIRECTORY },
  archiveKeepFulls: { good: [['1', 1]], bad: ['0', '10001'], with: IN_DIRECTORY },
  archiveKeepMs: { good: [['52w', 52 * 604_800_000]], bad: ['59m', '3y'], with: IN_DIRECTORY },
  logLevel: {
    good: [
      ['debug', 'debug'],
      ['INFO', 'info'],
    ],
    bad: ['loud', '3'],
  },
};

describe('every option', () => {
  test.for(OPTION_KEYS.map((key) => [key, TABLE[key]] as const))('%s', ([key, row]) => {
    const spec = optionSpec(key);
    const master = key === 'masterUrls' ? [] : MASTER;
    for (const [text, value] of row.good) {
      const flags = [...master, ...(row.with ?? [])];
      expect(resolve([...flags, `--${spec.name}=${text}`]).options[key]).toEqual(value);
      expect(resolve([...flags, `--${spec.name}`, text]).options[key]).toEqual(value);
      expect(resolve(flags, { [variableOf(spec.name)]: text }).options[key]).toEqual(value);
      expect(resolve(flags, {}, { [spec.name]: text }).options[key]).toEqual(value);
      expect(spec.kind.parse(spec.kind.format(value))).toEqual({ value });
    }
    for (const text of row.bad) {
      const [problem, ...others] = problemsOf(() =>
        resolve([...master, ...(row.with ?? []), `--${spec.name}=${text}`]),
      );
      expect(others).toEqual([]);
      expect(problem?.message).toContain(`--${spec.name} is "${text}"`);
      expect(problem?.hint).toMatch(/Correct|Name the masters/);
      expect(problem?.message).toContain(spec.kind.accepts);
    }
  });

  test('has a default that its own range accepts', () => {
    for (const spec of OPTION_KEYS.map(optionSpec)) {
      if (spec.initial === null) expect(spec.otherwise).toBeDefined();
      else expect(spec.kind.parse(spec.kind.format(spec.initial))).toEqual({ value: spec.initial });
    }
  });

  test('has names that no other option has', () => {
    const names = OPTION_KEYS.map(optionSpec).flatMap((spec) => [
      `flag ${spec.name}`,
      `file ${spec.name}`,
      `environment ${variableOf(spec.name)}`,
      ...spec.aliases.filter((alias) => alias.name !== spec.name).map((alias) => `${alias.in} ${alias.name}`),
    ]);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('sources', () => {
  test('a flag wins over the environment, that over the file, that over the default', () => {
    const file = { cpus: 4, mem: 4096, port: 4 };
    const { options } = resolve(
      [...MASTER, '--cpus', '2'],
      { ETCD_MESOS_CPUS: '3', ETCD_MESOS_MEM: '3000' },
      file,
    );
    expect([options.cpus, options.memMb, options.port, options.user]).toEqual([2, 3000, 4, null]);
  });

  test('the environment of the 2015 package is understood', () => {
    const { options, warnings } = resolve([], {
      FRAMEWORK_NAME: 'k8s-etcd',
      FRAMEWORK_FAILOVER_TIMEOUT_SECONDS: '60*60*24*7',
      CLUSTER_SIZE: '5',
      MESOS_MASTER: 'leader.mesos:5050',
      VERBOSITY: '1',
      SINGLE_INSTANCE_PER_SLAVE: 'true',
      AUTO_RESEED: 'true',
      RESEED_TIMEOUT: '240',
      DISK_LIMIT: '4096',
      CPU_LIMIT: '1',
      MEM_LIMIT: '2048',
      WEBURI: 'http://etcd.marathon.mesos:31000/stats',
      PORT0: '31000',
    });
    expect(options).toMatchObject({
      frameworkName: 'k8s-etcd',
      role: 'k8s-etcd-role',
      failoverTimeoutMs: 604_800_000,
      size: 5,
      masterUrls: ['http://leader.mesos:5050'],
      logLevel: 'info',
      autoReseed: 'terminal',
      reseedTimeoutMs: 240_000,
      diskMb: 4096,
      quotaBytes: 1194 * 1024 ** 2,
      cpus: 1,
      memMb: 2048,
      webuiUrl: 'http://etcd.marathon.mesos:31000/stats',
      port: 31_000,
    });
    expect(warnings.join('\n')).toContain('AUTO_RESEED=true is taken as "terminal"');
  });

  test('the flags of 2015 are understood, with one dash and with nothing after the sign', () => {
    const argv =
      '-alsologtostderr=true -address=10.1.1.1 -framework-name=e -failover-timeout-seconds=604800 -cluster-size=3 ' +
      '-master=m:5050 -v=2 -single-instance-per-slave=true -auto-reseed -reseed-timeout=240 ' +
      '-sandbox-disk-limit=4096 -sandbox-cpu-limit=1 -sandbox-mem-limit=2048 -admin-port=31000 ' +
      '-driver-port=31001 -artifact-port=31002 -framework-weburi=';
    const { options, warnings } = resolve(argv.split(' '));
    expect(options).toMatchObject({
      hostname: '10.1.1.1',
      failoverTimeoutMs: 604_800_000,
      logLevel: 'debug',
      autoReseed: 'terminal',
      port: 31_000,
      diskMb: 4096,
      webuiUrl: null,
    });
    expect(warnings.filter((warning) => warning.includes('no effect'))).toHaveLength(4);
  });

  test('the names of the DC/OS packages are understood in the file', () => {
    const file = {
      service: { name: 'etcd', user: 'nobody', log_level: 'WARN' },
      node: { count: 5, cpus: 0.5, mem: 1024, disk: 8192 },
      etcd: { heartbeat_interval: 200, election_timeout: 2000, snapshot_count: 5000 },
      master: ['m1:5050', 'm2:5050'],
    };
    expect(resolve([], {}, file).options).toMatchObject({
      user: 'nobody',
      logLevel: 'warn',
      size: 5,
      cpus: 0.5,
      memMb: 1024,
      diskMb: 8192,
      heartbeatIntervalMs: 200,
      electionTimeoutMs: 2000,
      snapshotCount: 5000,
      masterUrls: ['http://m1:5050', 'http://m2:5050'],
    });
  });

  test('two names of one option that disagree in a source are a conflict, equal ones are not', () => {
    const [problem] = problemsOf(() => resolve(MASTER, { CLUSTER_SIZE: '5', ETCD_MESOS_CLUSTER_SIZE: '3' }));
    expect(problem?.code).toBe('conflict');
    expect(problem?.message).toBe(
      'CLUSTER_SIZE is "5" but ETCD_MESOS_CLUSTER_SIZE is "3", and both mean --cluster-size',
    );
    expect(problemsOf(() => resolve([...MASTER, '--mem=300', '--sandbox-mem-limit=400']))[0]?.code).toBe(
      'conflict',
    );
    expect(problemsOf(() => resolve([...MASTER, '--mem=300', '--mem=400']))[0]?.code).toBe('conflict');
    expect(problemsOf(() => resolve(MASTER, {}, { mem: 300, node: { mem: 400 } }))[0]?.code).toBe('conflict');
    expect(
      resolve(MASTER, { RESEED_TIMEOUT: '240', ETCD_MESOS_RESEED_TIMEOUT: '4m' }).options.reseedTimeoutMs,
    ).toBe(240_000);
  });

  test('what a platform sets by itself gives way', () => {
    expect(resolve(MASTER, { PORT0: '31000', ETCD_MESOS_PORT: '8080' }).options.port).toBe(8080);
    expect(resolve(MASTER, { PORT0: '31000', PORT_API: '31000' }).options.port).toBe(31_000);
  });

  test('an unknown name is refused with the nearest one', () => {
    expect(problemsOf(() => resolve([...MASTER, '--cluster-sice', '3']))[0]).toMatchObject({
      code: 'unknown',
      message: 'unknown option --cluster-sice',
      hint: 'Did you mean --cluster-size? See etcd-mesos scheduler --help.',
    });
    expect(problemsOf(() => resolve(MASTER, {}, { 'cluster-szie': 3 }))[0]?.hint).toContain('cluster-size');
    expect(problemsOf(() => resolve(MASTER, { ETCD_MESOS_FALOVER_TIMEOUT: '1h' }))[0]?.hint).toContain(
      'ETCD_MESOS_FAILOVER_TIMEOUT',
    );
    expect(problemsOf(() => resolve([...MASTER, '--quux']))[0]?.hint).toBe(
      'See etcd-mesos scheduler --help.',
    );
    expect(problemsOf(() => resolve([...MASTER, 'quux']))[0]?.message).toBe('"quux" is not an option');
    expect(resolve(MASTER, { ETCD_MESOS_SOMETHING_ELSE: 'x' }).warnings.join()).toContain('is not an option');
  });

  test('ZooKeeper is named as in 2015, never with credentials', () => {
    for (const [argv, environment, file] of [
      [['--zk-framework-persist=zk://a/b'], {}, undefined],
      [['-zk-framework-persist=zk://a/b'], {}, undefined],
      [[], { ZK_PERSIST: 'zk://a/b' }, undefined],
      [[], {}, { etcd: { zk: 'zk://a/b' } }],
    ] as const) {
      const { options } = resolve([...MASTER, ...argv], environment, file);
      expect(options).toMatchObject({ zkState: 'zk://a:2181/b', orderKeyFile: null });
    }
    for (const argv of [
      [...MASTER, '--zk-framework-persist=zk://u:secret@a/b'],
      ['--master=zk://u:secret@a/b'],
    ]) {
      const [problem] = problemsOf(() => resolve(argv));
      expect(problem).toMatchObject({ code: 'bad-value', hint: expect.stringContaining('--zk-auth-file') });
      expect(problem?.message).toContain('credentials do not belong into an address');
      expect(problem?.message).not.toContain('secret');
    }
    const [idle] = problemsOf(() => resolve([...MASTER, '--zk-auth-file=f']));
    expect(idle).toMatchObject({ code: 'contradiction', where: '--zk-auth-file' });
    expect(resolve(['--master=zk://a/mesos', '--zk-auth-file=f']).options.zkAuthFile).toBe('f');
  });

  test('a malformed file is refused', () => {
    for (const content of [null, 3, 'x', [1], { mem: null }, { mem: [] }, { mem: [1] }]) {
      expect(problemsOf(() => resolve(MASTER, {}, content)).length).toBeGreaterThan(0);
    }
    expect(problemsOf(() => resolve(MASTER, {}, { node: { count: { x: 1 } } }))[0]?.message).toBe(
      'unknown option node.count.x in scheduler.json',
    );
  });

  test('all problems are told at once, with what to do', () => {
    const problems = problemsOf(() => resolve(['--cpus=none', '--nope-at-all'], { CLUSTER_SIZE: '4' }));
    expect(problems.map((problem) => problem.code)).toEqual(['bad-value', 'unknown', 'bad-value']);
  });

  test('options are frozen', () => {
    const { options } = resolve(MASTER);
    expect(Object.isFrozen(options) && Object.isFrozen(options.masterUrls)).toBe(true);
  });
});

describe('the role', () => {
  const roleOf = (argv: readonly string[], environment: Record<string, string> = {}) =>
    resolve([...MASTER, ...argv], environment).options.role;
  const inGroup = (role: string, enforced: boolean) => ({
    MESOS_ALLOCATION_ROLE: role,
    MARATHON_APP_ENFORCE_GROUP_ROLE: String(enforced),
  });

  test('follows from the name, unless a group has one', () => {
    expect(roleOf(['--framework-name=/dev/etcd'])).toBe('dev__etcd-role');
    expect(roleOf([], inGroup('dev', false))).toBe('dev');
    expect(roleOf([], inGroup('dev', true))).toBe('dev');
    expect(roleOf([], { MESOS_ALLOCATION_ROLE: '*' })).toBe('etcd-role');
    expect(roleOf([], inGroup('slave_public', false))).toBe('etcd-role');
  });

  test('that is given wins over the group’s, unless that is enforced', () => {
    expect(roleOf(['--role=dev/etcd'], inGroup('dev', false))).toBe('dev/etcd');
    expect(roleOf(['--role=dev'], inGroup('dev', true))).toBe('dev');
    const [problem] = problemsOf(() => resolve([...MASTER, '--role=ops'], inGroup('dev', true)));
    expect(problem).toMatchObject({ code: 'contradiction', where: '--role' });
    expect(problem?.message).toContain('the group enforces its own role, "dev"');
  });

  test('of the file wins over a group’s that is not enforced', () => {
    const { options } = resolve(MASTER, inGroup('dev', false), { 'service.role': 'etcd' });
    expect(options.role).toBe('etcd');
  });

  test('refines the one that resources are reserved for already', () => {
    expect(roleOf(['--pre-reserved-role=slave_public'])).toBe('slave_public/etcd-role');
    expect(roleOf(['--pre-reserved-role=slave_public', '--role=slave_public/etcd'])).toBe(
      'slave_public/etcd',
    );
  });

  test('cannot be enforced without being known', () => {
    const [problem] = problemsOf(() => resolve(MASTER, { MARATHON_APP_ENFORCE_GROUP_ROLE: 'true' }));
    expect(problem).toMatchObject({ code: 'contradiction', where: '--enforce-group-role' });
  });
});

describe('rules between options', () => {
  test('a log of its own leaves the disk to the database', () => {
    const args = [...MASTER, '--disk=6208MiB', '--quota-backend-bytes=2GiB'];
    expect(problemsOf(() => resolve(args))[0]?.where).toBe('--disk');
    expect(resolve([...args, '--wal-disk=512MiB']).options).toMatchObject({
      walDiskMb: 512,
      walDiskType: 'root',
    });
    expect(resolve([...MASTER, '--disk-type=MOUNT', '--wal-disk=1GiB']).options.walDiskType).toBe('mount');
  });

  test.for([
    ['--master', [], 'no Mesos master is named'],
    ['--election-timeout', [...MASTER, '--heartbeat-interval=300'], 'at least 5 times --heartbeat-interval'],
    ['--disk', [...MASTER, '--disk=1000', '--quota-backend-bytes=512MiB'], 'needs 3 times that and 512MiB'],
    ['--disk', [...MASTER, '--disk=100'], 'needs 3 times that'],
    ['--wal-disk', [...MASTER, '--wal-disk=100'], 'log needs 512MiB'],
    ['--mem', [...MASTER, '--mem=256'], 'needs at least 448MiB'],
    ['--disk-type', [...MASTER, '--storage=sandbox', '--disk-type=mount'], 'agent’s own disk'],
    ['--wal-disk', [...MASTER, '--storage=sandbox', '--wal-disk=512'], 'in the sandbox beside'],
    ['--client-port', [...MASTER, '--peer-port=2380', '--client-port=2380'], 'and so is --peer-port'],
    ['--reseed-timeout', [...MASTER, '--reseed-timeout=5s'], 'at least 10s'],
    [
      '--unreachable-timeout',
      [...MASTER, '--unreachable-timeout=1s', '--election-timeout=2s'],
      'at least 2s',
    ],
    ['--artifact-sha256', [...MASTER, '--artifact-uri=http://x/a'], 'without --artifact-sha256'],
    ['--artifact-sha256', [...MASTER, `--artifact-sha256=${'a'.repeat(64)}`], 'without --artifact-uri'],
    ['--etcd-binary', [...MASTER, '--etcd-binary=etcd', '--artifact-file=a'], 'brings its own etcd'],
    [
      '--artifact',
      [...MASTER, '--artifact=checkout', '--artifact-file=a'],
      '--artifact-file names a tarball',
    ],
    [
      '--artifact-uri',
      [...MASTER, '--artifact-uri=http://a', '--artifact-file=a', `--artifact-sha256=${'a'.repeat(64)}`],
      'both given',
    ],
    ['--archive-keep-fulls', [...MASTER, '--archive-keep-fulls=3'], 'but --archive is not'],
    ['--archive-key-file', [...MASTER, '--archive-key-file=k'], 'but --archive is not'],
    [
      '--archive-s3-endpoint',
      [...MASTER, ...IN_DIRECTORY, '--archive-s3-endpoint=http://x'],
      'is a directory, /mnt/archive',
    ],
    [
      '--archive-segment-interval',
      [...MASTER, ...IN_S3, '--archive-segment-interval=0'],
      'takes whole objects alone',
    ],
  ] as const)('%s with %s', ([where, argv, message]) => {
    const [problem] = problemsOf(() => resolve(argv));
    expect(problem?.where).toBe(where);
    expect(problem?.message).toContain(message);
    expect(problem?.hint).not.toBe('');
  });

  test('how long revisions are gathered follows from where they are archived', () => {
    const intervalOf = (argv: readonly string[]) =>
      resolve([...MASTER, ...argv]).options.archiveSegmentIntervalMs;
    expect([intervalOf([]), intervalOf(IN_DIRECTORY), intervalOf(IN_S3)]).toEqual([0, 0, 1000]);
  });

  test('a size that nobody gave is not made up', () => {
    expect(resolve(MASTER).options.size).toBeNull();
    expect(resolve([...MASTER, '--cluster-size=3']).options.size).toBe(3);
  });

  test('the quota follows from the disk', () => {
    const quotaOf = (disk: string) => resolve([...MASTER, `--disk=${disk}`]).options.quotaBytes / 1024 ** 2;
    expect([quotaOf('6656'), quotaOf('100GiB'), quotaOf('1GiB'), quotaOf('560')]).toEqual([
      2048, 2048, 170, 16,
    ]);
  });

  test('names and paths follow from the framework’s name', () => {
    expect(resolve([...MASTER, '--framework-name=/team/etcd']).options).toMatchObject({
      role: 'team__etcd-role',
      principal: 'team__etcd-principal',
      stateDir: '/var/lib/etcd-mesos/team__etcd',
      orderKeyFile: '/var/lib/etcd-mesos/team__etcd/order-key.pem',
    });
  });

  test.for([
    ['hostname:MAX_PER:2', '3', 2],
    ['hostname:MAX_PER:2', '5', 0],
    ['hostname:MAX_PER:3', '5', 3],
    ['hostname:MAX_PER:9', '1', 0],
    ['hostname:MAX_PER:2,hostname:UNIQUE', '3', 0],
    ['hostname:CLUSTER', '3', 3],
    ['hostname:GROUP_BY:3', '3', 0],
    ['hostname:GROUP_BY', '3', 3],
    ['rack:MAX_PER:3', '3', 0],
  ] as const)('members that %s lets share a host, of %s, are warned of', ([placement, size, shared]) => {
    const { warnings } = resolve([...MASTER, '--placement', placement, '--cluster-size', size]);
    const about = warnings.filter((warning) => warning.includes('share a host'));
    expect(about).toEqual(
      shared === 0 ? [] : [expect.stringContaining(`lets ${shared} of ${size} members share a host`)],
    );
  });

  test('placement constraints come from the names of packages too, as text or as lists', () => {
    const rack = [{ field: 'rack', operator: 'GROUP_BY', parameter: '3' }];
    const fromFile = (value: unknown, name: string) =>
      resolve(MASTER, {}, { node: { [name]: value } }).options.placement;
    expect(fromFile('[["rack","GROUP_BY","3"]]', 'placement_constraint')).toEqual(rack);
    expect(fromFile([['rack', 'GROUP_BY', '3']], 'placement')).toEqual(rack);
    expect(fromFile(['rack', 'GROUP_BY', '3'], 'placement')).toEqual(rack);
    expect(resolve(MASTER, { PLACEMENT_CONSTRAINT: 'rack:group_by:3' }).options.placement).toEqual(rack);
    expect(problemsOf(() => resolve([...MASTER, '--placement', 'rack:NEAR'])).at(0)?.message).toContain(
      '--placement is "rack:NEAR"; constraint "rack:NEAR": "NEAR" is not an operator; there are UNIQUE, MAX_PER',
    );
  });

  test('a service account’s JSON is taken from the variable of DC/OS, and never shown', () => {
    const json = '{"uid":"etcd","private_key":"very secret"}';
    const given = { DCOS_SERVICE_ACCOUNT_CREDENTIAL: json };
    expect(resolve(MASTER, given).options).toMatchObject({ serviceAccount: json, principal: null });
    const conflict = { ...given, ETCD_MESOS_SERVICE_ACCOUNT_FILE: '/run/sa.json' };
    const flag = [...MASTER, '--service-account-file', json];
    const both = [...MASTER, '--secret-file', '/run/secret'];
    for (const [argv, environment, message] of [
      [MASTER, conflict, 'DCOS_SERVICE_ACCOUNT_CREDENTIAL is a secret but'],
      [flag, {}, '--service-account-file holds a secret itself; it must be the path'],
      [both, given, '--secret-file and --service-account-file are both given'],
    ] as const) {
      const text = JSON.stringify(problemsOf(() => resolve(argv, environment)));
      expect(text).toContain(message);
      expect(text).not.toContain('very secret');
    }
  });

  test('what is allowed but dangerous is warned of', () => {
    const { warnings } = resolve([
      ...MASTER,
      '--failover-timeout=30s',
      '--cluster-size=1',
      '--auto-reseed=true',
    ]);
    expect(warnings).toHaveLength(3);
  });
});

test('the nearest name is a slip away, not a guess', () => {
  const names = Object.values(OPTIONS).map((spec) => spec.name);
  expect(nearest('liste', names)).toBe('listen');
  expect(nearest('failovertimeout', names)).toBe('failover-timeout');
  expect(nearest('kubernetes', names)).toBeNull();
  expect(nearest('ETCD_MESOS_DIR', names.map(variableOf))).toBeNull();
});
