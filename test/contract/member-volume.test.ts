import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { DRAFT_SUFFIX } from '../../src/member/durable-file.ts';
import { createFileVolume } from '../../src/member/file-volume.ts';
import { createMemoryDisk } from '../sim/memory-volume.ts';
import { identity, memberVolumeContract, owner } from './member-volume.ts';

const directories: string[] = [];
const freshDirectory = async () => {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-volume-'));
  directories.push(directory);
  return directory;
};
afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
});

describe('on the file system', () => {
  memberVolumeContract(async () => {
    const directory = await freshDirectory();
    return {
      connect: () => createFileVolume(directory),
      fillData: async (volume, epoch) =>
        void (await mkdir(join(volume.dataDirectory(epoch), 'member', 'wal'), { recursive: true })),
      lose: async () => await rm(directory, { recursive: true }),
      spoilFence: async () => await writeFile(join(directory, 'fence.json'), '{'),
    };
  });

  describe('with the log on a volume of its own', () => {
    const withLog = { ...owner, walVolumeId: 'volume-1-wal' };

    memberVolumeContract(async () => {
      const [directory, walPath] = [await freshDirectory(), await freshDirectory()];
      return {
        owner: withLog,
        connect: () => createFileVolume(directory, { walPath }),
        fillData: async (volume, epoch) => {
          await mkdir(volume.logDirectory(epoch) ?? '');
          await mkdir(join(volume.dataDirectory(epoch), 'member'));
        },
        lose: async () => await rm(directory, { recursive: true }),
        spoilFence: async () => await writeFile(join(directory, 'fence.json'), '{'),
      };
    });

    test('neither volume is taken beside another', async () => {
      const [data, log, other] = [await freshDirectory(), await freshDirectory(), await freshDirectory()];
      await createFileVolume(data, { walPath: log }).open(withLog);
      for (const [path, walPath, as] of [
        [data, other, { ...withLog, walVolumeId: 'volume-9-wal' }],
        [other, log, { ...withLog, volumeId: 'volume-9' }],
      ] as const) {
        await expect(createFileVolume(path, { walPath }).open(as)).rejects.toMatchObject({ code: 'foreign' });
      }
      await expect(createFileVolume(data).open(owner)).rejects.toMatchObject({ code: 'foreign' });
    });
  });

  test('must be linked or mounted into the sandbox where it is to outlive the task', async () => {
    const agent = await freshDirectory();
    const run = join(agent, 'slaves', 'S', 'frameworks', 'F', 'executors', 'E', 'runs', 'R');
    const sandbox = join(run, 'tasks', 'T');
    await mkdir(join(sandbox, 'plain'), { recursive: true });
    await mkdir(join(run, 'beside'));
    await mkdir(join(agent, 'volumes', 'v'), { recursive: true });
    await symlink(join(agent, 'volumes', 'v'), join(sandbox, 'linked'));
    await symlink(join(run, 'beside'), join(sandbox, 'beside'));
    const mounted = new Set([join(sandbox, 'plain')]);
    const open = async (name: string, mountPoints: ReadonlySet<string> = new Set()) =>
      await createFileVolume(join(sandbox, name), {
        place: { sandbox, storage: 'persistent', mountPoints: async () => mountPoints },
      }).open(owner);
    await open('linked');
    await expect(open('plain')).rejects.toMatchObject({ code: 'missing' });
    await expect(open('beside')).rejects.toMatchObject({ code: 'missing' });
    await open('plain', mounted);
    const place = { sandbox, storage: 'sandbox' } as const;
    await createFileVolume(join(sandbox, 'made'), { place }).open(owner);
  });

  test('a link is followed, a path that nobody made or a file is no volume', async () => {
    const directory = await freshDirectory();
    await mkdir(join(directory, 'real'));
    await symlink(join(directory, 'real'), join(directory, 'link'));
    await createFileVolume(join(directory, 'link')).open(owner);
    await createFileVolume(join(directory, 'real')).open(owner);
    await writeFile(join(directory, 'file'), '');
    for (const name of ['absent', 'file']) {
      await expect(createFileVolume(join(directory, name)).open(owner)).rejects.toMatchObject({
        code: 'missing',
      });
    }
  });

  test('a directory with somebody else’s files is not taken', async () => {
    const directory = await freshDirectory();
    await writeFile(join(directory, 'precious'), 'data');
    await expect(createFileVolume(directory).open(owner)).rejects.toMatchObject({
      code: 'foreign',
      message: expect.stringContaining('precious'),
    });
  });

  test.for(['', '{', '{}', '{"epoch":1}', '{"epoch":1,"generation":2,"more":3}', '\u0000'])(
    'a fence file that holds %j is an error, never absent',
    async (text) => {
      const directory = await freshDirectory();
      const volume = createFileVolume(directory);
      await volume.open(owner);
      await writeFile(join(directory, 'fence.json'), text);
      await expect(volume.readFence()).rejects.toMatchObject({ code: 'corrupt' });
    },
  );

  test('an epoch’s directory without an identity is nobody’s', async () => {
    const directory = await freshDirectory();
    const volume = createFileVolume(directory);
    await volume.open(owner);
    await volume.createData(identity);
    await mkdir(join(directory, 'epoch-2', 'data'), { recursive: true });
    expect(await volume.readIdentity()).toMatchObject({ epoch: 1 });
  });

  test('an etcd that wrote no log leaves no data, other files are not taken for any', async () => {
    const directory = await freshDirectory();
    const volume = createFileVolume(directory);
    await volume.open(owner);
    await volume.createData(identity);
    await mkdir(join(volume.dataDirectory(1), 'member', 'snap'), { recursive: true });
    expect(await volume.dataState(1)).toBe('empty');
    await writeFile(join(volume.dataDirectory(1), 'notes.txt'), '');
    await expect(volume.dataState(1)).rejects.toMatchObject({ code: 'corrupt' });
  });
});

test('a full file system is told, and what was there stays', async () => {
  const directory = await freshDirectory();
  const volume = createFileVolume(directory);
  await volume.open(owner);
  await volume.writeFence({ epoch: 1, generation: 1 });
  // What is written beside the name goes to a device that has no room, ever.
  const draft = join(directory, `fence.json${DRAFT_SUFFIX}`);
  await symlink('/dev/full', draft);
  await expect(volume.writeFence({ epoch: 1, generation: 2 })).rejects.toMatchObject({ code: 'full' });
  expect(await volume.readFence()).toEqual({ epoch: 1, generation: 1 });
  await rm(draft);
  await volume.writeFence({ epoch: 1, generation: 3 });
  expect(await volume.readFence()).toEqual({ epoch: 1, generation: 3 });
});

describe('in memory', () => {
  memberVolumeContract(async () => {
    const disk = createMemoryDisk();
    return {
      connect: () => disk.connect(),
      fillData: async (_volume, epoch) => disk.setData(epoch, 'present'),
      lose: async () => disk.lose(),
      spoilFence: async () => disk.corrupt(),
    };
  });

  test('a full disk, and one restored from an old copy', async () => {
    const disk = createMemoryDisk();
    const volume = disk.connect();
    await volume.open(owner);
    await volume.createData(identity);
    await volume.writeFloor(1, { term: '1', index: '5' });
    const copy = disk.copy();
    await volume.writeFloor(1, { term: '1', index: '9' });
    disk.restore(copy);
    expect(await volume.readFloor(1)).toEqual({ term: '1', index: '5' });
    disk.setFull(true);
    await expect(volume.writeFence({ epoch: 1, generation: 1 })).rejects.toMatchObject({ code: 'full' });
  });
});
