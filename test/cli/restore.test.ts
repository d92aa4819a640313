import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBackend } from '../../src/backup/backend/backend.ts';
import { checkedDatabase } from '../../src/backup/backend/snapshot-file.ts';
import { takeFull } from '../../src/backup/full.ts';
import { progressOn } from '../../src/cli/progress.ts';
import { renderRestore } from '../../src/cli/restore-table.ts';
import { plain } from '../../src/cli/style.ts';
import { openDirectoryArchiveStore } from '../../src/runtime/directory-archive-store.ts';
import { createDrafts } from '../../src/runtime/draft-files.ts';
import { createFakeMember } from '../backup/fake-member.ts';
import { createMemoryFile } from '../backup/memory-file.ts';
import { never, sampleArchive, sampleRevisions, sampleWriter } from '../backup/sample-log.ts';
import { clock } from '../wait.ts';
import { runCli } from './run-cli.ts';

const TIME_MS = Date.UTC(2026, 2, 1, 9, 30);

/** A shell script that answers as etcdutl does, and makes a data directory that holds the snapshot. */
const ETCDUTL = `#!/bin/sh
if [ "$1" = version ]; then echo 'etcdutl version: VERSION'; exit 0; fi
for word in "$@"; do case "$word" in --data-dir=*) target="\${word#--data-dir=}";; esac; done
echo "$@" > "\${target%/*}/arguments"
mkdir -p "$target/member/snap"
cat "$3" > "$target/member/snap/db"
`;

/** Ends whoever has started it as Ctrl-C does, and writes as long as it is let. */
const STUBBORN = `#!/bin/sh
if [ "$1" = version ]; then echo 'etcdutl version: 3.6.0'; exit 0; fi
for word in "$@"; do case "$word" in --data-dir=*) target="\${word#--data-dir=}";; esac; done
echo $$ > "$0.pid"
trap '' INT TERM
kill -INT $PPID
for turn in $(seq 200); do mkdir -p "$target/member"; sleep 0.02; done
`;

