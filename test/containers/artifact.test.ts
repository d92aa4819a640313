import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GenericContainer, type StartedTestContainer } from 'testcontainers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../../src/base/build.ts';
import { type BuiltArtifact, buildArtifact } from '../../src/runtime/artifact.ts';
import { BARE_DEBIAN, prepareBareDebian } from './bare-debian.ts';

const { missing } = await prepareBareDebian();
if (missing !== null) console.log(`skipped: ${missing}`);

describe.skipIf(missing !== null)('an artifact in a Debian that has nothing else', () => {
  let folder = '';
  let artifact: BuiltArtifact;
  let container: StartedTestContainer | null = null;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'etcd-mesos-artifact-'));
    artifact = await buildArtifact({ cacheDirectory: folder });
    container = await new GenericContainer(BARE_DEBIAN)
      .withNetworkMode('none')
      .withCommand(['sleep', 'infinity'])
      .withCopyArchivesToContainer([{ tar: createReadStream(artifact.path), target: '/srv' }])
      .start();
  });
  afterAll(async () => {
    await container?.stop({ timeout: 0 });
    await rm(folder, { recursive: true, force: true });
  });

  /** As a task runs: in its sandbox, with no variable that helps. */
  const sh = async (script: string) => {
    if (container === null) throw new Error('there is no container');
    const command = ['env', '-i', 'PATH=/usr/bin:/bin', 'sh', '-euc', script];
    return await container.exec(command, { workingDir: '/srv/etcd-mesos' });
  };

  it('finds nothing there that it brings', async () => {
    const { exitCode, output } = await sh(
      'for p in node npm etcd etcdctl; do command -v $p && exit 1; done; :',
    );
    expect({ exitCode, output }).toEqual({ exitCode: 0, output: '' });
  });

  it('runs our code on its own node', async () => {
    const { exitCode, stdout, stderr } = await sh('bin/node lib/etcd-mesos.js --version');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    for (const part of [VERSION, artifact.build, artifact.nodeVersion]) expect(stdout).toContain(part);
  });

  it('loads what a member runs, which says what it is missing', async () => {
    const { exitCode, stderr } = await sh('bin/node lib/etcd-mesos.js run-member');
    expect(stderr).toContain('run-member is started by the scheduler');
    expect(exitCode).toBe(2);
  });

  it('binds an etcd to its supervisor by what every Debian has', async () => {
    const { exitCode, output } = await sh('setpriv --pdeathsig KILL bin/etcd --version');
    expect(output).toContain(`etcd Version: ${artifact.etcdVersion}`);
    expect(exitCode).toBe(0);
  });

  it('serves through its own etcd and etcdctl', async () => {
    const { exitCode, stdout } = await sh(`
      bin/etcd --data-dir /tmp/data >/tmp/log 2>&1 & pid=$!
      export ETCDCTL_API=3
      tries=200
      until bin/etcdctl put key value >/dev/null 2>&1; do
        tries=$((tries - 1)); [ $tries -gt 0 ] || { cat /tmp/log; exit 1; }
        sleep 0.05
      done
      bin/etcdctl get --print-value-only key
      kill $pid; wait $pid || :`);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: 'value\n' });
  });
});
