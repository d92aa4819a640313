import { describeError } from '../base/errors.ts';
import type { Archive } from './archive.ts';
import { type EtcdBackend, openBackend } from './backend/backend.ts';
import { BackendError } from './backend/backend-error.ts';
import { databaseIn } from './backend/snapshot-file.ts';
import { type SpliceBatch, type SpliceResult, splice } from './backend/splice.ts';
import { BoltError } from './bolt/bolt-error.ts';
import type { ReadableFile, WritableFile } from './bolt/file-port.ts';
import { ArchiveError } from './errors.ts';
import { type Full, readFull } from './full.ts';
import { RestoreError } from './restore-error.ts';
import { readLine } from './restore-line.ts';
import { planRestore, type RestorePlan } from './restore-plan.ts';
import {
  collectProofs,
  compareProofs,
  createProofCollection,
  disagreementText,
  PROOF_LOOKBACK_REVISIONS,
  type ProofCollection,
  type ProofReport,
} from './restore-proofs.ts';
import type { ArchiveVerification } from './scheduled-verification.ts';

/** A new file of ours. */
export interface DraftFile extends ReadableFile, WritableFile {
  /** Closes it and removes it. Safe to repeat, and after it was kept. */
  discard(): Promise<void>;
}

export interface RestoreOptions<File extends DraftFile = DraftFile> {
  readonly archive: Archive;
  readonly plan: RestorePlan;
  /** Makes an empty file: `full` for the copy of the full while it is read, `result` for what comes of it. */
  readonly newFile: (what: 'full' | 'result') => Promise<File>;
  /** How much further than the result the store goes on, compacted up to there. Default: not at all. */
  readonly raiseBy?: bigint | undefined;
  /** Gives a result also where a proof disagrees. Default: that is an error. */
  readonly acceptsMismatch?: boolean | undefined;
  /** No more hashes that members told are compared with the result. Default: all are. */
  readonly proofsMax?: number | undefined;
  readonly onProgress?: ((progress: RestoreProgress) => void) | undefined;
  readonly signal: AbortSignal;
}
export interface RestoreProgress {
  readonly step: 'reading the full' | 'writing the result' | 'comparing proofs';
  readonly done: number;
  /** What `done` will come to, of the result about; `null` where that is not known any more. */
  readonly total: number | null;
  readonly unit: 'bytes' | 'hashes';
}

/** What was restored, as JSON. Revisions and ids are text. */
export interface RestoreReport {
  /** `replay`: an etcd has written it again; else it was written into the file. */
  readonly method: 'splice' | 'replay';
  readonly place: string;
  readonly archiveId: string;
  readonly epoch: number;
  readonly clusterId: string;
  /** What it began with. */
  readonly full: { readonly epoch: number; readonly name: string; readonly revision: string };
  /** Newer ones that could not be used. */
  readonly passedOver: readonly PassedOver[];
  readonly segments: number;
  readonly events: number;
  /** The last one whose changes are in it. */
  readonly revision: string;
  readonly atMs: number | null;
  /** What the store's header will say: `revision`, or what it was raised to. */
  readonly headRevision: string;
  readonly sizeBytes: number;
  /** Leases whose time nobody had told; hex. */
  readonly unknownLeases: readonly string[];
  readonly proofs: ProofReport;
}
export interface PassedOver {
  readonly full: string;
  readonly why: string;
}

/** A snapshot, as etcd's own restore takes it. */
export interface Restored<File extends DraftFile> {
  readonly file: File;
  readonly report: RestoreReport;
}

/**
 * Makes a snapshot of what an archive has of a revision, and proves it by every hash that members told on the way.
 * A full that is damaged, or whose result is disproved, gives way to the one before it. Not a byte of a full is used
 * before all of it was held against its hash.
 *
 * Rejects with a {@link RestoreError}: `unreachable` where no full, or not all of the log, can be used; `disproved`
 * where the result is not what the cluster had. Files that it made are gone then.
 */
