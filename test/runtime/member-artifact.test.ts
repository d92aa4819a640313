import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readPin } from '../../src/protocol/artifact-pin.ts';
import { resolveOptions } from '../../src/protocol/option-sources.ts';
import { etcdOf, memberArtifactOf } from '../../src/runtime/member-artifact.ts';

const optionsOf = (...argv: readonly string[]) =>
  resolveOptions({
    argv: ['--master', 'm', '--state-dir', path.join(directory, 'state'), ...argv],
    environment: {},
    file: null,
  }).options;
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const BASE = 'http://10.0.0.1:23400';

let directory = '';
let tarball = '';
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'etcd-mesos-artifact-'));
  tarball = path.join(directory, 'a tarball.tar.gz');
  await writeFile(tarball, 'bytes');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a tarball elsewhere is named by its sum, and needs no etcd here', async () => {
  const sum = 'ab'.repeat(32);
  const options = optionsOf('--artifact-uri', 'https://x/a.tar.gz', '--artifact-sha256', sum);
  expect(await etcdOf(options)).toBeNull();
  const { artifact, name, served } = await memberArtifactOf(options, null, BASE);
  expect(artifact).toEqual({ kind: 'uri', uri: 'https://x/a.tar.gz', sha256: sum });
  expect(readPin(name)).toEqual({
    id: `sha256:${sum}`,
    etcd: null,
    source: { from: 'uri', uri: 'https://x/a.tar.gz' },
  });
  expect(served).toEqual([]);
});

test('a tarball of this machine is served under its name, with its sum', async () => {
  const { artifact, served } = await memberArtifactOf(optionsOf('--artifact-file', tarball), null, BASE);
  const [own] = served;
  expect(artifact).toEqual({
    kind: 'uri',
    uri: `${BASE}/v1/artifacts/a%20tarball.tar.gz`,
    sha256: sha256('bytes'),
  });
  expect([own?.name, own?.sizeBytes, own?.sha256]).toEqual(['a tarball.tar.gz', 5, sha256('bytes')]);
  expect(await new Response(own?.open()).text()).toBe('bytes');
});

test('a tarball of before is served on after another took its place, and after its file is gone', async () => {
  await memberArtifactOf(optionsOf('--artifact-file', tarball), null, BASE);
  const next = path.join(directory, 'next.tar.gz');
  await writeFile(next, 'other bytes');
  await rm(tarball);
  const { served, kept } = await memberArtifactOf(optionsOf('--artifact-file', next), null, BASE);
  const before = served.find((one) => one.sha256 === sha256('bytes'));
  expect(await new Response(before?.open()).text()).toBe('bytes');
  expect(kept.get(sha256('bytes'))).toBe(`${BASE}/v1/artifacts/${before?.name}`);
  expect(kept.get(sha256('other bytes'))).toBe(`${BASE}/v1/artifacts/next.tar.gz`);

  await writeFile(path.join(directory, 'state/artifacts', before?.name ?? ''), 'by');
  const damaged = await memberArtifactOf(optionsOf('--artifact-file', next), null, BASE);
  expect([...damaged.kept.keys()]).toEqual([sha256('other bytes')]);
});

test('the version of its etcd is read from the manifest of a tarball', async () => {
  await mkdir(path.join(directory, 'etcd-mesos'));
  await writeFile(path.join(directory, 'etcd-mesos/MANIFEST.json'), '{"etcd":"3.6.12"}');
  const packed = path.join(directory, 'packed.tar.gz');
  await promisify(execFile)('tar', ['-czf', packed, '-C', directory, 'etcd-mesos']);
  const { name } = await memberArtifactOf(optionsOf('--artifact-file', packed), null, BASE);
  expect(readPin(name).etcd).toBe('3.6.12');
  const options = optionsOf('--artifact-file', tarball, '--artifact-etcd-version', '3.5.30');
  expect(readPin((await memberArtifactOf(options, null, BASE)).name).etcd).toBe('3.5.30');
});

test('a tarball that is not the one that was meant is refused', async () => {
  const options = optionsOf('--artifact-file', tarball, '--artifact-sha256', sha256('other'));
  await expect(memberArtifactOf(options, null, BASE)).rejects.toMatchObject({ code: 'artifact-unusable' });
  const missing = optionsOf('--artifact-file', path.join(directory, 'nothing'));
  await expect(memberArtifactOf(missing, null, BASE)).rejects.toMatchObject({ code: 'artifact-unusable' });
});

test('members of this machine run what this process runs', async () => {
  const { artifact, name, served } = await memberArtifactOf(
    optionsOf('--artifact', 'checkout'),
    { path: '/usr/bin/etcd', version: '3.5.21', warnings: [] },
    BASE,
  );
  expect(served).toEqual([]);
  expect(readPin(name)).toMatchObject({
    etcd: '3.5.21',
    source: { from: 'checkout', node: process.execPath, etcdBinary: '/usr/bin/etcd' },
  });
  expect(artifact).toMatchObject({ kind: 'checkout', node: process.execPath, etcdBinary: '/usr/bin/etcd' });
  expect(artifact.kind === 'checkout' && artifact.entry).toMatch(/src\/cli\/main\.ts$/);
});
