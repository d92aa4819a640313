import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VERSION } from '../../src/base/build.ts';
import { OPTION_KEYS, optionSpec } from '../../src/protocol/options.ts';
import type { PublishedView } from '../../src/protocol/view.ts';
import { sampleView } from '../framework/sample-view.ts';
import { runCli } from './run-cli.ts';

describe('help', () => {
  test('names every command, and the version', async () => {
    const help = await runCli(['--help']);
    expect([help.code, help.stderr]).toEqual([0, '']);
    for (const command of ['scheduler', 'status', 'endpoints', 'debug', 'local'])
      expect(help.stdout).toContain(command);
    const version = await runCli(['--version']);
    expect([version.code, version.stdout]).toEqual([0, expect.stringContaining(`etcd-mesos ${VERSION}`)]);
  });

  test('of the scheduler names every option', async () => {
    const { code, stdout } = await runCli(['scheduler', '--help']);
    expect(code).toBe(0);
    for (const spec of OPTION_KEYS.map(optionSpec)) expect(stdout).toContain(`--${spec.name} <`);
  });

  test.for([
    ['status'],
    ['endpoints'],
    ['pod', 'restart'],
    ['leader', 'move'],
    ['debug', 'offers'],
    ['local'],
    ['local', 'up'],
  ])('of %s', async (words) => {
    const { code, stdout } = await runCli([...words, '--help']);
    expect([code, stdout]).toEqual([0, expect.stringContaining(`Usage: etcd-mesos ${words.join(' ')}`)]);
  });
});

