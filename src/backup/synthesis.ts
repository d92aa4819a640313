import type { Clock } from '../base/ports.ts';
import type { ReadableFile } from './bolt/file-port.ts';
import { ArchiveError } from './errors.ts';
import { type Full, putFull, revisionOf } from './full.ts';
import { type DraftFile, type RestoreOptions, type RestoreReport, restoreArchive } from './restore.ts';
import { planRestore } from './restore-plan.ts';

/** A full that no member had to give. */
export interface Synthesis {
  readonly full: Full;
  /** How it was made and proven; `null` where the newest full had all that the log has already, and is `full`. */
  readonly report: RestoreReport | null;
}

export interface SynthesisOptions
  extends Pick<RestoreOptions<DraftFile>, 'archive' | 'newFile' | 'onProgress' | 'signal'> {
  /** `null`: the newest. */
  readonly epoch: number | null;
  readonly clock: Clock;
}

const PIECE_BYTES = 1024 * 1024;

/**
 * Makes a full of the newest one and the log, up to the log's end, and puts it into the archive: as good as one that a
 * member gives, since every field of every record is the same, and every hash that members told on the way is compared.
 * Safe to repeat, and while the archive is written. Rejects as a restore does.
 */
export async function synthesizeFull(options: SynthesisOptions): Promise<Synthesis> {
  const { archive, clock, signal, epoch } = options;
  const target = { kind: 'head' } as const;
  const plan = await planRestore(archive, target, { epoch, nowMs: clock.wallMs(), signal });
  const present = plan.fulls.find((full) => revisionOf(full) === plan.revision);
  if (present !== undefined) return { full: present, report: null };
  const { file, report } = await restoreArchive({ ...options, plan });
  try {
    const source = sourceOf(report, plan.fulls);
    const { memberId, etcdVersion, generation } = source.document;
    const about = { memberId, etcdVersion, revisionAtLeast: report.revision, madeFrom: source.name };
    const reason = `made of full ${source.name} and the log`;
    const full = await putFull(
      { archive, epoch: plan.line.epoch, generation, clock },
      { pieces: piecesOf(file), about: { ...about, reason } },
      signal,
    );
    return { full, report };
  } finally {
    await file.discard();
  }
}

function sourceOf({ full }: RestoreReport, fulls: readonly Full[]): Full {
  const source = fulls.find(({ name, document }) => name === full.name && document.epoch === full.epoch);
  if (source === undefined)
    throw new ArchiveError('missing', `full ${full.name} is not in the archive any more`);
  return source;
}

async function* piecesOf(file: ReadableFile): AsyncGenerator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < file.sizeBytes; ) {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, file.sizeBytes - offset));
    const length = await file.readAt(piece, offset);
    if (length === 0)
      throw new ArchiveError('corrupt', `a file of ours ends at ${offset} of ${file.sizeBytes} bytes`);
    yield piece.subarray(0, length);
    offset += length;
  }
}
