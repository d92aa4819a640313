import type { Archive, Epoch } from './archive.ts';
import { type Full, revisionOf } from './full.ts';
import { RestoreError } from './restore-error.ts';
import { findLine, type Line, lineRevisionAt, lineTimeOf } from './restore-line.ts';

/** Up to where to restore. */
export type RestoreTarget =
  | { readonly kind: 'head' }
  | { readonly kind: 'revision'; readonly revision: bigint }
  /** The last revision that had come by then, by the archivers' clocks. */
  | { readonly kind: 'time'; readonly atMs: number };

/** What a restore begins with and reads, found by a few looks; whether it can be read shows when it is. */
export interface RestorePlan {
  readonly line: Line;
  /** The last revision of the result. */
  readonly revision: bigint;
  /** When it came; `null` where that is not known. */
  readonly atMs: number | null;
  /** Those from which the log goes on to the revision without a gap, newest first; at least one. */
  readonly fulls: readonly Full[];
}

/** Revisions of which each can be restored. */
export interface RestorableRange {
  readonly from: bigint;
  readonly to: bigint;
  /** When they came; `null` where that is not known. */
  readonly fromMs: number | null;
  readonly toMs: number | null;
  /** How many fulls one can begin with. */
  readonly fulls: number;
}

const TARGETS = 'head, a revision (a number), or a time with its zone, as 2026-03-01T09:30:00Z';
const REVISION_MAX = 2n ** 63n - 1n;

/** Reads what a person typed. Throws a {@link RestoreError} `bad-target`. */
export function parseTarget(text: string): RestoreTarget {
  if (text === 'head') return { kind: 'head' };
  if (/^\d{1,19}$/.test(text) && BigInt(text) >= 1n && BigInt(text) <= REVISION_MAX) {
    return { kind: 'revision', revision: BigInt(text) };
  }
  const time = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|z|[+-]\d\d:\d\d)?$/.exec(text);
  const [, date = '', clock = '', zone] = time ?? [];
  const isDay = date !== '' && dayOf(Date.parse(`${date}T00:00:00Z`)) === date;
  if (time !== null && zone === undefined) {
    throw new RestoreError('bad-target', `${JSON.stringify(text)} does not say in which time zone it is`, {
      hint: `Add Z for UTC, or an offset: ${date}T${clock}Z.`,
    });
  }
  const atMs = isDay ? Date.parse(`${date}T${clock}${zone?.toUpperCase() ?? ''}`) : Number.NaN;
  if (Number.isFinite(atMs)) return { kind: 'time', atMs };
  throw new RestoreError('bad-target', `${JSON.stringify(text)} is nothing to restore to`, {
    hint: `Give ${TARGETS}.`,
  });
}

/**
 * Finds out with what to restore an archive to `target`. Rejects with a {@link RestoreError}: `bad-target` for an epoch
 * that is not there or a time to come, `unreachable` for what the archive cannot give, with what it can.
 * @param options.epoch the newest by default. `nowMs`: wall clock.
 */
export async function planRestore(
  archive: Archive,
  target: RestoreTarget,
  options: { readonly epoch?: number | null; readonly nowMs: number; readonly signal: AbortSignal },
): Promise<RestorePlan> {
  const { epoch = null, nowMs, signal } = options;
  if (target.kind === 'time' && target.atMs > nowMs) {
    throw new RestoreError('bad-target', `${timeText(target.atMs)} is still to come`, {
      hint: `It is ${timeText(nowMs)} now. Give head for the newest that there is.`,
    });
  }
  const line = await findLine(archive, epoch, signal);
  const revision = await revisionFor(archive, line, target, signal);
  const fulls = revision === null ? [] : fullsFor(line, revision);
  if (revision !== null && fulls.length > 0) {
    return { line, revision, fulls, atMs: await lineTimeOf(archive, line, revision, signal) };
  }
  throw unreachable(line, target, revision, await restorableRanges(archive, line, signal));
}