describe('a wrong command line ends with 2 and one message', () => {
  test.for([
    [['stauts'], "unknown command 'stauts'"],
    [['status', '--jsno'], "unknown option '--jsno'"],
    [['status', '--scheduler', 'nowhere'], 'It must be a URL'],
    [['status', 'now'], 'too many arguments'],
    [['scale', 'five'], 'It must be 1, 3, 5 or 7'],
    [['pod', 'restart', 'etcd-0', '--token-file', '/nowhere'], 'the token file /nowhere cannot be used'],
    [['backup', 'now', '--reason', ''], 'It has 0 characters; it must have 1 to 200'],
    [['backup', 'list', '--archive', ''], 'It must not be empty'],
    [['local', 'up', '--size', '4'], 'It must be 1, 3, 5 or 7'],
    [['local', 'up', '--agents', 'many'], 'It must be a whole number'],
    [['local', 'up', '--json'], '--json is for --check'],
    [['scheduler'], '--master is missing'],
    [['scheduler', '--master', 'm', '--cluster-sise', '3'], 'Did you mean --cluster-size?'],
    [
      ['scheduler', '--master', 'm', '--cluster-size', '4'],
      '--cluster-size is "4"; it must be one of 1, 3, 5, 7',
    ],
    [['scheduler', '--master', 'zk://a:2181'], 'where they are found in ZooKeeper'],
    [['scheduler', '--master', 'zk://u:p@a:2181/mesos'], '--zk-auth-file'],
    [
      ['scheduler', '--master', 'm', '--zk-framework-persist', 'zk://a:99999/b'],
      'a ZooKeeper ensemble with a path',
    ],
    [
      ['scheduler', '--master', 'm', '--config', '/nowhere/at/all.json'],
      '/nowhere/at/all.json cannot be read',
    ],
    [['scheduler', '--master', 'm', 'stray'], '"stray" is not an option'],
  ] as const)('%s', async ([words, message]) => {
    const { code, stderr, stdout } = await runCli(words);
    expect(stderr).toContain(message);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('all problems of all sources are told at once', async () => {
    const { code, stderr } = await runCli(['scheduler', '--cpus', 'none'], {
      CLUSTER_SIZE: '2',
      MESOS_MASTER: 'zk:///mesos',
      ZK_PERSIST: 'nowhere',
    });
    expect(code).toBe(2);
    for (const name of ['--cpus', 'CLUSTER_SIZE', 'MESOS_MASTER', 'ZK_PERSIST'])
      expect(stderr).toContain(name);
  });
});

describe('a command that asks the scheduler', () => {
  let server: Server;
  let url = '';
  let answer: { status: number; body: string } = { status: 200, body: '' };
  beforeAll(async () => {
    server = createServer((_request, response) => {
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  const answerWith = (view: PublishedView): void => {
    answer = { status: 200, body: JSON.stringify(view) };
  };

  test('status ends with 0 for a healthy cluster, with 1 for any other', async () => {
    answerWith(sampleView());
    const healthy = await runCli(['status', '--scheduler', url]);
    expect([healthy.code, healthy.stderr]).toEqual([0, '']);
    expect(healthy.stdout).toContain('etcd is healthy: 3 of 3 voters healthy');
    answerWith(sampleView({ health: { state: 'degraded', voters: 3, healthyVoters: 2, leader: null } }));
    const degraded = await runCli(['status'], { ETCD_MESOS_SCHEDULER: url });
    expect([degraded.code, degraded.stdout]).toEqual([1, expect.stringContaining('degraded')]);
  });

  test('status --json prints the view', async () => {
    answerWith(sampleView());
    const { code, stdout } = await runCli(['status', '--json', '--scheduler', url]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(sampleView());
  });

  test('endpoints prints what the scheduler answers, or says why there is nothing', async () => {
    answer = { status: 200, body: 'http://10.0.0.1:2379\n' };
    expect((await runCli(['endpoints', 'etcd-servers', '--scheduler', url])).stdout).toBe(
      'http://10.0.0.1:2379\n',
    );
    answer = { status: 503, body: '{"error": "the cluster has not formed yet", "hint": "Ask again later."}' };
    const { code, stderr } = await runCli(['endpoints', 'client', '--scheduler', url]);
    expect(code).toBe(1);
    expect(stderr).toContain('the cluster has not formed yet');
    expect(stderr).toContain('Ask again later.');
  });

  test.for([
    ['an answer of somebody else', { status: 200, body: '<html>' }, 'does not answer as a scheduler'],
    ['an error of somebody else', { status: 502, body: 'bad gateway' }, 'answers 502'],
  ] as const)('%s is said to be that', async ([, given, message]) => {
    answer = given;
    const { code, stderr } = await runCli(['status', '--scheduler', url]);
    expect([code, stderr]).toEqual([1, expect.stringContaining(message)]);
  });

  test('nobody there', async () => {
    const { code, stderr } = await runCli(['status', '--scheduler', 'http://127.0.0.1:1']);
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining('no scheduler answers at http://127.0.0.1:1'),
    ]);
    expect(stderr).toContain('--scheduler');
  });
});

describe('the scheduler ends before it does anything', () => {
  let directory = '';
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'etcd-mesos-cli-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));
  const base = (): string[] => [
    'scheduler',
    '--master',
    '127.0.0.1:1',
    '--state-dir',
    path.join(directory, 'state'),
  ];

  async function program(name: string, output: string): Promise<string> {
    const file = path.join(directory, name);
    await writeFile(file, `#!/bin/sh\necho '${output}'\n`, { mode: 0o755 });
    return file;
  }

  test('with 7 without an etcd that may be run', async () => {
    const missing = await runCli([...base(), '--etcd-binary', '/nowhere/etcd']);
    expect([missing.code, missing.stderr]).toEqual([
      7,
      expect.stringContaining('/nowhere/etcd is not there'),
    ]);
    for (const [version, message] of [
      ['2.3.8', 'is not supported'],
      ['3.3.27', 'is not supported'],
      ['3.5.1', 'inconsistent'],
      ['3.5.2', 'inconsistent'],
    ] as const) {
      const old = await program(`etcd-${version}`, `etcd Version: ${version}`);
      const refused = await runCli([...base(), '--etcd-binary', old]);
      expect([refused.code, refused.stderr]).toEqual([7, expect.stringContaining(message)]);
    }
    const other = await runCli([...base(), '--etcd-binary', await program('not-etcd', 'hello')]);
    expect(other.code).toBe(7);
  }, 60_000);

  test('with 4 where its port is taken', async () => {
    const etcd = await program('etcd', 'etcd Version: 3.5.21');
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      const taken = ['--listen', '127.0.0.1', '--port', String(port)];
      const { code, stderr } = await runCli([...base(), '--etcd-binary', etcd, ...taken]);
      expect([code, stderr]).toEqual([4, expect.stringContaining(`port ${port} of 127.0.0.1 is in use`)]);
    } finally {
      server.close();
    }
  });

  test('with 5 where its state is broken, and leaves that as it was', async () => {
    const etcd = await program('etcd', 'etcd Version: 3.5.21');
    const broken = path.join(directory, 'broken');
    await mkdir(broken);
    await writeFile(path.join(broken, 'record'), 'garbage');
    const args = ['scheduler', '--master', '127.0.0.1:1', '--etcd-binary', etcd, '--state-dir'];
    const { code, stderr } = await runCli([...args, broken]);
    expect([code, stderr]).toEqual([5, expect.stringContaining(path.join(broken, 'record'))]);
    expect(await readFile(path.join(broken, 'record'), 'utf8')).toBe('garbage');
    expect((await runCli([...args, etcd])).code).toBe(5);
  });

  test('with 5 where its members know another key than there is', async () => {
    const etcd = await program('etcd', 'etcd Version: 3.5.21');
    const key = path.join(directory, 'key.pem');
    await writeFile(key, 'not a key');
    const { code, stderr } = await runCli([...base(), '--etcd-binary', etcd, '--order-key-file', key]);
    expect([code, stderr]).toEqual([5, expect.stringContaining('is not a private key')]);
  });

  test('with 3 where no master is', async () => {
    const etcd = await program('etcd', 'etcd Version: 3.5.21');
    const more = ['--artifact', 'checkout', '--etcd-binary', etcd, '--port', '0', '--master-timeout', '2s'];
    const { code, stderr } = await runCli([...base(), ...more]);
    expect(code).toBe(3);
    expect(stderr).toContain('no Mesos master has');
  });

  test('with 3 where what answers is no master', async () => {
    const etcd = await program('etcd', 'etcd Version: 3.5.21');
    const garbage = createServer((_request, response) => response.end('<html>hello</html>'));
    garbage.listen(0, '127.0.0.1');
    await once(garbage, 'listening');
    const { port } = garbage.address() as AddressInfo;
    try {
      const { code, stderr } = await runCli([
        ...['scheduler', '--master', `127.0.0.1:${port}`, '--state-dir', path.join(directory, 'garbage')],
        ...['--artifact', 'checkout', '--etcd-binary', etcd, '--port', '0', '--master-timeout', '2s'],
      ]);
      expect([code, stderr]).toEqual([3, expect.stringContaining('no Mesos master has')]);
    } finally {
      garbage.close();
      garbage.closeAllConnections();
    }
  });

  test('with 6 where the master refuses it, after it has shown its secret', async () => {
    const secret = path.join(directory, 'secret');
    await writeFile(secret, 'hunter2\n');
    const seen: (string | undefined)[] = [];
    const master = createServer((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(401, { 'www-authenticate': 'Basic realm="mesos"' }).end();
    });
    master.listen(0, '127.0.0.1');
    await once(master, 'listening');
    const { port } = master.address() as AddressInfo;
    try {
      const { code, stdout, stderr } = await runCli([
        ...['scheduler', '--master', `127.0.0.1:${port}`, '--state-dir', path.join(directory, 'refused')],
        ...['--artifact', 'checkout', '--etcd-binary', await program('etcd', 'etcd Version: 3.5.21')],
        ...['--port', '0', '--principal', 'me', '--secret-file', secret],
      ]);
      expect([code, stderr]).toEqual([6, expect.stringContaining('401')]);
      expect(seen[0]).toBe(`Basic ${Buffer.from('me:hunter2').toString('base64')}`);
      expect(stdout + stderr).not.toContain('hunter2');
    } finally {
      master.close();
      master.closeAllConnections();
    }
  });

  test('with 9 where its tarball is not there', async () => {
    const tarball = path.join(directory, 'nothing.tar.gz');
    const { code, stderr } = await runCli([...base(), '--port', '0', '--artifact-file', tarball]);
    expect([code, stderr]).toEqual([9, expect.stringContaining(tarball)]);
  });

  test('with 0 on SIGTERM, also while it looks for a master', async () => {
    const etcd = await program('etcd', 'etcd Version: 3.5.21');
    const args = [...base(), '--artifact', 'checkout', '--etcd-binary', etcd, '--port', '0'];
    const { code, stdout } = await runCli(args, {}, { line: '"api listens"', signal: 'SIGTERM' });
    expect(code).toBe(0);
    expect(stdout).toContain('"scheduler stopped"');
  });
});