describe('restore', () => {
  let directory = '';
  let archive = '';
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-restore-'));
    archive = join(directory, 'archive');
    const place = await sampleArchive(await openDirectoryArchiveStore(archive));
    const member = createFakeMember();
    member.write(10);
    const log = await sampleWriter(place, 3, { segmentBytesMax: 2000 });
    await log.skip({ reason: 'begin', from: '1', to: '11' });
    for (let at = 12n; at <= 40n; at += 1n) {
      const atMs = TIME_MS + Number(at) * 1000;
      await log.write({ atMs, leases: [], revisions: sampleRevisions(at, at) });
    }
    await log.close();
    const client = member.connect('http://m0');
    const then = { ...clock, wallMs: () => TIME_MS };
    await takeFull({ ...place, generation: 3, client, clock: then, reason: 'test' }, never);
    for (const version of ['3.5.30', '3.4.40']) {
      const script = ETCDUTL.replace('VERSION', version);
      await writeFile(join(directory, `etcdutl-${version}`), script, { mode: 0o755 });
    }
    const failing = `#!/bin/sh\n[ "$1" = version ] && { echo 'etcdutl version: 3.6.0'; exit; }\necho 'Error: no way' >&2; exit 1\n`;
    await writeFile(join(directory, 'failing'), failing, { mode: 0o755 });
  });
  afterAll(async () => await rm(directory, { recursive: true }));

  const restore = async (...args: string[]) => await runCli(['restore', '--archive', archive, ...args]);
  const fileOf = (name: string): string => join(directory, name);
  /** What a restore has left behind, or was to leave. */
  const made = async (): Promise<string[]> =>
    (await readdir(directory)).filter((name) => name.startsWith('.'));

  test('writes a snapshot of the newest revision, and says from what', async () => {
    const file = fileOf('head.db');
    const { code, stdout, stderr } = await restore('--snapshot-file', file);
    expect(stdout).toContain(
      'restored   revision 40, of 2026-03-01T09:30:40.000Z, of epoch 1, cluster abc\n',
    );
    expect(stdout).toContain('proven     by no hash');
    expect(stderr).toContain('reading the full: ');
    expect(code).toBe(0);
    const backend = await openBackend(await checkedDatabase(createMemoryFile(await readFile(file))));
    expect(backend.revision).toBe(40n);
    expect(await made()).toEqual([]);
    const again = await restore('--snapshot-file', file);
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('is there already')]);
  });

  test('takes a time, raises, and prints JSON without a word of progress', async () => {
    const { stdout, stderr } = await runCli(
      [
        'restore',
        '--to',
        '2026-03-01T10:30:20.5+01:00',
        '--raise-by',
        '1000',
        '--json',
        '--snapshot-file',
        fileOf('at.db'),
      ],
      { ETCD_MESOS_ARCHIVE: archive },
    );
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({
      revision: '20',
      headRevision: '1020',
      atMs: TIME_MS + 20_000,
      output: fileOf('at.db'),
      program: null,
      full: { revision: '11' },
      proofs: { agreeing: 0, disagreeing: [] },
    });
  });

  test('has etcd’s own program make a data directory', async () => {
    const data = fileOf('data');
    await mkdir(data);
    const program = fileOf('etcdutl-3.5.30');
    const members = 'm0=http://a:2380,m1=http://b:2380';
    const { code, stdout } = await restore(
      ...['--data-dir', data, '--etcdutl', program, '--name', 'm0', '--initial-cluster', members],
      ...['--initial-advertise-peer-urls', 'http://a:2380', '--initial-cluster-token', 't1', '--to', '30'],
    );
    expect(stdout).toContain(`by         etcdutl 3.5.30, ${program}`);
    expect(code).toBe(0);
    const database = createMemoryFile(await readFile(join(data, 'member', 'snap', 'db')));
    expect((await openBackend(await checkedDatabase(database))).revision).toBe(30n);
    expect(await readFile(fileOf('arguments'), 'utf8')).toMatch(
      /^snapshot restore \S+ --data-dir=\S+ --name=m0 --initial-cluster=m0=http:\/\/a:2380,m1=http:\/\/b:2380 --initial-cluster-token=t1 --initial-advertise-peer-urls=http:\/\/a:2380\n$/,
    );
    expect(await made()).toEqual([]);
    const again = await restore('--data-dir', data, '--etcdutl', program);
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('is there already')]);
  });

  test.for([
    [['--data-dir', 'x', '--etcdutl', 'failing'], 7, 'snapshot restore failed: Error: no way'],
    [['--data-dir', 'x', '--etcdutl', 'etcdutl-3.4.40'], 7, 'is of 3.4.40, the backup of etcd 3.5.30'],
    [['--data-dir', 'x', '--etcdutl', 'none'], 7, 'there is no program'],
    [['--snapshot-file', 'no/where/x'], 2, 'is no directory'],
    [['--snapshot-file', 'x', '--to', '2026-03-01T09:30:20'], 2, 'in which time zone'],
    [['--snapshot-file', 'x', '--to', 'yesterday'], 2, 'is nothing to restore to'],
    [['--snapshot-file', 'x', '--to', '2500-01-01T00:00Z'], 2, 'is still to come'],
    [['--snapshot-file', 'x', '--epoch', '2'], 2, 'has no epoch 2\n  It has: 1.'],
    [['--snapshot-file', 'x', '--raise-by', '-5'], 2, 'It is a whole number from 1'],
    [['--snapshot-file', 'x', '--data-dir', 'y'], 2, 'cannot be used with'],
    [['--to', 'head'], 2, 'name a --snapshot-file or a --data-dir'],
    [['--data-dir', 'x', '--name', ''], 2, 'It must not be empty'],
    [['--data-dir', 'x', '--initial-advertise-peer-urls', 'a:2380'], 2, 'It is a URL with a port'],
    [['--data-dir', 'x', '--initial-cluster', 'default=http://a'], 2, 'It is members with commas'],
    [
      ['--data-dir', 'x', '--initial-cluster', 'm0=http://a:2380,m1=http://[::1]:2380'],
      2,
      'has no member default: name it, or another --name',
    ],
    [
      ['--snapshot-file', 'x', '--to', '41'],
      1,
      'the archive ends at revision 40\n  Revisions that can be: 11 (2026-03-01T09:30:00.000Z) to 40 (2026-03-01T09:30:40.000Z).',
    ],
  ] as const)('%s is refused, and nothing is left', async ([args, exitCode, said]) => {
    const paths = args.map((arg, index) =>
      ['--snapshot-file', '--data-dir', '--etcdutl'].includes(args[index - 1] ?? '') ? fileOf(arg) : arg,
    );
    const before = await readdir(directory);
    const { code, stdout, stderr } = await restore(...paths);
    expect(stderr).toContain(said);
    expect([code, stdout]).toEqual([exitCode, '']);
    expect(await readdir(directory)).toEqual(before);
  });

  test('writes over nothing that came to be there while it worked', async () => {
    const taking = ETCDUTL.replace('VERSION', '3.5.30').replace(
      'mkdir',
      `mkdir -p "\${target%/*}/taken/x"; mkdir`,
    );
    await writeFile(fileOf('taking'), taking, { mode: 0o755 });
    const { code, stderr } = await restore('--data-dir', fileOf('taken'), '--etcdutl', fileOf('taking'));
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining('taken is there already\n  Nothing is written over.'),
    ]);
    expect(await readdir(fileOf('taken'))).toEqual(['x']);
    expect(await made()).toEqual([]);
    const draft = await createDrafts(directory)('result');
    await expect(draft.keepAs(fileOf('taken'))).rejects.toMatchObject({ code: 'bad-output' });
    await draft.discard();
    expect(await made()).toEqual([]);
  });

  const INTERRUPTED = 'it was ended before it was done; nothing is left behind\n';

  test('is ended by Ctrl-C while etcd’s own program writes: nothing is left, and that program does not go on', async () => {
    await writeFile(fileOf('stubborn'), STUBBORN, { mode: 0o755 });
    const before = await readdir(directory);
    const { code, stdout, stderr } = await restore(
      ...['--data-dir', fileOf('ended'), '--etcdutl', fileOf('stubborn')],
    );
    expect(stderr).toContain(INTERRUPTED);
    expect([code, stdout]).toEqual([1, '']);
    expect(await readdir(directory)).toEqual([...before, 'stubborn.pid'].toSorted());
    const pid = (await readFile(fileOf('stubborn.pid'), 'utf8')).trim();
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  test('is ended by Ctrl-C while the archive does not answer', async () => {
    const asked = Promise.withResolvers<void>();
    const silent = createServer(() => asked.resolve());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const file = fileOf('never.db');
    const { code, stdout, stderr } = await runCli(
      [
        ...['restore', '--archive', 's3://bucket/etcd', '--s3-endpoint', `http://127.0.0.1:${port}`],
        ...['--s3-path-style', '--snapshot-file', file],
      ],
      { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' },
      { when: asked.promise, signal: 'SIGINT' },
    );
    silent.close();
    expect([code, stdout, stderr]).toEqual([1, '', `etcd-mesos: ${INTERRUPTED}`]);
    expect(existsSync(file)).toBe(false);
  });
});

const PROOF = { compactRevision: '0', etcdVersion: '3.4.23', memberId: 'f1', atMs: TIME_MS };

test('what is printed says all that a person has to know', async () => {
  const text = renderRestore(
    {
      method: 'replay',
      place: 's3://backups/etcd',
      archiveId: 'a1',
      epoch: 2,
      clusterId: 'abc',
      full: { epoch: 1, name: '000000000000001-00000001', revision: '900' },
      passedOver: [{ full: '000000000000002-00000001', why: 'its data has changed since it was stored' }],
      segments: 1,
      events: 250,
      revision: '1000',
      atMs: TIME_MS,
      headRevision: '1000001000',
      sizeBytes: 20_480,
      unknownLeases: ['694d77aa9e38260f'],
      proofs: {
        agreeing: 1,
        newestAgreeing: '950',
        disagreeing: [
          {
            proof: { ...PROOF, revision: '990', hash: 17 },
            hash: 18,
            knownDefects: ['a watch may lose a delete event (etcd-io/etcd#18089)'],
          },
        ],
        notComparable: [{ revision: '905', why: 'compacted' }],
        leftOut: 3,
      },
      output: '/var/lib/etcd',
      program: { path: '/usr/bin/etcdutl', kind: 'etcdutl', version: '3.5.30', minor: 5 },
    },
    plain,
  );
  await expect(text).toMatchFileSnapshot('golden/restore.txt');
});

test('progress is a bar on a terminal, and lines that stay in a pipe', () => {
  let nowMs = 0;
  const shown = (isTTY: boolean): string => {
    let text = '';
    nowMs = 0;
    const write = (part: string): void => {
      text += part;
    };
    const stream = { isTTY, columns: 100, write };
    const progress = progressOn(stream, { clock: { monotonicMs: () => nowMs } });
    const bytes = (done: number) =>
      progress.step({ step: 'reading', done: done * 1024 ** 2, total: 100 * 1024 ** 2, unit: 'bytes' });
    for (let done = 0; done <= 100; done += 25) {
      bytes(done);
      nowMs += 4000;
    }
    progress.step({ step: 'comparing', done: 0, total: 3, unit: 'hashes' });
    progress.step({ step: 'comparing', done: 3, total: 3, unit: 'hashes' });
    progress.end();
    progress.end();
    return text;
  };
  expect(shown(false)).toBe(
    'reading: 75.0 MiB of 100.0 MiB, 6.3 MiB/s\nreading: 100.0 MiB, 5.0 MiB/s\ncomparing: 3 hashes\n',
  );
  expect(shown(true).split('\r\u001b[K')).toContain(
    'reading [==========>         ]  50 %, 50.0 MiB of 100.0 MiB, 6.3 MiB/s, 8 s left',
  );
  expect(shown(true).endsWith('\r\u001b[K')).toBe(true);
});
