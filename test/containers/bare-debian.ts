import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ContainerRuntimeClient, getContainerRuntimeClient } from 'testcontainers';

// The container that sweeps up after others would come from a registry: tests end what they start.
process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';
// Nothing is reached over a network, so no bridge is looked for to learn the engine's address.
process.env['TESTCONTAINERS_HOST_OVERRIDE'] ??= '127.0.0.1';

const run = promisify(execFile);

const SUITE = 'bookworm';
const DEBOOTSTRAP_MS_MAX = 15 * 60_000;
/** Kept by the engine: made once a machine. `docker image rm` of it makes the next run make it anew. */
export const BARE_DEBIAN = `etcd-mesos-test/bare-debian:${SUITE}`;

/** The container engine with a minimal Debian in it, or why there is none. */
export type BareDebian = { readonly missing: string } | { readonly missing: null };

/** Makes the image where it is not there yet: by debootstrap, so no registry is asked for anything. */
export async function prepareBareDebian(): Promise<BareDebian> {
  let engine: ContainerRuntimeClient;
  try {
    engine = await getContainerRuntimeClient();
  } catch {
    return { missing: 'no container engine answers; name one with DOCKER_HOST' };
  }
  if (await hasImage(engine)) return { missing: null };
  if (process.getuid?.() !== 0) return { missing: 'making a bare Debian needs root' };
  if (!(await succeeds('debootstrap', ['--version']))) {
    return { missing: 'debootstrap is missing: apt-get install debootstrap' };
  }
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-debian-'));
  try {
    await run('debootstrap', ['--variant=minbase', SUITE, directory, await mirror()], {
      maxBuffer: 64 * 1024 * 1024,
      timeout: DEBOOTSTRAP_MS_MAX,
    });
    await importImage(engine, directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return { missing: null };
}

async function hasImage({ container }: ContainerRuntimeClient): Promise<boolean> {
  return await container.dockerode
    .getImage(BARE_DEBIAN)
    .inspect()
    .then(
      () => true,
      () => false,
    );
}

/** The one that this machine's apt uses. */
async function mirror(): Promise<string> {
  const format = ['--format', '$(REPO_URI)', 'Created-By: Packages'];
  const { stdout } = await run('apt-get', ['indextargets', ...format]);
  const found = stdout.split('\n').find((line) => line.endsWith('/debian/'));
  if (found === undefined) throw new Error('apt names no mirror of Debian');
  return found;
}

async function importImage({ container }: ContainerRuntimeClient, directory: string): Promise<void> {
  const [repo, tag] = BARE_DEBIAN.split(':');
  const tar = spawn('tar', ['--create', '--numeric-owner', `--directory=${directory}`, '.'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const progress = await container.dockerode.importImage(tar.stdout, { repo, tag });
  await new Promise<void>((resolve, reject) => {
    container.dockerode.modem.followProgress(progress, (error) =>
      error === null ? resolve() : reject(error),
    );
  });
}

async function succeeds(program: string, args: readonly string[]): Promise<boolean> {
  return await run(program, [...args]).then(
    () => true,
    () => false,
  );
}