export async function restoreArchive<File extends DraftFile>(
  options: RestoreOptions<File>,
): Promise<Restored<File>> {
  const { plan, acceptsMismatch = false } = options;
  const passedOver = [...damagedAfter(plan)];
  let disproved: Disproved | null = null;
  let unknownSchema: BackendError | null = null;
  for (const full of plan.fulls) {
    try {
      const { file, report } = await attempt(options, full, passedOver);
      if (report.proofs.disagreeing.length === 0) return { file, report };
      await file.discard();
      disproved ??= { full, proofs: report.proofs };
      const [first] = report.proofs.disagreeing;
      passedOver.push({ full: full.name, why: first === undefined ? '' : disagreementText(first) });
    } catch (error) {
      if (!isOfFull(error)) throw error;
      if (error instanceof BackendError && error.code === 'schema-unknown') unknownSchema ??= error;
      passedOver.push({ full: full.name, why: describeError(error) });
    }
  }
  if (disproved !== null && acceptsMismatch) {
    const { full } = disproved;
    const others = passedOver.filter((other) => other.full !== full.name);
    return await attempt(options, full, others);
  }
  if (disproved !== null) throw disprovedError(plan, disproved.full, disproved.proofs);
  // An etcd of its version may still do it.
  if (unknownSchema !== null) throw unknownSchema;
  const why = passedOver.map((each) => `${each.full}: ${each.why}`).join('; ');
  throw new RestoreError('unreachable', `no full backup for revision ${plan.revision} can be used: ${why}`, {
    hint: 'Restore to an earlier revision, or to another --epoch; `etcd-mesos backup verify` says what can be.',
  });
}

/** Fulls that may be newer than the newest of a plan, and cannot be read. */
export function damagedAfter({ line, fulls }: RestorePlan): readonly PassedOver[] {
  const newest = fulls[0]?.name ?? '';
  return line.damaged
    .filter(({ name }) => name > newest)
    .map(({ name, error }) => ({ full: name, why: error.message }));
}

/** Restores the newest revision of the newest epoch, proves it, and throws it away. Rejects where the store fails. */
export async function verifyNewest(
  archive: Archive,
  options: Pick<RestoreOptions, 'newFile' | 'onProgress' | 'signal'> & { readonly nowMs: number },
): Promise<ArchiveVerification> {
  try {
    const plan = await planRestore(archive, { kind: 'head' }, options);
    const { file, report } = await restoreArchive({ ...options, archive, plan, acceptsMismatch: true });
    await file.discard();
    const { proofs, passedOver, revision } = report;
    return {
      revision,
      lost: lostAfter(report),
      proofsCompared: proofs.agreeing + proofs.disagreeing.length,
      problems: [
        ...passedOver.map(({ full, why }) => `full ${full} cannot be used: ${why}`),
        ...proofs.disagreeing.map(disagreementText),
      ],
    };
  } catch (error) {
    const isVerdict = error instanceof RestoreError || error instanceof ArchiveError || isOfFull(error);
    if (!isVerdict || (error instanceof RestoreError && error.code === 'no-room')) throw error;
    return { revision: '0', proofsCompared: 0, problems: [describeError(error)], lost: null };
  }
}

interface Disproved {
  readonly full: Full;
  readonly proofs: ProofReport;
}

/** What came after all that was proven and not after the first hash that disagrees. */
function lostAfter({ full, proofs }: RestoreReport): ArchiveVerification['lost'] {
  const to = proofs.disagreeing[0]?.proof.revision;
  // A hash of what the full has had itself says nothing of the log.
  if (to === undefined || BigInt(to) <= BigInt(full.revision)) return null;
  const { newestAgreeing } = proofs;
  const proven = newestAgreeing === null || BigInt(newestAgreeing) > BigInt(to) ? '0' : newestAgreeing;
  const from = BigInt(proven) > BigInt(full.revision) ? BigInt(proven) : BigInt(full.revision);
  return { from: String(from + 1n), to };
}

/** Restores with one full, whatever the proofs say. */
async function attempt<File extends DraftFile>(
  options: RestoreOptions<File>,
  full: Full,
  passedOver: readonly PassedOver[],
): Promise<Restored<File>> {
  const { plan, newFile, raiseBy, signal } = options;
  const source = await newFile('full');
  let file: File | null = null;
  try {
    await copyFull(options, full, source);
    const backend = await openBackend(databaseIn(source));
    file = await newFile('result');
    const proofs = createProofCollection();
    const tally = { segments: 0 };
    const result = await splice(reporting(file, full, options), {
      full: backend,
      batches: batchesAfter(options, backend.revision, proofs, tally),
      revision: plan.revision,
      signal,
      ...(raiseBy === undefined ? {} : { raiseTo: plan.revision + raiseBy }),
    });
    options.onProgress?.(written(file.sizeBytes, file.sizeBytes));
    const proved = await prove(options, file, backend, proofs);
    const report = reportOf(options, full, backend, result, { ...tally, passedOver, proofs: proved });
    return { file, report };
  } catch (error) {
    await file?.discard();
    throw error;
  } finally {
    await source.discard();
  }
}

/** To a file of our own, so that what is checked and what is used are the same bytes. */
export async function copyFull(
  { archive, onProgress, signal }: RestoreOptions,
  full: Full,
  to: WritableFile,
): Promise<void> {
  const total = full.document.sizeBytes;
  let done = 0;
  onProgress?.({ step: 'reading the full', done, total, unit: 'bytes' });
  for await (const piece of readFull(archive, full, signal)) {
    await to.writeAt(piece, done);
    done += piece.byteLength;
    onProgress?.({ step: 'reading the full', done, total, unit: 'bytes' });
  }
}

