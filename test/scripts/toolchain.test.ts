import { execFile } from 'node:child_process';
import { appendFile, chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { projectRoot } from '../tidy/project-files.ts';

/*
 * scripts/lib/toolchain.sh on a machine that is made of fakes: PATH holds a few real tools and the programs that
 * each test puts there. Every fake writes what it was called with into `calls`.
 */

const TOOLS = ['cat', 'cut', 'dirname', 'env', 'head', 'mkdir', 'mv', 'rm', 'sed', 'sh', 'sha256sum', 'sort'];
const PINNED = { node: '24.21.0', npm: '12.2.0' };

let folder = '';
let programs = '';
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'toolchain-test-'));
  programs = path.join(folder, 'programs');
  await mkdir(programs);
  for (const tool of [...TOOLS, 'tail', 'uname', 'chmod']) {
    await symlink(`/usr/bin/${tool}`, path.join(programs, tool));
  }
  await cp(path.join(projectRoot, 'scripts/lib'), path.join(folder, 'scripts/lib'), { recursive: true });
  await writeFile(
    path.join(folder, 'scripts/prepare'),
    '#!/bin/sh\nset -eu\n. "$(dirname "$0")/lib/toolchain.sh"\nprepare\nnode --version\n',
  );
  await writeFile(path.join(folder, 'package-lock.json'), '{}');
  await writeFile(path.join(folder, '.npmrc'), '');
  await writeFile(
    path.join(folder, 'package.json'),
    JSON.stringify(
      {
        packageManager: `npm@${PINNED.npm}`,
        engines: { node: '>=22.22' },
        allowScripts: { node: true },
        devDependencies: { node: PINNED.node },
      },
      null,
      2,
    ),
  );
  await fake('setpriv', ':');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function fake(name: string, body: string): Promise<void> {
  const file = path.join(programs, name);
  await writeFile(file, `#!/bin/sh\necho "${name} $*" >>'${folder}/calls'\n${body}\n`);
  await chmod(file, 0o755);
}

/** Programs of this name appear where npm puts them, and say which version they are. */
const npmInstalling = `
case $1 in
install | ci)
  mkdir -p node_modules/.bin
  printf '#!/bin/sh\\necho v${PINNED.node}\\n' >node_modules/.bin/node
  chmod +x node_modules/.bin/node
  ;;
esac`;

async function haveEtcd(): Promise<void> {
  await fake('etcd', ':');
  await fake('etcdctl', ':');
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function prepare(): Promise<Outcome> {
  const options = { env: { PATH: programs }, timeout: 15_000 };
  return new Promise((resolve) => {
    execFile('/bin/sh', [path.join(folder, 'scripts/prepare')], options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
    );
  });
}

const calls = (): Promise<string> => readFile(path.join(folder, 'calls'), 'utf8').catch(() => '');

describe('Debian’s packages', () => {
  it('are asked of a person with the line to type, where nobody may install them', async () => {
    await fake('id', 'echo 1000');
    await fake('apt-get', 'exit 100');
    const outcome = await prepare();
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(
      /su -c 'apt-get update && apt-get install -y --no-install-recommends npm etcd-server etcd-client'/,
    );
    expect(await calls()).not.toContain('apt-get');
  });

  it('are asked of a person where sudo wants a password', async () => {
    await fake('id', 'echo 1000');
    await fake('apt-get', ':');
    await fake('sudo', 'exit 1');
    expect(await prepare()).toMatchObject({ code: 1 });
    expect(await calls()).not.toContain('apt-get');
  });

  it('are installed by root, only those that are missing', async () => {
    await fake('id', 'echo 0');
    await fake('npm', npmInstalling);
    await fake('etcdctl', ':');
    await fake('apt-get', ':');
    expect(await prepare()).toMatchObject({ code: 0 });
    expect(await calls()).toContain('apt-get update\n');
    expect(await calls()).toContain('apt-get install -y --no-install-recommends etcd-server\n');
  });

  it('are installed through sudo where it asks for nothing', async () => {
    await fake('id', 'echo 1000');
    await fake('npm', npmInstalling);
    await fake('etcd', ':');
    await fake('sudo', 'shift; "$@"');
    await fake('apt-get', ':');
    expect(await prepare()).toMatchObject({ code: 0 });
    expect(await calls()).toContain('apt-get install -y --no-install-recommends etcd-client\n');
  });

  it('show what apt-get said when it fails, and the line to try', async () => {
    await fake('id', 'echo 0');
    await fake('apt-get', 'echo "E: no network" >&2; exit 100');
    const outcome = await prepare();
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toContain('E: no network');
    expect(outcome.stderr).toContain('apt-get update && apt-get install');
  });

  it('are named where there is no apt-get', async () => {
    const outcome = await prepare();
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toContain('npm etcd-server etcd-client');
    expect(outcome.stderr).toContain('no apt-get');
  });
});

describe('node', () => {
  beforeEach(haveEtcd);

  it.for(['v18.20.4', 'v20.19.2', 'v22.21.9'])('%s is too old: ours is installed', async (version) => {
    await fake('npm', npmInstalling);
    await fake('node', `echo ${version}`);
    expect(await prepare()).toMatchObject({ code: 0, stdout: `v${PINNED.node}\n` });
    const toolchain = path.join(folder, '.cache/toolchain/package.json');
    expect(JSON.parse(await readFile(toolchain, 'utf8'))).toMatchObject({
      allowScripts: { node: true },
      dependencies: PINNED,
    });
  });

  it.for(['v22.22.0', 'v22.100.1', 'v24.0.0'])('%s is new enough', async (version) => {
    await fake('npm', npmInstalling);
    await fake('node', `echo ${version}`);
    expect(await prepare()).toMatchObject({ code: 0 });
    expect(await calls()).not.toContain('npm install');
  });

  it('says what npm said when it cannot be installed', async () => {
    await fake('npm', 'echo "404 no such package" >&2; exit 1');
    const outcome = await prepare();
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toContain('404 no such package');
  });

  it('is refused when what npm brought does not run', async () => {
    await fake('npm', 'mkdir -p node_modules');
    const outcome = await prepare();
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toContain('does not run here');
  });
});

describe('the locked packages', () => {
  beforeEach(async () => {
    await haveEtcd();
    await fake('npm', npmInstalling);
  });
  const installs = async (): Promise<number> => (await calls()).split('npm ci').length - 1;

  it('are installed once', async () => {
    expect(await prepare()).toMatchObject({ code: 0 });
    expect(await prepare()).toMatchObject({ code: 0, stderr: '' });
    expect(await installs()).toBe(1);
  });

  it('are installed again when the lockfile changes', async () => {
    await prepare();
    await appendFile(path.join(folder, 'package-lock.json'), '\n');
    await prepare();
    expect(await installs()).toBe(2);
  });

  it('are installed again when they are gone', async () => {
    await prepare();
    await rm(path.join(folder, 'node_modules'), { recursive: true });
    await prepare();
    expect(await installs()).toBe(2);
  });

  it('are tried again after a failure', async () => {
    await fake('npm', `${npmInstalling}\nif [ $1 = ci ]; then echo "integrity" >&2; exit 1; fi`);
    const outcome = await prepare();
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toContain('integrity');
    await fake('npm', npmInstalling);
    expect(await prepare()).toMatchObject({ code: 0 });
    expect(await installs()).toBe(2);
  });
});