/** What can be restored of a line, oldest first. */
export async function restorableRanges(
  archive: Archive,
  line: Line,
  signal: AbortSignal,
): Promise<readonly RestorableRange[]> {
  const ranges: { from: bigint; to: bigint; fulls: number }[] = [];
  const left = new Set(line.fulls);
  for (const { after, last } of line.runs) {
    const within = [...left].filter((full) => revisionOf(full) >= after && revisionOf(full) <= last);
    for (const full of within) left.delete(full);
    const [first] = within;
    if (first !== undefined) ranges.push({ from: revisionOf(first), to: last, fulls: within.length });
  }
  for (const [revision, alone] of Map.groupBy(left, revisionOf)) {
    ranges.push({ from: revision, to: revision, fulls: alone.length });
  }
  ranges.sort((one, other) => (one.from < other.from ? -1 : 1));
  const timed: RestorableRange[] = [];
  for (const range of ranges) {
    const fromMs = await lineTimeOf(archive, line, range.from, signal);
    timed.push({ ...range, fromMs, toMs: await lineTimeOf(archive, line, range.to, signal) });
  }
  return timed;
}

/** As text for people: `11 (2026-03-01T09:30:00.000Z) to 60 (…)`. */
export function rangeText({ from, to, fromMs, toMs }: RestorableRange): string {
  const end = (revision: bigint, atMs: number | null): string =>
    atMs === null ? String(revision) : `${revision} (${timeText(atMs)})`;
  return from === to ? end(from, fromMs) : `${end(from, fromMs)} to ${end(to, toMs)}`;
}

/** A time as {@link parseTarget} takes it back, to the millisecond: a revision that came a moment later is not of it. */
export const timeText = (ms: number): string => new Date(ms).toISOString();

async function revisionFor(
  archive: Archive,
  line: Line,
  target: RestoreTarget,
  signal: AbortSignal,
): Promise<bigint | null> {
  if (target.kind === 'revision') return target.revision;
  if (target.kind === 'head') return line.head;
  return await lineRevisionAt(archive, line, target.atMs, signal);
}

function fullsFor({ runs, fulls }: Line, revision: bigint): readonly Full[] {
  const run = runs.find(({ after, last }) => after < revision && revision <= last);
  return fulls
    .filter((full) => {
      const has = revisionOf(full);
      return has === revision || (run !== undefined && has >= run.after && has < revision);
    })
    .toReversed();
}

function unreachable(
  { epoch, runs, fulls, damaged, head }: Line,
  target: RestoreTarget,
  revision: bigint | null,
  ranges: readonly RestorableRange[],
): RestoreError {
  const asked = target.kind === 'time' ? timeText(target.atMs) : `revision ${revision}`;
  const why = (): string => {
    if (fulls.length === 0) {
      const whys = damaged.map(({ error }) => error.message).join('; ');
      return whys === '' ? 'there is no full backup' : `no full backup can be used: ${whys}`;
    }
    if (revision === null) return 'nothing was archived by then';
    if (revision > head) return `the archive ends at revision ${head}`;
    const isLogged = runs.some(({ after, last }) => after < revision && revision <= last);
    const at = target.kind === 'time' ? `, which was at revision ${revision}` : '';
    return isLogged
      ? `no full backup is there from which the log goes on to it without a gap${at}`
      : `it is in a gap of the log, and in no full backup${at}`;
  };
  const can = ranges.map(rangeText).join('; ');
  return new RestoreError('unreachable', `${asked} of ${nameOf(epoch)} cannot be restored: ${why()}`, {
    hint:
      can === ''
        ? 'Nothing of this epoch can be; `etcd-mesos backup list` shows the others.'
        : `Revisions that can be: ${can}. Give one of them, or a time in between.`,
  });
}

const nameOf = ({ document }: Epoch): string => `epoch ${document.epoch}`;
const dayOf = (ms: number): string => (Number.isFinite(ms) ? new Date(ms).toISOString().slice(0, 10) : '');
