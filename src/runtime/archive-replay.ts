import path from 'node:path';
import { checkedDatabase, databaseIn } from '../backup/backend/snapshot-file.ts';
import { UNKNOWN_LEASE_TTL_SECONDS } from '../backup/backend/splice.ts';
import { openBolt } from '../backup/bolt/reader.ts';
import type { Proof } from '../backup/documents.ts';
import { ArchiveError } from '../backup/errors.ts';
import type { Full } from '../backup/full.ts';
import { copyWithLeases, leaseTimes, replay, writeReplayBase } from '../backup/replay.ts';
import {
  batchesAfter,
  copyFull,
  damagedAfter,
  type PassedOver,
  type Restored,
  type RestoreOptions,
  type RestoreReport,
} from '../backup/restore.ts';
import { RestoreError } from '../backup/restore-error.ts';
import {
  collectProofs,
  createProofCollection,
  type Disagreement,
  disagreementText,
  type ProofReport,
} from '../backup/restore-proofs.ts';
import { EtcdError } from '../etcd/port.ts';
import { createReplayClient } from '../etcd/replay-client.ts';
import { createStreamClient } from '../etcd/stream-client.ts';
import { watchDefectsOf } from '../etcd/versions.ts';
import { createSystemClock } from './clock.ts';
import { type LocalDraft, withScratch } from './draft-files.ts';
import type { EtcdProgram } from './etcd-program.ts';
import { PRIVATE_MEMBER, type PrivateEtcd, startPrivateEtcd } from './private-etcd.ts';
import { type RestoreProgram, runRestore } from './restore-program.ts';

/** A revision is replayed as one transaction, however large it was. */
const LARGE_TRANSACTIONS = [
  '--max-txn-ops=4294967295',
  '--max-request-bytes=2147483647',
  '--unsafe-no-fsync',
];

/**
 * Makes a snapshot as `restoreArchive` does, by starting an etcd on the newest full and writing all that came after
 * into it, a transaction for each revision: slowly, but whatever the layout of its backend is. Hashes that members told
 * are compared with those of that etcd. It cannot be raised, and where users are switched on etcd takes no writes.
 */
export async function replayArchive(
  options: RestoreOptions<LocalDraft>,
  programs: ReplayPrograms,
): Promise<Restored<LocalDraft>> {
  const passedOver: PassedOver[] = [...damagedAfter(options.plan)];
  for (const full of options.plan.fulls) {
    try {
      const { file, report } = await attempt(options, programs, full);
      return { file, report: { ...report, passedOver } };
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
      passedOver.push({ full: full.name, why: error.message });
    }
  }
  const why = passedOver.map((each) => `${each.full}: ${each.why}`).join('; ');
  throw new RestoreError(
    'unreachable',
    `no full backup for revision ${options.plan.revision} can be used: ${why}`,
  );
}

type LeaseTimes = Awaited<ReturnType<typeof leaseTimes>>;

interface ReplayPrograms {
  readonly etcd: EtcdProgram;
  readonly restore: RestoreProgram;
  /** A directory for what is temporary. */
  readonly within: string;
}

/** With one full. Rejects with an {@link ArchiveError} where another may do. */
async function attempt(
  options: RestoreOptions<LocalDraft>,
  programs: ReplayPrograms,
  full: Full,
): Promise<Restored<LocalDraft>> {
  return await withScratch(programs.within, async (scratch) => {
    const directory = path.join(scratch, 'data');
    const times = await restoreBase(options, programs, full, directory);
    const clock = createSystemClock();
    const { signal } = options;
    const etcd = await startPrivateEtcd(programs.etcd, directory, {
      clock,
      signal,
      more: LARGE_TRANSACTIONS,
    });
    try {
      return await replayInto(etcd, options, full, times);
    } finally {
      await etcd.stop();
    }
  });
}

/** Makes a data directory of the full. Resolves with the times of its leases, in seconds by id. */
async function restoreBase(
  options: RestoreOptions<LocalDraft>,
  programs: ReplayPrograms,
  full: Full,
  directory: string,
): Promise<LeaseTimes> {
  const { newFile, signal } = options;
  const source = await newFile('full');
  try {
    await copyFull(options, full, source);
    const database = await openBolt(databaseIn(source));
    const times = await leaseTimes(database);
    const base = await newFile('result');
    try {
      await writeReplayBase(base, database);
      await source.discard();
      await base.sync();
      await runRestore(programs.restore, base.path, { directory, ...PRIVATE_PLACE }, signal);
    } finally {
      await base.discard();
    }
    return times;
  } finally {
    await source.discard();
  }
}

