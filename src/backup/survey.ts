import { describeError } from '../base/errors.ts';
import { type Archive, type Epoch, listEpochs } from './archive.ts';
import type { EpochDocument, FullDocument, Gap } from './documents.ts';
import { ArchiveError } from './errors.ts';
import { type Full, listFulls, revisionOf, verifyFull } from './full.ts';
import { findLogEnd, type LogRest, readLog } from './log-reader.ts';
import { epochKey, fullKey, logPrefix } from './names.ts';
import { ArchiveStoreError } from './store-port.ts';

/** What an archive has, by a look that costs little however long its logs are. For people and as JSON. */
export interface ArchiveSurvey {
  readonly place: string;
  readonly archiveId: string;
  readonly owner: string;
  /** Oldest first. */
  readonly epochs: readonly EpochSurvey[];
}
export interface EpochSurvey {
  readonly document: EpochDocument;
  /** Oldest first. */
  readonly fulls: readonly FullSurvey[];
  /** `null` where none was begun. */
  readonly log: LogSurvey | null;
}
export interface FullSurvey {
  readonly name: string;
  readonly document: FullDocument;
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
  for (const epoch of await listEpochs(archive, signal)) {
    const { header, position, rest } = await findLogEnd(archive, epoch, signal);
    const log =
      header === null
        ? null
        : {
            base: header.base,
            lastRevision: String(position.lastRevision),
            segments: position.sequence,
            generation: header.generation,
            rest,
          };
    epochs.push({ document: epoch.document, fulls: await listFulls(archive, epoch, signal), log });
  }
  return { place: archive.store.place, archiveId: archive.id, owner: archive.owner, epochs };
}

/** Rejects with an {@link ArchiveError} `missing` where there is no full of that name. */
export async function findFull(archive: Archive, name: string, signal: AbortSignal): Promise<FullSurvey> {
  for (const epoch of await listEpochs(archive, signal)) {
    const full = (await listFulls(archive, epoch, signal)).find((candidate) => candidate.name === name);
    if (full !== undefined) return full;
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
  readonly problems: readonly { readonly object: string; readonly problem: string }[];
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
}

/**
 * Reads every byte of an archive and holds it against its hashes. What is wrong becomes a problem of the result;
 * it rejects only when the store cannot be read.
 * @param onProgress told of each object before it is read.
 */
export async function verifyArchive(
  archive: Archive,
  options: { readonly onProgress?: (object: string) => void; readonly signal: AbortSignal },
): Promise<Verification> {
  const { signal } = options;
  const problems: { object: string; problem: string }[] = [];
  const epochs: VerifiedEpoch[] = [];
  const check = async (object: string, work: () => Promise<void>): Promise<boolean> => {
    options.onProgress?.(object);
    try {
      await work();
      return true;
    } catch (error) {
      const isFound = error instanceof ArchiveStoreError && error.code === 'not-found';
      if (!(error instanceof ArchiveError || isFound)) throw error;
      problems.push({ object, problem: describeError(error) });
      return false;
    }
  };
  let found: readonly Epoch[] = [];
  await check('epochs', async () => {
    found = await listEpochs(archive, signal);
  });
  for (const epoch of found) {
    const number = epoch.document.epoch;
    const log = createLogTally();
    await check(logPrefix(number), async () => {
      for await (const item of readLog(archive, epoch, { signal })) {
        if (item.kind === 'segment') log.segment(item.header.gap);
        else if (item.kind === 'batch') log.batch(item.batch);
        else if (item.kind === 'proof') log.proof();
        else if (item.kind === 'rest') {
          const { key, bytes, damage } = item.rest;
          problems.push({
            object: key,
            problem:
              damage ??
              `${bytes} bytes at its end are no whole frame: a crash has cut it, or it is written now`,
          });
        }
      }
    });
    let fulls: readonly Full[] = [];
    await check(epochKey(number), async () => {
      fulls = await listFulls(archive, epoch, signal);
    });
    const sound: Full[] = [];
    for (const full of fulls) {
      const isSound = await check(
        fullKey(number, full.name),
        async () => await verifyFull(archive, full, signal),
      );
      if (isSound) sound.push(full);
    }
    epochs.push({
      epoch: number,
      ...log.result(),
      restorable: sound.map((full) => restorableFrom(full, log.runs)),
    });
  }
  return { place: archive.store.place, archiveId: archive.id, epochs, problems };
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
    batch: (batch: {
      atMs: number;
      revisions: readonly { revision: bigint; events: readonly unknown[] }[];
    }): void => {
      const from = batch.revisions[0]?.revision;
      const to = batch.revisions.at(-1)?.revision;
      if (from === undefined || to === undefined) return;
      const last = runs.at(-1);
      if (isCut || last === undefined) runs.push({ from, to, fromMs: batch.atMs, toMs: batch.atMs });
      else [last.to, last.toMs] = [to, batch.atMs];
      isCut = false;
      batches += 1;
      revisions += batch.revisions.length;
      events += batch.revisions.reduce((sum, revision) => sum + revision.events.length, 0);
    },
    proof: (): void => {
      proofs += 1;
    },
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

function restorableFrom(full: Full, runs: readonly Run[]): Restorable {
  const revision = revisionOf(full);
  const run = runs.find(({ from, to }) => from <= revision + 1n && to > revision);
  return {
    full: full.name,
    fromRevision: String(revision),
    toRevision: String(run === undefined ? revision : run.to),
  };
}
