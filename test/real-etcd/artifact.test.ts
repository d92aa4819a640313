import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../../src/base/build.ts';
import { type BuiltArtifact, buildArtifact } from '../../src/runtime/artifact.ts';
import { lacks } from '../needs.ts';

const run = promisify(execFile);
/** As in a sandbox that was given nothing. */
const NOTHING = { env: {} };

describe.skipIf(lacks('etcd', 'etcdctl'))('an artifact of this build, unpacked where nothing else is', () => {
  let folder = '';
  let top = '';
  let artifact: BuiltArtifact;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'artifact-real-'));
    artifact = await buildArtifact({ cacheDirectory: path.join(folder, 'cache') });
    await run('tar', ['-xf', artifact.path, '-C', folder]);
    top = path.join(folder, 'etcd-mesos');
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('runs our code on its own node', async () => {
    const entry = path.join(top, 'lib/etcd-mesos.js');
    const { stdout, stderr } = await run(path.join(top, 'bin/node'), [entry, '--version'], NOTHING);
    expect(stdout).toContain(VERSION);
    expect(stdout).toContain(artifact.build);
    expect(stdout).toContain(artifact.nodeVersion);
    expect(stderr).toBe('');
  });

  it('runs its own etcd and etcdctl', async () => {
    const etcd = await run(path.join(top, 'bin/etcd'), ['--version'], NOTHING);
    expect(etcd.stdout).toContain(`etcd Version: ${artifact.etcdVersion}`);
    const etcdctl = await run(path.join(top, 'bin/etcdctl'), ['version'], NOTHING);
    expect(etcdctl.stdout).toContain('etcdctl version: ');
  });
});