/** Writes what came after the full into an etcd that has it, and takes what that has then. */
async function replayInto(
  etcd: PrivateEtcd,
  options: RestoreOptions<LocalDraft>,
  full: Full,
  times: LeaseTimes,
): Promise<Restored<LocalDraft>> {
  const { archive, plan, signal } = options;
  const after = BigInt((await etcd.client.status(signal)).revision);
  // Of a layout that is not known only etcd itself says what is in it.
  if (after > plan.revision) {
    throw new ArchiveError('missing', `full ${full.name} has revision ${after} already`);
  }
  const proofs = createProofCollection();
  const tally = { segments: 0 };
  const client = createReplayClient({ url: etcd.url }, createSystemClock());
  const batches = batchesAfter(options, after, proofs, tally);
  const replayed = await replay(client, batches, { after, to: plan.revision, times, signal }).finally(() =>
    client.close(),
  );
  await collectProofs(proofs, archive, plan.line, { from: plan.revision, to: plan.revision, signal });
  const compared = await compareLive(etcd, proofs.within(1n, plan.revision), signal);
  const [first] = compared.disagreeing;
  if (first !== undefined && options.acceptsMismatch !== true) {
    throw new RestoreError(
      'disproved',
      `what was replayed is not what the cluster had: ${disagreementText(first)}`,
      { hint: 'To take it as it is, say --accept-mismatch.' },
    );
  }
  const file = await snapshotOf(etcd, options, times);
  const { epoch, clusterId } = plan.line.epoch.document;
  const report: RestoreReport = {
    method: 'replay',
    place: archive.store.place,
    archiveId: archive.id,
    epoch,
    clusterId,
    full: { epoch: full.document.epoch, name: full.name, revision: String(after) },
    passedOver: [],
    ...tally,
    events: replayed.events,
    revision: String(replayed.revision),
    atMs: plan.atMs,
    headRevision: String(replayed.revision),
    sizeBytes: file.sizeBytes,
    unknownLeases: replayed.unknownLeases.map((id) => id.toString(16)),
    proofs: compared,
  };
  return { file, report };
}

const PRIVATE_PLACE = {
  name: PRIVATE_MEMBER.name,
  initialCluster: `${PRIVATE_MEMBER.name}=${PRIVATE_MEMBER.peerUrl}`,
  token: 'private',
  peerUrls: PRIVATE_MEMBER.peerUrl,
} as const;

/** What the etcd tells of revisions of which members told a hash. */
async function compareLive(
  { client }: PrivateEtcd,
  proofs: readonly Proof[],
  signal: AbortSignal,
): Promise<ProofReport> {
  let [agreeing, newestAgreeing]: [number, string | null] = [0, null];
  const disagreeing: Disagreement[] = [];
  const notComparable: { revision: string; why: string }[] = [];
  for (const proof of proofs) {
    const live = await client.hashKv(proof.revision, signal).catch((error: unknown) => {
      if (error instanceof EtcdError && error.code === 'compacted') return null;
      throw error;
    });
    if (live?.compactRevision !== proof.compactRevision) {
      const why = `it was told when the store was compacted at ${proof.compactRevision}, and the backup was later`;
      notComparable.push({ revision: proof.revision, why });
    } else if (live.hash === proof.hash) {
      agreeing += 1;
      newestAgreeing = proof.revision;
    } else disagreeing.push({ proof, hash: live.hash, knownDefects: watchDefectsOf(proof.etcdVersion) });
  }
  return { agreeing, newestAgreeing, disagreeing, notComparable, leftOut: 0 };
}

/** What the etcd has, its leases with their own times again. */
async function snapshotOf(
  etcd: PrivateEtcd,
  { newFile, signal }: RestoreOptions<LocalDraft>,
  times: LeaseTimes,
): Promise<LocalDraft> {
  const client = createStreamClient({ url: etcd.url }, createSystemClock());
  const taken = await newFile('full');
  try {
    let offset = 0;
    for await (const piece of client.snapshot(signal)) {
      await taken.writeAt(piece, offset);
      offset += piece.byteLength;
    }
    const database = await openBolt(await checkedDatabase(taken));
    const file = await newFile('result');
    try {
      await copyWithLeases(file, database, (id) => times.get(id) ?? UNKNOWN_LEASE_TTL_SECONDS);
      return file;
    } catch (error) {
      await file.discard();
      throw error;
    }
  } finally {
    client.close();
    await taken.discard();
  }
}
