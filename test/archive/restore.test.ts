import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RestoreTarget } from '../../src/backup/restore-plan.ts';
import { type RestoreOutcome, restoreTo } from '../../src/runtime/archive-restore.ts';
import { startNewest } from '../../src/runtime/archive-start.ts';
import { verifyNewestWithin } from '../../src/runtime/draft-files.ts';
import { never } from '../backup/sample-log.ts';
import { restoreProgram } from '../real-etcd/binaries.ts';
import { createChance } from '../sim/prng.ts';
import { clock } from '../wait.ts';
import { attached, leasesOf, plain, restorableBinaries } from './checks.ts';
import { type ArchivedLife, liveArchived } from './life.ts';
import { startLoneEtcd } from './lone-etcd.ts';
import { observe } from './workload.ts';

const STEPS = 40;
const RAISE = 1_000_000_000n;

describe.for(restorableBinaries())('an archive of etcd $version.text', (binary) => {
  let directory = '';
  let life: ArchivedLife;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-restore-'));
    const random = createChance(7).stream('restore');
    const shared = { binary, directory, random, compacts: false, isContinuous: false };
    life = await liveArchived({ ...shared, steps: STEPS });
  });
  afterAll(async () => await rm(directory, { recursive: true, force: true }));

  const restored = async (
    name: string,
    target: RestoreTarget,
    raiseBy: bigint | null = null,
  ): Promise<RestoreOutcome> =>
    await restoreTo(
      {
        archive: life.place.archive,
        target,
        epoch: null,
        raiseBy,
        // What an old version loses is another test's matter.
        acceptsMismatch: true,
        output: {
          kind: 'data-directory',
          directory: join(directory, name),
          name: 'm0',
          initialCluster: 'm0=http://127.0.0.1:2380',
          token: 't',
          peerUrls: 'http://127.0.0.1:2380',
          program: restoreProgram(binary),
        },
      },
      { onProgress: () => undefined, signal: never },
    );

  test('becomes a data directory on which etcd goes on, far ahead, with leases and all', async () => {
    const seen = life.lived.observations.at(-1) ?? expect.fail('nobody looked');
    const outcome = await restored('raised', { kind: 'revision', revision: seen.revision }, RAISE);
    expect(outcome).toMatchObject({
      revision: String(seen.revision),
      headRevision: String(seen.revision + RAISE),
      program: { version: binary.version.text },
    });
    expect((await readdir(directory)).filter((name) => name.startsWith('.'))).toEqual([]);
    const etcd = await startLoneEtcd(binary, join(directory, 'raised'));
    try {
      const now = await observe(etcd.theirs);
      expect(now.revision).toBe(seen.revision + RAISE);
      expect(plain({ ...now, revision: seen.revision })).toEqual(plain(seen));
      expect(await leasesOf(etcd, seen)).toEqual(attached(seen, life.lived.granted));
      const { header } = await etcd.theirs.kv.put({ key: Buffer.from('after'), value: Buffer.from('x') });
      expect(BigInt(header.revision)).toBe(now.revision + 1n);
    } finally {
      await etcd.stop();
    }
  });

  test('is verified, also by an etcd that is started on it', async () => {
    const verified = await verifyNewestWithin(directory, life.place.archive, clock, never);
    expect(Number(verified.revision)).toBeGreaterThan(1);
    const started = await startNewest(life.place.archive, {
      within: directory,
      etcd: binary.path,
      etcdutl: restoreProgram(binary),
      onProgress: () => undefined,
      signal: never,
    });
    expect(started).toMatchObject({
      revision: verified.revision,
      etcdVersion: binary.version.text,
      problems: [],
    });
    expect(started.keys).toBeGreaterThan(10);
    const left = (await readdir(directory)).filter((name) => /scratch|^\./.test(name));
    expect(left).toEqual([]);
  });
});
