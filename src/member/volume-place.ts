import { constants } from 'node:fs';
import { access, mkdir, readFile, realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { VolumeError } from './volume.ts';

/**
 * Where a volume must lie for its data to outlive the task. Mesos links it into the sandbox (posix isolation) or
 * mounts it there (linux isolation); an agent that does neither may leave a plain directory, and what is written
 * there is gone with the sandbox.
 */
export interface VolumePlace {
  /** The task's, absolute. */
  readonly sandbox: string;
  /** `sandbox`: the data is meant to lie there; its directory is made. */
  readonly storage: 'persistent' | 'sandbox';
  /** Mount points, as the kernel tells them. Default: read from the proc file system. */
  readonly mountPoints?: () => Promise<ReadonlySet<string>>;
}

/**
 * The real path of the promised volume. Rejects with a {@link VolumeError} `missing`.
 * @param place `null` where whoever calls knows that the path is the volume.
 */
export async function locateVolume(path: string, place: VolumePlace | null): Promise<string> {
  const hint = 'The task was started without its volume, or the volume’s disk is not mounted.';
  let real: string;
  try {
    if (place?.storage === 'sandbox') await mkdir(path, { recursive: true, mode: 0o700 });
    real = await realpath(path);
    if (!(await stat(real)).isDirectory())
      throw new VolumeError('missing', `${path} is not a directory`, { hint });
    await access(real, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    if (cause instanceof VolumeError) throw cause;
    throw new VolumeError('missing', `the promised volume is not at ${path}`, { cause, hint });
  }
  if (place?.storage === 'persistent' && (await endsWithTask(real, path, place))) {
    throw new VolumeError('missing', `${path} is a directory of the sandbox, and no volume`, {
      hint: 'The agent did not put the volume in its place; a pod’s task needs its isolator volume/sandbox_path.',
    });
  }
  return real;
}

async function endsWithTask(real: string, path: string, place: VolumePlace): Promise<boolean> {
  const root = executorSandbox(await realpath(place.sandbox));
  if (real !== root && !real.startsWith(`${root}/`)) return false;
  const mounts = await (place.mountPoints ?? readMountPoints)();
  return !mounts.has(real) && !mounts.has(resolve(place.sandbox, path));
}

/** A task of a pod has its sandbox in its executor's, and both end together. */
function executorSandbox(sandbox: string): string {
  return /^.*\/executors\/[^/]+\/runs\/[^/]+(?=\/|$)/.exec(sandbox)?.[0] ?? sandbox;
}

/** The fifth field of every line, in which white space is written in octal. */
async function readMountPoints(): Promise<ReadonlySet<string>> {
  const text = await readFile(join('/proc', 'self', 'mountinfo'), 'utf8');
  return new Set(
    text.split('\n').flatMap((line) => {
      const point = line.split(' ')[4];
      return point === undefined
        ? []
        : [
            point.replace(/\\([0-7]{3})/g, (_, octal: string) =>
              String.fromCharCode(Number.parseInt(octal, 8)),
            ),
          ];
    }),
  );
}
