import { constants } from 'node:fs';
import { access, mkdir, readdir, readFile, realpath, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { describeError } from '../base/errors.ts';
import { etcdId, slotName, uint64Text } from '../protocol/identifiers.ts';
import { DRAFT_SUFFIX, replaceFile, syncDirectory } from './durable-file.ts';
import { type MemberVolume, type StoredIdentity, VolumeError, type VolumeOwner } from './volume.ts';

/** Files of a volume are some hundred bytes; one that is larger was not written by us. */
const FILE_BYTES_MAX = 16 * 1024;

const position = z.strictObject({ term: uint64Text, index: uint64Text });
const fenceSchema = z.strictObject({ epoch: z.number().int().min(0), generation: z.number().int().min(0) });
const ownerSchema = z.strictObject({ volumeId: z.string(), cluster: z.string(), slot: slotName });
const identitySchema = z.strictObject({
  slot: slotName,
  cluster: z.string(),
  epoch: z.number().int().min(1),
  attempt: z.number().int().min(1),
  token: z.string().min(1),
  started: z.boolean(),
  removed: z.boolean(),
  clusterId: etcdId.nullable(),
  memberId: etcdId.nullable(),
});

/**
 * The volume on a file system. Every file is one line of JSON, written beside its name, synced, renamed and the
 * directory synced; so a crash leaves the old or the new one, and a reader accepts nothing in between.
 * @param path of the volume as Mesos mounts or links it into the sandbox, absolute.
 */
export function createFileVolume(path: string): MemberVolume {
  let root = path;
  const directoryOf = (epoch: number) => join(root, `epoch-${epoch}`);
  const dataOf = (epoch: number) => join(directoryOf(epoch), 'data');
  const identityOf = (epoch: number) => join(directoryOf(epoch), 'identity.json');
  return {
    open: async (owner) => {
      root = await locate(path);
      await claim(join(root, 'volume.json'), root, owner);
    },
    readFence: async () => await readJson(join(root, 'fence.json'), fenceSchema),
    writeFence: async (fence) => await writeJson(root, 'fence.json', fenceSchema.parse(fence)),
    readIdentity: async () => {
      for (const epoch of await epochsIn(root)) {
        const identity = await readJson(identityOf(epoch), identitySchema);
        if (identity === null) continue;
        if (identity.epoch === epoch) return identity;
        throw new VolumeError('corrupt', `${identityOf(epoch)} names epoch ${identity.epoch}`);
      }
      return null;
    },
    createData: async (identity) => {
      const directory = directoryOf(identity.epoch);
      await io(directory, async () => {
        // The identity goes first: what is left without one is nobody's, whenever this is interrupted.
        await rm(identityOf(identity.epoch), { force: true });
        if (await exists(directory)) await syncDirectory(directory);
        await rm(directory, { recursive: true, force: true });
        await mkdir(dataOf(identity.epoch), { recursive: true, mode: 0o700 });
        await syncDirectory(directory);
        await syncDirectory(root);
      });
      await writeIdentity(directory, identity);
    },
    writeIdentity: async (identity) => await writeIdentity(directoryOf(identity.epoch), identity),
    readFloor: async (epoch) => await readJson(join(directoryOf(epoch), 'floor.json'), position),
    writeFloor: async (epoch, floor) =>
      await writeJson(directoryOf(epoch), 'floor.json', position.parse(floor)),
    dataState: async (epoch) =>
      await io(dataOf(epoch), async () => {
        if (!(await exists(dataOf(epoch)))) return 'absent';
        const names = await readdir(dataOf(epoch));
        const foreign = names.find((name) => name !== 'member');
        if (foreign !== undefined) {
          throw new VolumeError('corrupt', `${dataOf(epoch)} holds ${foreign}, which is not etcd's`);
        }
        return (await exists(join(dataOf(epoch), 'member', 'wal'))) ? 'present' : 'empty';
      }),
    dataDirectory: (epoch) => dataOf(epoch),
  };
}

/** Mesos makes the volume's directory, or the link to it, before the task starts: nobody else may. */
async function locate(path: string): Promise<string> {
  const hint = 'The task was started without its volume, or the volume’s disk is not mounted.';
  let real: string;
  try {
    real = await realpath(path);
    if (!(await stat(real)).isDirectory())
      throw new VolumeError('missing', `${path} is not a directory`, { hint });
    await access(real, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    if (cause instanceof VolumeError) throw cause;
    throw new VolumeError('missing', `the promised volume is not at ${path}`, { cause, hint });
  }
  return real;
}

async function claim(file: string, root: string, owner: VolumeOwner): Promise<void> {
  const known = await readJson(file, ownerSchema);
  if (known === null) {
    const names = (await io(root, async () => await readdir(root))).filter((name) => !isOurs(name));
    if (names.length > 0) {
      throw new VolumeError('foreign', `the volume holds what is not ours: ${names.slice(0, 5).join(', ')}`, {
        hint: 'Look at what it is; a volume of this framework is made empty by Mesos.',
      });
    }
    await writeJson(root, 'volume.json', ownerSchema.parse(owner));
    return;
  }
  for (const key of ['volumeId', 'cluster', 'slot'] as const) {
    if (known[key] !== owner[key]) {
      throw new VolumeError('foreign', `the volume belongs to ${key} ${known[key]}, not to ${owner[key]}`);
    }
  }
}

/** A file system of its own has this at its root; a crash at the first use may leave our temporary file. */
function isOurs(name: string): boolean {
  return name === 'lost+found' || name.endsWith(DRAFT_SUFFIX);
}

/** Newest first. */
async function epochsIn(root: string): Promise<readonly number[]> {
  const names = await io(root, async () => await readdir(root));
  return names
    .flatMap((name) => /^epoch-([1-9]\d{0,8})$/.exec(name)?.[1] ?? [])
    .map(Number)
    .toSorted((left, right) => right - left);
}

async function writeIdentity(directory: string, identity: StoredIdentity): Promise<void> {
  await writeJson(directory, 'identity.json', identitySchema.parse(identity));
}

async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T | null> {
  const bytes = await io(file, async () => {
    if (!(await exists(file))) return null;
    if ((await stat(file)).size > FILE_BYTES_MAX) throw new VolumeError('corrupt', `${file} is too large`);
    return await readFile(file);
  });
  if (bytes === null) return null;
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new VolumeError('corrupt', `${file} is not JSON`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new VolumeError('corrupt', `${file} is malformed: ${z.prettifyError(parsed.error)}`);
}

async function writeJson(directory: string, name: string, value: unknown): Promise<void> {
  const file = join(directory, name);
  await io(file, async () => await replaceFile(file, `${JSON.stringify(value)}\n`));
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Runs file system calls; what they throw becomes a {@link VolumeError}. */
async function io<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof VolumeError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['ENOSPC', 'EDQUOT'].includes(code)) {
      throw new VolumeError('full', `no space left for ${path}`, {
        cause: error,
        hint: 'Free space on the agent’s disk, or give members a larger one.',
      });
    }
    if (code === 'ENOENT') throw new VolumeError('missing', `${path} has vanished`, { cause: error });
    throw new VolumeError('io', `${path}: ${describeError(error)}`, { cause: error });
  }
}
