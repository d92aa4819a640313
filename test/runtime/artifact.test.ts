import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildArtifact } from '../../src/runtime/artifact.ts';

const run = promisify(execFile);

let folder = '';
let parts = { node: '', etcd: '', etcdctl: '', code: '' };
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'artifact-test-'));
  parts = {
    node: await program('node', `echo '["v24.21.0",false]'`),
    etcd: await program('etcd', 'echo "etcd Version: 3.6.12"'),
    etcdctl: await program('etcdctl', 'echo "etcdctl version: 3.6.12"'),
    code: path.join(folder, 'code'),
  };
  await mkdir(path.join(parts.code, 'chunks'), { recursive: true });
  await writeFile(path.join(parts.code, 'package.json'), '{"version":"1.2.3","build":"abc"}');
  await writeFile(path.join(parts.code, 'etcd-mesos.js'), 'entry');
  await writeFile(path.join(parts.code, 'etcd-mesos.js.map'), 'map');
  await writeFile(path.join(parts.code, 'chunks/main.js'), 'chunk');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function program(name: string, body: string): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, `#!/bin/sh\n${body}\n`);
  await chmod(file, 0o755);
  return file;
}

const cache = (name: string): string => path.join(folder, name);

describe('buildArtifact', () => {
  it('says what to do where there is no place for it', async () => {
    await writeFile(cache('taken'), '');
    await expect(buildArtifact({ cacheDirectory: cache('taken/artifacts'), ...parts })).rejects.toMatchObject(
      {
        code: 'pack-failed',
        hint: expect.stringContaining('--state-dir') as string,
      },
    );
  });

  it('packs programs, code and a manifest under one folder', async () => {
    const artifact = await buildArtifact({ cacheDirectory: cache('a'), ...parts });
    expect(path.basename(artifact.path)).toBe(`etcd-mesos-1.2.3-${artifact.sha256.slice(0, 16)}.tar.gz`);
    expect(artifact).toMatchObject({ etcdVersion: '3.6.12', nodeVersion: 'v24.21.0', build: 'abc' });
    const { stdout: sum } = await run('sha256sum', [artifact.path]);
    expect(sum.slice(0, 64)).toBe(artifact.sha256);
    const { stdout: names } = await run('tar', ['-tzf', artifact.path]);
    expect(names.trim().split('\n')).toEqual([
      'etcd-mesos/',
      'etcd-mesos/MANIFEST.json',
      'etcd-mesos/bin/',
      'etcd-mesos/bin/etcd',
      'etcd-mesos/bin/etcdctl',
      'etcd-mesos/bin/node',
      'etcd-mesos/lib/',
      'etcd-mesos/lib/chunks/',
      'etcd-mesos/lib/chunks/main.js',
      'etcd-mesos/lib/etcd-mesos.js',
      'etcd-mesos/lib/package.json',
    ]);
  });

  it('names in the manifest the hash of every file that it packs', async () => {
    const artifact = await buildArtifact({ cacheDirectory: cache('a'), ...parts });
    await run('tar', ['-xzf', artifact.path, '-C', folder]);
    const top = path.join(folder, 'etcd-mesos');
    const manifest = JSON.parse(await readFile(path.join(top, 'MANIFEST.json'), 'utf8'));
    expect(manifest.files).toHaveLength(6);
    for (const file of manifest.files) {
      const { stdout: sum } = await run('sha256sum', [path.join(top, file.path)]);
      expect(sum.slice(0, 64)).toBe(file.sha256);
    }
  });

  it('gives equal bytes for equal contents, whatever the times and modes of the files', async () => {
    const first = await buildArtifact({ cacheDirectory: cache('a'), ...parts });
    await chmod(path.join(parts.code, 'chunks/main.js'), 0o600);
    await rm(path.join(parts.code, 'etcd-mesos.js'));
    await writeFile(path.join(parts.code, 'etcd-mesos.js'), 'entry', { mode: 0o755 });
    const second = await buildArtifact({ cacheDirectory: cache('b'), ...parts });
    expect(second.sha256).toBe(first.sha256);
    expect(await readFile(second.path)).toEqual(await readFile(first.path));
  });

  it('finds again what it packed, and leaves nothing else behind', async () => {
    const first = await buildArtifact({ cacheDirectory: cache('a'), ...parts });
    const before = await readdir(cache('a'));
    expect(await buildArtifact({ cacheDirectory: cache('a'), ...parts })).toEqual(first);
    expect(await readdir(cache('a'))).toEqual(before);
    expect(before).toHaveLength(2);
  });

  it('keeps the old archive when the contents change', async () => {
    const first = await buildArtifact({ cacheDirectory: cache('a'), ...parts });
    await writeFile(path.join(parts.code, 'chunks/main.js'), 'another chunk');
    const second = await buildArtifact({ cacheDirectory: cache('a'), ...parts });
    expect(second.sha256).not.toBe(first.sha256);
    expect(await readdir(cache('a'))).toContain(path.basename(first.path));
  });

  it('packs anew when the archive that it kept is damaged', async () => {
    const first = await buildArtifact({ cacheDirectory: cache('a'), ...parts });
    await writeFile(first.path, 'damaged');
    const second = await buildArtifact({ cacheDirectory: cache('a'), ...parts });
    expect(second).toEqual(first);
    const { stdout: sum } = await run('sha256sum', [second.path]);
    expect(sum.slice(0, 64)).toBe(first.sha256);
  });
});

describe('buildArtifact refuses', () => {
  it.for([
    {
      what: 'a folder without a build',
      change: () => rm(parts.code, { recursive: true }),
      code: 'code-missing',
    },
    { what: 'a program that is not there', change: () => rm(parts.etcd), code: 'program-missing' },
    {
      what: 'a program that fails',
      change: () => program('etcdctl', 'exit 3'),
      code: 'program-unsuitable',
    },
    {
      what: 'a node that needs a shared library of its own',
      change: () => program('node', `echo '["v24.21.0",true]'`),
      code: 'program-unsuitable',
    },
    {
      what: 'a node that is too old',
      change: () => program('node', `echo '["v20.20.2",false]'`),
      code: 'program-unsuitable',
    },
    {
      what: 'an etcd with a defect that loses data',
      change: () => program('etcd', 'echo "etcd Version: 3.5.2"'),
      code: 'program-unsuitable',
    },
    {
      what: 'what is no etcd',
      change: () => program('etcd', 'echo hello'),
      code: 'unparsable',
    },
  ])('$what', async ({ change, code }) => {
    await change();
    await expect(buildArtifact({ cacheDirectory: cache('a'), ...parts })).rejects.toMatchObject({
      code,
      hint: expect.stringMatching(/\w/),
    });
    expect(await readdir(cache('a'))).toEqual([]);
  });
});
