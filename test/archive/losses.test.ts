import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IRequestOp } from 'etcd3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Archiver } from '../../src/backup/archiver.ts';
import { type EtcdEvent, readEvent } from '../../src/backup/events.ts';
import type { StreamClient } from '../../src/etcd/port.ts';
import { createStreamClient } from '../../src/etcd/stream-client.ts';
import { contentOf } from '../backup/sample-log.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { clock, until } from '../wait.ts';
import { type ArchivedPlace, archiveEtcd, placeIn } from './archiving.ts';
import { expectSame, restorableBinaries, restoreTo } from './checks.ts';
import { type LoneEtcd, startLoneEtcd } from './lone-etcd.ts';
import { findLoss } from './losses.ts';
import { observe } from './workload.ts';

/*
 * What the watches of old versions may leave out, made to happen: on every version it has to be found, told as a gap
 * and filled by a full.
 */

const VICTIM = Buffer.from('victim');
const put = (key: string): IRequestOp => ({
  request_put: { key: Buffer.from(key), value: Buffer.from('x'), lease: '0' },
});
const deletion: IRequestOp = { request_delete_range: { key: VICTIM } };

interface Loss {
  readonly what: string;
  /** One transaction, of which the watch leaves out what it does to the victim. */
  readonly does: readonly IRequestOp[];
  readonly type: EtcdEvent['type'];
  /** Seen by the next revision that comes; else by a hash. */
  readonly isSeenAtOnce: boolean;
  readonly compacts: boolean;
}
const LOSSES: readonly Loss[] = [false, true].flatMap((compacts) => {
  const after = compacts ? ', and a compaction' : '';
  return [
    { what: `a revision${after}`, does: [put('victim')], type: 'put', isSeenAtOnce: true, compacts },
    {
      what: `a change of a revision${after}`,
      does: [put('a'), put('victim')],
      type: 'put',
      isSeenAtOnce: false,
      compacts,
    },
    {
      what: `a deletion of a revision${after}`,
      does: [put('a'), deletion],
      type: 'delete',
      isSeenAtOnce: false,
      compacts,
    },
  ] satisfies readonly Loss[];
});

describe.for(restorableBinaries().map((binary) => ({ binary, name: binary.version.text })))(
  'a watch of etcd $name that leaves out',
  ({ binary }) => {
    let directory: string;
    let etcd: LoneEtcd;
    let place: ArchivedPlace;
    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-archive-'));
      await mkdir(join(directory, 'data'));
      etcd = await startLoneEtcd(binary, join(directory, 'data'));
      const { clusterId } = await etcd.ours.status(AbortSignal.timeout(10_000));
      place = await placeIn(createMemoryArchiveStore(), clusterId);
    });
    afterEach(async () => {
      await etcd.stop();
      await rm(directory, { recursive: true, force: true });
    });

    const transaction = async (...success: readonly IRequestOp[]): Promise<bigint> =>
      BigInt((await etcd.theirs.kv.txn({ success: [...success] })).header.revision);
    const isProven = async ({ status }: Archiver, revision: bigint): Promise<void> => {
      await until('all is archived', 30_000, () => status().archivedRevision >= revision);
      await until('it is proven', 30_000, () => BigInt(status().lastProof?.revision ?? 0) >= revision);
    };

    test.for(LOSSES)('$what: it is found, told as a gap, and filled by a full', async (loss) => {
      const over = new AbortController();
      const archiver = archiveEtcd(
        place,
        etcd.url,
        {
          generation: 1,
          connect: (url) => leavingOut(createStreamClient({ url }, clock), loss.type),
          limits: { segmentMs: 0, proofMs: 50 },
        },
        over.signal,
      );
      try {
        await until('there is a full', 30_000, () => archiver.status().lastFull);
        const before = await transaction(put('b'), put(loss.type === 'delete' ? 'victim' : 'c'));
        const seenBefore = await observe(etcd.theirs);
        await isProven(archiver, before);
        const lost = await transaction(...loss.does);
        const after = await transaction(put('d'));
        if (loss.compacts) await etcd.ours.compact(String(after), true, AbortSignal.timeout(10_000));
        await isProven(archiver, await transaction(put('e')));
        await until('no full is wanted', 30_000, () => archiver.status().fullWanted === null);
        const atOnce = archiver.status().gaps.filter(({ reason }) => reason === 'lost');
        expect(atOnce).toEqual(
          loss.isSeenAtOnce ? [{ reason: 'lost', from: String(lost), to: String(lost) }] : [],
        );
        over.abort();
        await archiver.ended;

        expect(await findLoss(place, { etcd, generation: 2, directory })).not.toBeNull();
        const gap = (await contentOf(place)).gaps.at(-1) ?? expect.fail('there is no gap');
        expect(BigInt(gap.from)).toBe(lost);
        expect(BigInt(gap.to)).toBeGreaterThanOrEqual(lost);
        const { backend, draft } = await restoreTo(place.archive, before, directory);
        await expectSame(backend, seenBefore);
        await draft.discard();
        await expect(restoreTo(place.archive, lost, directory)).rejects.toMatchObject({
          code: 'unreachable',
        });
      } finally {
        over.abort();
        await archiver.ended;
      }
    });
  },
);

/** A client whose watch does not tell of what is done to the victim. */
function leavingOut(client: StreamClient, type: EtcdEvent['type']): StreamClient {
  const isLost = (bytes: Uint8Array): boolean => {
    const event = readEvent(bytes);
    return event.type === type && VICTIM.equals(event.key);
  };
  return {
    ...client,
    watchAll: async function* (startRevision, signal) {
      for await (const answer of client.watchAll(startRevision, signal)) {
        const events = answer.events.filter((event) => !isLost(event));
        // Without any it would be word of how far the watch has come.
        if (events.length > 0 || answer.events.length === 0) yield { ...answer, events };
      }
    },
  };
}
