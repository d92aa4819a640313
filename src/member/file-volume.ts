import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { describeError } from '../base/errors.ts';
import { etcdId, slotName, uint64Text } from '../protocol/identifiers.ts';
import { DRAFT_SUFFIX, replaceFile, syncDirectory } from './durable-file.ts';
import { type MemberVolume, type StoredIdentity, VolumeError } from './volume.ts';
import { locateVolume, type VolumePlace } from './volume-place.ts';

/** Files of a volume are some hundred bytes; one that is larger was not written by us. */
const FILE_BYTES_MAX = 16 * 1024;

const position = z.strictObject({ term: uint64Text, index: uint64Text });
const fenceSchema = z.strictObject({ epoch: z.number().int().min(0), generation: z.number().int().min(0) });
const ownerSchema = z.strictObject({
  volumeId: z.string(),
  cluster: z.string(),
  slot: slotName,
  /** On a member's one volume, or the one of its data: the volume of its log. */
  walVolumeId: z.string().optional(),
  /** On the volume of a log: the volume of the data. */
  dataVolumeId: z.string().optional(),
});
type StoredOwner = z.infer<typeof ownerSchema>;
const logSchema = z.strictObject({ attempt: z.number().int().min(1), token: z.string().min(1) });
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
export function createFileVolume(path: string, options: FileVolumeOptions = {}): MemberVolume {
  const { walPath = null, place = null } = options;
  let root = path;
  let walRoot = walPath;
  const directoryOf = (epoch: number) => join(root, `epoch-${epoch}`);
  const dataOf = (epoch: number) => join(directoryOf(epoch), 'data');
  const identityOf = (epoch: number) => join(directoryOf(epoch), 'identity.json');
  const readIdentityOf = async (epoch: number) => await readJson(identityOf(epoch), identitySchema);
  const createLog = async ({ epoch, attempt, token }: StoredIdentity): Promise<void> => {
    if (walRoot === null) return;
    const directory = logHome(walRoot, epoch);
    await emptyDirectory(directory);
    await writeJson(directory, 'log.json', logSchema.parse({ attempt, token }));
    await syncDirectory(walRoot);
  };
  return {
    open: async ({ volumeId, walVolumeId, cluster, slot }) => {
      root = await locateVolume(path, place);
      // The log's first: the other one names it, and says from then on that there must be one.
      if (walPath !== null && walVolumeId !== null) {
        walRoot = await locateVolume(walPath, place);
        await claim(walRoot, { volumeId: walVolumeId, cluster, slot, dataVolumeId: volumeId });
      }
      await claim(root, { volumeId, cluster, slot, ...(walVolumeId === null ? {} : { walVolumeId }) });
    },
    readFence: async () => await readJson(join(root, 'fence.json'), fenceSchema),
    writeFence: async (fence) => await writeJson(root, 'fence.json', fenceSchema.parse(fence)),
    readIdentity: async () => {
      for (const epoch of await epochsIn(root)) {
        const identity = await readIdentityOf(epoch);
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
        await createLog(identity);
        await emptyDirectory(directory);
        await mkdir(dataOf(identity.epoch), { mode: 0o700 });
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
        if (walRoot === null)
          return (await exists(join(dataOf(epoch), 'member', 'wal'))) ? 'present' : 'empty';
        return await stateWithLog(walRoot, {
          epoch,
          identity: await readIdentityOf(epoch),
          hasMember: names.includes('member'),
          hasLogBeside: await exists(join(dataOf(epoch), 'member', 'wal')),
        });
      }),
    dataDirectory: (epoch) => dataOf(epoch),
    logDirectory: (epoch) => (walRoot === null ? null : logOf(walRoot, epoch)),
  };
}

export interface FileVolumeOptions {
  /** Of the volume for etcd's log, absolute. Default: it lies with the data. */
  readonly walPath?: string;
  /** Where the volumes must lie. Default: anywhere. */
  readonly place?: VolumePlace;
}

const logHome = (walRoot: string, epoch: number): string => join(walRoot, `epoch-${epoch}`);
const logOf = (walRoot: string, epoch: number): string => join(logHome(walRoot, epoch), 'wal');

/** The log counts only where it is the one that was made for this very data. */
async function stateWithLog(
  walRoot: string,
  data: {
    readonly epoch: number;
    readonly identity: StoredIdentity | null;
    readonly hasMember: boolean;
    readonly hasLogBeside: boolean;
  },
): Promise<'absent' | 'empty' | 'present'> {
  const { epoch, identity, hasMember, hasLogBeside } = data;
  const log = logOf(walRoot, epoch);
  if (hasLogBeside) {
    throw new VolumeError(
      'corrupt',
      `a log lies beside the database of epoch ${epoch}, which has its own at ${log}`,
    );
  }
  const mark = await readJson(join(logHome(walRoot, epoch), 'log.json'), logSchema);
  if (mark === null || mark.attempt !== identity?.attempt || mark.token !== identity.token) return 'absent';
  if (!(await exists(log))) return 'empty';
  if (hasMember) return 'present';
  throw new VolumeError('corrupt', `${log} is the log of a database that is not there`);
}

async function emptyDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { mode: 0o700 });
}

async function claim(root: string, owner: StoredOwner): Promise<void> {
  const file = join(root, 'volume.json');
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
  for (const key of ['volumeId', 'cluster', 'slot', 'walVolumeId', 'dataVolumeId'] as const) {
    if (known[key] !== owner[key]) {
      const [is, meant] = [known[key] ?? 'none', owner[key] ?? 'none'];
      throw new VolumeError('foreign', `the volume belongs to ${key} ${is}, not to ${meant}`);
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
