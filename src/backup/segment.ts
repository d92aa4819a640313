import { assert } from '../base/assert.ts';
import { type Batch, decodeBatch, encodeBatch } from './batch.ts';
import {
  decodeRecord,
  encodeRecord,
  type Proof,
  proofSchema,
  type SegmentEnd,
  type SegmentHeader,
  segmentEndSchema,
  segmentHeaderSchema,
} from './documents.ts';
import { ArchiveError } from './errors.ts';
import { createFrameDecoder, createFrameEncoder, type Frame } from './frames.ts';

/** Makes the bytes of one segment: a header, batches and proofs, an end. */
export interface SegmentEncoder {
  readonly header: SegmentHeader;
  /** To be called first, once. */
  begin(): Buffer;
  /** The revisions have to follow those before. */
  batch(batch: Batch): Buffer;
  proof(proof: Proof): Buffer;
  /** Nothing follows it. */
  end(closedAtMs: number): Buffer;
  /** Of all that was made. */
  readonly hash: string;
  readonly lastRevision: bigint;
  readonly sizeBytes: number;
}

export function createSegmentEncoder(header: SegmentHeader): SegmentEncoder {
  const frames = createFrameEncoder({ compress: true });
  let lastRevision = BigInt(header.firstRevision) - 1n;
  let sizeBytes = 0;
  let [revisions, events] = [0, 0];
  const counted = (bytes: Buffer): Buffer => {
    sizeBytes += bytes.byteLength;
    return bytes;
  };
  return {
    header,
    begin: () => counted(frames.encode('header', encodeRecord(header))),
    batch: (batch) => {
      const first = batch.revisions[0]?.revision;
      assert(first === undefined || first === lastRevision + 1n, `${first} does not follow ${lastRevision}`);
      lastRevision = batch.revisions.at(-1)?.revision ?? lastRevision;
      revisions += batch.revisions.length;
      events += batch.revisions.reduce((sum, revision) => sum + revision.events.length, 0);
      return counted(frames.encode('batch', encodeBatch(batch)));
    },
    proof: (proof) => counted(frames.encode('proof', encodeRecord(proof))),
    end: (closedAtMs) => {
      const end: SegmentEnd = { lastRevision: String(lastRevision), revisions, events, closedAtMs };
      return counted(frames.encode('end', encodeRecord(end)));
    },
    get hash() {
      return frames.hash;
    },
    get lastRevision() {
      return lastRevision;
    },
    get sizeBytes() {
      return sizeBytes;
    },
  };
}

/** One thing that a segment says. `hash` stands for it and for all before. */
export type SegmentItem = (
  | { readonly kind: 'header'; readonly header: SegmentHeader }
  | { readonly kind: 'batch'; readonly batch: Batch }
  | { readonly kind: 'proof'; readonly proof: Proof }
  | { readonly kind: 'end'; readonly end: SegmentEnd }
) & {
  readonly hash: string;
  /** Of all up to here. */
  readonly lastRevision: bigint;
  /** Of all up to here. */
  readonly sizeBytes: number;
};

/**
 * What a segment says, in its order, every byte checked before it is looked at. Throws an {@link ArchiveError}
 * `corrupt` or `unsupported` at the first thing that is not right. Bytes at the end that are no whole frame are left
 * out: whether any should be there the next segment tells.
 * @param name of its object, for people.
 */
export async function* readSegment(
  name: string,
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<SegmentItem, void, undefined> {
  const frames = createFrameDecoder(name);
  const reader = createItemReader(name);
  for await (const part of content) {
    for (const frame of frames.push(part)) yield reader(frame);
  }
}

/** Checks that frames follow each other as a segment's do. */
function createItemReader(name: string): (frame: Frame) => SegmentItem {
  let state: 'start' | 'open' | 'ended' = 'start';
  let lastRevision = 0n;
  return (frame) => {
    const at = () => ({ hash: frame.hash, lastRevision, sizeBytes: frame.endBytes });
    if ((frame.kind === 'header') !== (state === 'start') || state === 'ended') {
      throw new ArchiveError('corrupt', `${name} has a frame “${frame.kind}” where none can be`);
    }
    state = frame.kind === 'end' ? 'ended' : 'open';
    switch (frame.kind) {
      case 'header': {
        const header = decodeRecord(segmentHeaderSchema, name, frame.payload);
        lastRevision = BigInt(header.firstRevision) - 1n;
        return { kind: 'header', header, ...at() };
      }
      case 'batch': {
        const batch = decodeBatch(name, frame.payload);
        const first = batch.revisions[0]?.revision;
        if (first !== undefined && first !== lastRevision + 1n) {
          throw new ArchiveError('corrupt', `${name} has revision ${first} after ${lastRevision}`);
        }
        lastRevision = batch.revisions.at(-1)?.revision ?? lastRevision;
        return { kind: 'batch', batch, ...at() };
      }
      case 'proof':
        return { kind: 'proof', proof: decodeRecord(proofSchema, name, frame.payload), ...at() };
      case 'end': {
        const end = decodeRecord(segmentEndSchema, name, frame.payload);
        if (BigInt(end.lastRevision) !== lastRevision) {
          throw new ArchiveError(
            'corrupt',
            `${name} ends with revision ${lastRevision}, not ${end.lastRevision}`,
          );
        }
        return { kind: 'end', end, ...at() };
      }
    }
  };
}
