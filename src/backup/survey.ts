import { describeError } from '../base/errors.ts';
import { type Archive, type Epochs, lookAtEpochs } from './archive.ts';
import { BackendError } from './backend/backend-error.ts';
import { type Batch, cameAtMs } from './batch.ts';
import { BoltError } from './bolt/bolt-error.ts';
import type { EpochDocument, FullDocument, Gap } from './documents.ts';
import { ArchiveError } from './errors.ts';
import { type Full, lookAtFulls, readFull, revisionOf } from './full.ts';
import { findLogEnd, type LogRest } from './log-end.ts';
import { readLog } from './log-reader.ts';
import { baseOfLog } from './log-runs.ts';
import { findMissing } from './missing-objects.ts';
import { ARCHIVE_KEY, epochKey, fullKey, logPrefix } from './names.ts';
import { type RestoreOptions, restoreArchive } from './restore.ts';
import { RestoreError } from './restore-error.ts';
import { findLine } from './restore-line.ts';
import { planRestore, type RestorePlan, restorableRanges } from './restore-plan.ts';
import { disagreementText, type ProofReport } from './restore-proofs.ts';
import { ArchiveStoreError } from './store-port.ts';

/** What an archive has, by a look that costs little however long its logs are. For people and as JSON. */
export interface ArchiveSurvey {
  readonly place: string;
  readonly archiveId: string;
  readonly owner: string;
  /** Oldest first. */
  readonly epochs: readonly EpochSurvey[];
  /** Epochs whose document is not what was written: nothing of them can be restored. */
  readonly damaged: readonly Problem[];
}
export interface EpochSurvey {
  readonly document: EpochDocument;
  /** Oldest first. */
  readonly fulls: readonly FullSurvey[];
  /** Fulls whose description is not what was written: they cannot be used. */
  readonly damaged: readonly DamageSurvey[];
  /** `null` where none was begun. */
  readonly log: LogSurvey | null;
  /** Revisions to which it can be restored, with what it came from, oldest first. */
  readonly restorable: readonly RangeSurvey[];
}
export interface RangeSurvey {
  readonly from: string;
  readonly to: string;
  /** When they came; `null` where that is not known. */
  readonly fromMs: number | null;
  readonly toMs: number | null;
}
export interface FullSurvey {
  readonly name: string;
  readonly document: FullDocument;
}
export interface DamageSurvey {
  readonly name: string;
  readonly problem: string;
}
export interface LogSurvey {
  /** It has every revision after this one. */
  readonly base: string;
  readonly lastRevision: string;
  readonly segments: number;
  /** Of who wrote it last. */
  readonly generation: number;
  readonly rest: LogRest | null;
}

/** Looks at everything but the logs' content. Rejects with an {@link ArchiveError} where it makes no sense. */
export async function surveyArchive(archive: Archive, signal: AbortSignal): Promise<ArchiveSurvey> {
  const epochs: EpochSurvey[] = [];
  const found = await lookAtEpochs(archive, signal);
  for (const epoch of found.sound) {
    const { header, position, rest } = await findLogEnd(archive, epoch, signal);
    const log =
      header === null
        ? null
        : {
            base: String(await baseOfLog(archive, epoch, header, position, signal)),
            lastRevision: String(position.lastRevision),
            segments: position.sequence,
            generation: header.generation,
            rest,
          };
    const line = await findLine(archive, epoch.document.epoch, signal);
    const restorable = (await restorableRanges(archive, line, signal)).map((range) => ({
      ...range,
      from: String(range.from),
      to: String(range.to),
    }));
    const { sound, damaged } = await lookAtFulls(archive, epoch, signal);
    epochs.push({
      document: epoch.document,
      fulls: sound,
      damaged: damaged.map(({ name, error }) => ({ name, problem: error.message })),
      log,
      restorable,
    });
  }
  const damaged = found.damaged.map(damagedEpoch);
  return { place: archive.store.place, archiveId: archive.id, owner: archive.owner, epochs, damaged };
}

/** Rejects with an {@link ArchiveError}: `missing` where there is no full of that name, `corrupt` where it is damaged. */
export async function findFull(archive: Archive, name: string, signal: AbortSignal): Promise<FullSurvey> {
  for (const epoch of (await lookAtEpochs(archive, signal)).sound) {
    const { sound, damaged } = await lookAtFulls(archive, epoch, signal);
    const full = sound.find((candidate) => candidate.name === name);
    if (full !== undefined) return full;
    const unreadable = damaged.find((candidate) => candidate.name === name);
    if (unreadable !== undefined) throw unreadable.error;
  }
  throw new ArchiveError('missing', `${archive.store.place} has no full backup ${JSON.stringify(name)}`, {
    hint: 'Name one that `etcd-mesos backup list` prints.',
  });
}

