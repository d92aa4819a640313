import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { resolveOptions } from '../../src/protocol/option-sources.ts';
import { etcdOf, memberArtifactOf } from '../../src/runtime/member-artifact.ts';

const optionsOf = (...argv: readonly string[]) =>
  resolveOptions({ argv: ['--master', 'm', ...argv], environment: {}, file: null }).options;
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
  expect(await memberArtifactOf(options, null, BASE)).toEqual({
    artifact: { kind: 'uri', uri: 'https://x/a.tar.gz', sha256: sum },
    name: `sha256:${sum}`,
    served: null,
  });
});

test('a tarball of this machine is served under its name, with its sum', async () => {
  const { artifact, served } = await memberArtifactOf(optionsOf('--artifact-file', tarball), null, BASE);
  expect(artifact).toEqual({
    kind: 'uri',
    uri: `${BASE}/v1/artifacts/a%20tarball.tar.gz`,
    sha256: sha256('bytes'),
  });
  expect([served?.name, served?.sizeBytes, served?.sha256]).toEqual(['a tarball.tar.gz', 5, sha256('bytes')]);
  expect(await new Response(served?.open()).text()).toBe('bytes');
});

test('a tarball that is not the one that was meant is refused', async () => {
  const options = optionsOf('--artifact-file', tarball, '--artifact-sha256', sha256('other'));
  await expect(memberArtifactOf(options, null, BASE)).rejects.toMatchObject({ code: 'artifact-unusable' });
  const missing = optionsOf('--artifact-file', path.join(directory, 'nothing'));
  await expect(memberArtifactOf(missing, null, BASE)).rejects.toMatchObject({ code: 'artifact-unusable' });
});

test('members of this machine run what this process runs', async () => {
  const { artifact, served } = await memberArtifactOf(
    optionsOf('--artifact', 'checkout'),
    { path: '/usr/bin/etcd', version: '3.5.21', warnings: [] },
    BASE,
  );
  expect(served).toBeNull();
  expect(artifact).toMatchObject({ kind: 'checkout', node: process.execPath, etcdBinary: '/usr/bin/etcd' });
  expect(artifact.kind === 'checkout' && artifact.entry).toMatch(/src\/cli\/main\.ts$/);
});
