import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { takeFull } from '../../src/backup/full.ts';
import { sealedStore } from '../../src/backup/sealed-store.ts';
import { openDirectoryArchiveStore } from '../../src/runtime/directory-archive-store.ts';
import { createFakeMember } from '../backup/fake-member.ts';
import { keyOf } from '../backup/sample-key.ts';
import { never, sampleArchive, sampleRevisions, sampleWriter } from '../backup/sample-log.ts';
import { clock } from '../wait.ts';
import { runCli } from './run-cli.ts';

describe('backup', () => {
  let directory = '';
  let full = '';
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-archive-'));
    const place = await sampleArchive(await openDirectoryArchiveStore(directory));
    const member = createFakeMember();
    member.write(10);
    const log = await sampleWriter(place, 3, { segmentBytesMax: 2000 });
    await log.skip({ reason: 'begin', from: '1', to: '11' });
    await log.write({ atMs: 5, leases: [], revisions: sampleRevisions(12n, 40n) });
    await log.write({ atMs: 6, leases: [], revisions: sampleRevisions(41n, 60n) });
    await log.skip({ reason: 'compacted', from: '61', to: '70' });
    await log.write({ atMs: 7, leases: [], revisions: sampleRevisions(71n, 75n) });
    await log.close();
    const client = member.connect('http://m0');
    const taken = await takeFull({ ...place, generation: 3, client, clock, reason: 'there is none' }, never);
    full = taken.name;
  });
  afterAll(async () => await rm(directory, { recursive: true }));

  test('list says what there is, without a scheduler', async () => {
    const { code, stdout } = await runCli(['backup', 'list', '--archive', directory]);
    expect(stdout).toContain(`archive a1 of etcd in ${directory}`);
    expect(stdout).toContain('epoch 1 cluster abc');
    expect(stdout).toContain(`full ${full}  revision 11`);
    expect(stdout).toContain('log from revision 71 to 75');
    expect(stdout).toMatch(/can be restored: revision 11 \(.*\) to 60 \(1970-01-01T00:00:00\.006Z\)\n$/);
    expect(code).toBe(0);
    const json = await runCli(['backup', 'list', '--json'], { ETCD_MESOS_ARCHIVE: directory });
    expect(JSON.parse(json.stdout)).toMatchObject({
      archiveId: 'a1',
      epochs: [
        {
          document: { epoch: 1 },
          fulls: [{ name: full }],
          log: { base: '70', lastRevision: '75', rest: null },
        },
      ],
    });
  });

  test('prune shows what would go, and removes it when it is told to', async () => {
    const root = await mkdtemp(join(tmpdir(), 'etcd-mesos-archive-'));
    try {
      const keyFile = join(root, 'key');
      await writeFile(keyFile, `${'5e'.repeat(32)}\n`);
      const store = sealedStore(await openDirectoryArchiveStore(join(root, 'a')), keyOf('5e'.repeat(32)));
      const place = await sampleArchive(store);
      const member = createFakeMember();
      const names: string[] = [];
      for (const wallMs of [1000, 2000, 3000]) {
        member.write(10);
        const client = member.connect('http://m0');
        const then = { ...clock, wallMs: () => wallMs };
        const taken = { ...place, generation: 1, client, clock: then, reason: 'a test' };
        names.push((await takeFull(taken, never)).name);
      }
      const prune = ['backup', 'prune', '--archive', join(root, 'a'), '--keep-fulls', '2', '--keep', '1h'];
      const unknown = await runCli(prune);
      expect(unknown).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/encrypted with key [0-9a-f]{16}/),
      });
      const shown = await runCli([...prune, '--key-file', keyFile]);
      expect(shown).toMatchObject({
        code: 0,
        stdout: expect.stringContaining(`full ${names[0]} of epoch 1`),
      });
      expect(shown.stdout).toMatch(
        /1 full backups go, .* and 2 stay\nnothing was removed: give --yes to do it\n$/,
      );
      const done = await runCli([...prune, '--key-file', keyFile, '--yes']);
      expect(done.stdout).toContain('2 objects were removed');
      const left = await runCli([...prune, '--key-file', keyFile, '--json']);
      expect(JSON.parse(left.stdout)).toMatchObject({ fulls: [], fullsKept: 2, removedObjects: 0 });
      expect(await readdir(join(root, 'a/epochs/00000001/fulls'))).toEqual(names.slice(1));
    } finally {
      await rm(root, { recursive: true });
    }
  });

  test('show tells all of one, and which there is not', async () => {
    const { code, stdout } = await runCli(['backup', 'show', full, '--archive', directory]);
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/revision {3}11\n(.*\n)*because {4}there is none\n/),
    ]);
    const other = await runCli(['backup', 'show', 'other', '--archive', directory]);
    expect([other.code, other.stderr]).toEqual([1, expect.stringContaining('no full backup "other"')]);
  });

  test('verify reads all, restores, and says that the newest revision has no full', async () => {
    const { code, stdout, stderr } = await runCli(['backup', 'verify', '--archive', directory]);
    expect(stdout).toContain('epoch 1 54 revisions');
    expect(stdout).toContain('not in the log: revisions 61 to 70 (compacted)');
    expect(stdout).toContain(`full ${full} and its log: any revision from 11 to 60; no hash to compare`);
    expect(stdout).toContain('the newest revision: revision 75 of epoch 1 cannot be restored');
    expect(stdout).toContain('1 thing is wrong');
    expect(stderr).toContain('reading the log of epoch 1: 54 revisions\n');
    expect(stderr).toContain('to revision 60: writing the result: ');
    expect(code).toBe(1);
  });

  test('verify only reads if that is wanted, and finds the byte that is not as it was written', async () => {
    const verify = ['backup', 'verify', '--no-restore', '--archive', directory];
    const sound = await runCli([...verify, '--json']);
    expect(JSON.parse(sound.stdout)).toMatchObject({
      problems: [],
      start: null,
      epochs: [{ restorable: [{ full, fromRevision: '11', toRevision: '60', proofs: null }] }],
    });
    expect([sound.code, sound.stderr]).toEqual([0, '']);
    const data = join(directory, 'epochs', '00000001', 'fulls', full, 'data');
    const log = join(directory, 'epochs', '00000001', 'log', '000000000');
    const [segment = ''] = (await readdir(log)).slice(2);
    for (const [file, said] of [
      [data, 'do not end with the hash'],
      [join(log, segment), 'a frame’s hash is not that of its bytes'],
    ] as const) {
      const bytes = await readFile(file);
      const altered = Buffer.from(bytes);
      altered[bytes.byteLength - 200] = (altered[bytes.byteLength - 200] ?? 0) ^ 4;
      await writeFile(file, altered);
      const { code, stdout } = await runCli(verify);
      expect(stdout).toContain(said);
      expect(stdout).toContain('1 thing is wrong');
      expect(code).toBe(1);
      await writeFile(file, bytes);
    }
  });

  test('verify says where it cannot write, and which etcd it lacks', async () => {
    const verify = ['backup', 'verify', '--archive', directory];
    const nowhere = await runCli([...verify, '--work-dir', join(directory, 'nowhere')]);
    expect([nowhere.code, nowhere.stderr]).toEqual([2, expect.stringContaining('nothing can be made in')]);
    const lacking = await runCli([...verify, '--no-restore', '--start', '--etcd', '/nowhere/etcd']);
    // Before anything was read: it may take hours.
    expect([lacking.code, lacking.stderr]).toEqual([
      7,
      expect.stringMatching(
        /^etcd-mesos: etcd is missing: \/nowhere\/etcd is not there .*\n.*with --etcd\.\n$/,
      ),
    ]);
  });

  test.for([
    ['/does/not/exist', 'etcd-mesos: /does/not/exist is not there\n  Name the directory'],
    [process.execPath, 'is no directory'],
    ['ftp://somewhere', 'no place of an archive'],
    [tmpdir(), 'holds no archive'],
  ] as const)('%s is refused', async ([place, said]) => {
    const { code, stderr } = await runCli(['backup', 'list', '--archive', place]);
    expect(stderr).toContain(said);
    expect(stderr).toContain(place);
    expect(code).toBe(1);
  });
});