/** What was found when everything was read. For people and as JSON. */
export interface Verification {
  readonly place: string;
  readonly archiveId: string;
  readonly epochs: readonly VerifiedEpoch[];
  /** Whatever is not as it should be; empty: every byte is the one that was written. */
  readonly problems: readonly Problem[];
}
export interface Problem {
  readonly object: string;
  readonly problem: string;
}
export interface VerifiedEpoch {
  readonly epoch: number;
  readonly batches: number;
  readonly revisions: number;
  readonly events: number;
  readonly proofs: number;
  readonly gaps: readonly Gap[];
  /** Revisions of the log without a gap. */
  readonly runs: readonly RevisionRun[];
  /** Every sound full, and how far the log goes on from it. */
  readonly restorable: readonly Restorable[];
}
export interface RevisionRun {
  readonly from: string;
  readonly to: string;
  /** When they came, by the archivers' clocks. */
  readonly fromMs: number;
  readonly toMs: number;
}
export interface Restorable {
  readonly full: string;
  readonly fromRevision: string;
  readonly toRevision: string;
  /** What came of restoring it to its last revision; `null` where that was not done, or not possible. */
  readonly proofs: ProofReport | null;
}
export interface VerifyOptions {
  /** With it every sound full is restored to the end of its log, and all hashes that members told are compared. */
  readonly newFile?: RestoreOptions['newFile'];
  readonly onProgress?: (progress: VerifyProgress) => void;
  readonly signal: AbortSignal;
}
/** How far one thing was read; `total` is `null` where that is not known. */
export interface VerifyProgress {
  readonly step: string;
  readonly done: number;
  readonly total: number | null;
  readonly unit: 'bytes' | 'revisions' | 'hashes';
}

/**
 * Reads every byte of an archive and holds it against its hashes. What is wrong becomes a problem of the result;
 * it rejects only when the store cannot be read, or there is no room for what is restored.
 */
export async function verifyArchive(archive: Archive, options: VerifyOptions): Promise<Verification> {
  const { signal } = options;
  const problems: Problem[] = [];
  const epochs: VerifiedEpoch[] = [];
  const tell = (step: string, done: number, total: number | null, unit: VerifyProgress['unit']): void =>
    options.onProgress?.({ step, done, total, unit });
  const check = async <T>(object: string, work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      if (!isOfArchive(error)) throw error;
      problems.push({ object, problem: describeError(error) });
      return null;
    }
  };
  const found = await lookAtEpochs(archive, signal);
  problems.push(...found.damaged.map(damagedEpoch), ...madeAgain(archive, found));
  for (const epoch of found.sound) {
    const number = epoch.document.epoch;
    const log = createLogTally();
    await check(logPrefix(number), async () => {
      const step = `reading the log of epoch ${number}`;
      for await (const item of readLog(archive, epoch, { signal })) {
        if (item.kind === 'segment') log.segment(item.header.gap);
        else if (item.kind === 'batch') log.batch(item.batch);
        else if (item.kind === 'proof') log.proof();
        else if (item.kind === 'rest') problems.push(problemOf(item.rest));
        tell(step, log.revisions(), null, 'revisions');
      }
    });
    const fulls = await check(epochKey(number), async () => await lookAtFulls(archive, epoch, signal));
    for (const { name, error } of fulls?.damaged ?? []) {
      problems.push({ object: fullKey(number, name), problem: error.message });
    }
    const restorable: Restorable[] = [];
    for (const full of fulls?.sound ?? []) {
      const key = fullKey(number, full.name);
      const isSound = await check(key, async () => {
        let done = 0;
        for await (const piece of readFull(archive, full, signal)) {
          done += piece.byteLength;
          tell(`reading full ${full.name}`, done, full.document.sizeBytes, 'bytes');
        }
        return true;
      });
      if (isSound === null) continue;
      const range = restorableFrom(full, log.runs);
      const proofs = await check(key, async () => {
        const line = await findLine(archive, number, signal);
        const plan = { line, revision: BigInt(range.toRevision), atMs: null, fulls: [full] };
        return await provePlan(archive, plan, options);
      });
      problems.push(...disagreements(key, proofs));
      restorable.push({ ...range, proofs });
    }
    epochs.push({ epoch: number, ...log.result(), restorable });
  }
  const known = new Set(found.sound.map(({ document }) => document.epoch));
  problems.push(...(await findMissing(archive, known, signal)));
  if (epochs.length === 0 && problems.length === 0) {
    problems.push({ object: archive.store.place, problem: 'nothing was archived yet' });
  }
  if (epochs.length > 0 && options.newFile !== undefined) {
    problems.push(
      ...((await check('the newest revision', async () => await proveHead(archive, options))) ?? []),
    );
  }
  return { place: archive.store.place, archiveId: archive.id, epochs, problems };
}