/** The file, telling of what is written: about as much as the full has, or with what came after it nobody knows. */
function reporting(
  file: DraftFile,
  { document }: Full,
  { onProgress }: RestoreOptions,
): ReadableFile & WritableFile {
  return {
    get sizeBytes() {
      return file.sizeBytes;
    },
    readAt: async (target, offset) => await file.readAt(target, offset),
    writeAt: async (bytes, offset) => {
      await file.writeAt(bytes, offset);
      const total = file.sizeBytes <= document.sizeBytes ? document.sizeBytes : null;
      onProgress?.(written(file.sizeBytes, total));
    },
  };
}

const written = (done: number, total: number | null): RestoreProgress => ({
  step: 'writing the result',
  done,
  total,
  unit: 'bytes',
});

/** What the log has after a revision, up to the one that is wanted; what it proves is collected on the way. */
export async function* batchesAfter(
  { archive, plan, signal }: RestoreOptions,
  revision: bigint,
  proofs: ProofCollection,
  tally: { segments: number },
): AsyncGenerator<SpliceBatch, void, undefined> {
  if (plan.revision <= revision) return;
  let last = revision;
  try {
    for await (const item of readLine(archive, plan.line, revision + 1n, signal)) {
      if (item.kind === 'segment') tally.segments += 1;
      else if (item.kind === 'proof') proofs.add(item.proof);
      if (item.kind !== 'batch' || item.position.lastRevision <= revision) continue;
      yield item.batch;
      last = item.batch.revisions.at(-1)?.revision ?? last;
      // What is behind it need not be readable.
      if (last >= plan.revision) return;
    }
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    throw new RestoreError(
      'unreachable',
      `the log cannot be read beyond revision ${last}: ${error.message}`,
      {
        cause: error,
        hint: `Restore to revision ${last} or an earlier one, or to one of a later full backup.`,
      },
    );
  }
}

async function prove(
  { archive, plan, proofsMax, onProgress, signal }: RestoreOptions,
  file: ReadableFile,
  full: EtcdBackend,
  proofs: ProofCollection,
): Promise<ProofReport> {
  const { line, revision: to } = plan;
  const { compactRevision } = full;
  const earliest = full.revision - PROOF_LOOKBACK_REVISIONS;
  const from = earliest > compactRevision ? earliest : compactRevision + 1n;
  await collectProofs(proofs, archive, line, { from, to: full.revision, signal });
  await collectProofs(proofs, archive, line, { from: to, to, signal });
  // The marks of a raised revision are left out of account: what was told was told before.
  const result = { ...(await openBackend(databaseIn(file))), revision: to, compactRevision };
  return await compareProofs(result, proofs.within(compactRevision + 1n, to), {
    countMax: proofsMax,
    onProgress: (done, total) => onProgress?.({ step: 'comparing proofs', done, total, unit: 'hashes' }),
    signal,
  });
}

function reportOf(
  { archive, plan }: RestoreOptions,
  full: Full,
  backend: EtcdBackend,
  { eventsSpliced, revision, headRevision, sizeBytes, unknownLeases }: SpliceResult,
  found: Pick<RestoreReport, 'passedOver' | 'segments' | 'proofs'>,
): RestoreReport {
  const { epoch, clusterId } = plan.line.epoch.document;
  return {
    method: 'splice',
    place: archive.store.place,
    archiveId: archive.id,
    epoch,
    clusterId,
    full: { epoch: full.document.epoch, name: full.name, revision: String(backend.revision) },
    ...found,
    events: eventsSpliced,
    revision: String(revision),
    atMs: plan.atMs,
    headRevision: String(headRevision),
    sizeBytes,
    unknownLeases: unknownLeases.map((id) => BigInt.asUintN(64, id).toString(16)),
  };
}

/** Whether another full may do where one failed like this. */
function isOfFull(error: unknown): error is ArchiveError | BackendError | BoltError {
  return error instanceof ArchiveError || error instanceof BackendError || error instanceof BoltError;
}

function disprovedError({ revision }: RestorePlan, full: Full, proofs: ProofReport): RestoreError {
  const [first] = proofs.disagreeing;
  const what = first === undefined ? '' : disagreementText(first);
  const sound =
    proofs.newestAgreeing === null
      ? 'No earlier hash of this full agrees either.'
      : `Up to revision ${proofs.newestAgreeing} it is proven: restore to that.`;
  return new RestoreError(
    'disproved',
    `revision ${revision}, made of full ${full.name}, is not what the cluster had: ${what}`,
    { hint: `${sound} To take it as it is, say --accept-mismatch.` },
  );
}