/** The newest revision has to be restorable too, be it from a full of an epoch before. */
async function proveHead(archive: Archive, options: VerifyOptions): Promise<readonly Problem[]> {
  const plan = await planRestore(archive, { kind: 'head' }, { nowMs: 0, signal: options.signal });
  const { epoch } = plan.line.epoch.document;
  const [full] = plan.fulls;
  // What a full of its own comes to was compared already.
  if (full === undefined || full.document.epoch === epoch) return [];
  return disagreements(fullKey(full.document.epoch, full.name), await provePlan(archive, plan, options));
}

/** Restores, compares every hash that members told, and throws the result away; `null` where that is not wanted. */
async function provePlan(
  archive: Archive,
  plan: RestorePlan,
  { newFile, onProgress, signal }: VerifyOptions,
): Promise<ProofReport | null> {
  if (newFile === undefined) return null;
  const { file, report } = await restoreArchive({
    archive,
    plan,
    newFile,
    acceptsMismatch: true,
    onProgress: (progress) =>
      onProgress?.({ ...progress, step: `to revision ${plan.revision}: ${progress.step}` }),
    signal,
  });
  await file.discard();
  return report.proofs;
}

function disagreements(object: string, proofs: ProofReport | null): readonly Problem[] {
  return (proofs?.disagreeing ?? []).map((each) => ({ object, problem: disagreementText(each) }));
}

/** Whether an error tells of the archive's content. */
function isOfArchive(error: unknown): boolean {
  if (error instanceof RestoreError) return error.code !== 'no-room' && error.code !== 'interrupted';
  if (error instanceof ArchiveStoreError) return error.code === 'not-found';
  return error instanceof ArchiveError || error instanceof BackendError || error instanceof BoltError;
}

const damagedEpoch = ({ number, error }: Epochs['damaged'][number]): Problem => ({
  object: epochKey(number),
  problem: error.message,
});

/** Documents that were lost or damaged, and that other objects tell of. */
function madeAgain(archive: Archive, { sound }: Epochs): readonly Problem[] {
  const documents = [
    { object: ARCHIVE_KEY, damage: archive.damage },
    ...sound.map(({ document, damage }) => ({ object: epochKey(document.epoch), damage })),
  ];
  return documents.flatMap(({ object, damage }) =>
    damage === null ? [] : [{ object, problem: `${damage}; what it said is taken from other objects` }],
  );
}

function problemOf({ key, bytes, damage }: LogRest): Problem {
  const cut = `${bytes} bytes at its end are no whole frame: a crash has cut it, or it is written now`;
  return { object: key, problem: damage ?? cut };
}

interface Run {
  from: bigint;
  to: bigint;
  fromMs: number;
  toMs: number;
}

/** Counts what a log says. */
function createLogTally() {
  const runs: Run[] = [];
  const gaps: Gap[] = [];
  let isCut = true;
  let [batches, revisions, events, proofs] = [0, 0, 0, 0];
  return {
    runs,
    segment: (gap: Gap | null): void => {
      if (gap === null) return;
      gaps.push(gap);
      isCut = true;
      // A revision that lacks a part is in the log, and does not count.
      const last = runs.at(-1);
      if (last !== undefined && last.to >= BigInt(gap.from)) last.to = BigInt(gap.from) - 1n;
    },
    batch: (batch: Batch): void => {
      const [first, newest] = [batch.revisions[0], batch.revisions.at(-1)];
      if (first === undefined || newest === undefined) return;
      const [from, to, toMs] = [first.revision, newest.revision, cameAtMs(batch, newest)];
      const last = runs.at(-1);
      if (isCut || last === undefined) runs.push({ from, to, fromMs: batch.atMs, toMs });
      else [last.to, last.toMs] = [to, toMs];
      isCut = false;
      batches += 1;
      revisions += batch.revisions.length;
      events += batch.revisions.reduce((sum, revision) => sum + revision.events.length, 0);
    },
    proof: (): void => {
      proofs += 1;
    },
    revisions: (): number => revisions,
    result: () => ({
      batches,
      revisions,
      events,
      proofs,
      gaps,
      runs: runs.map((run) => ({ ...run, from: String(run.from), to: String(run.to) })),
    }),
  };
}

function restorableFrom(full: Full, runs: readonly Run[]): Omit<Restorable, 'proofs'> {
  const revision = revisionOf(full);
  const run = runs.find(({ from, to }) => from <= revision + 1n && to > revision);
  return {
    full: full.name,
    fromRevision: String(revision),
    toRevision: String(run === undefined ? revision : run.to),
  };
}
