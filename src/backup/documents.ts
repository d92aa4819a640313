import { createHash } from 'node:crypto';
import * as z from 'zod';
import { jsonOf } from '../base/body.ts';
import { etcdId, uint64Text } from '../protocol/identifiers.ts';
import { ArchiveError } from './errors.ts';

/**
 * What stands in an archive as JSON. Each document names its format and its version: a newer version is refused,
 * whatever else is in it.
 */
const FORMAT_VERSION = 1;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hex');
const wallMs = z.number();
const ordinal = z.number().int().min(1);
const version = z.literal(FORMAT_VERSION);

/** Whose archive this is. Written once, when it is made. */
export const archiveDocumentSchema = z.strictObject({
  format: z.literal('etcd-mesos archive'),
  version,
  /** A UUID. The cluster record remembers it: an archive with another one is another archive. */
  archiveId: z.string().min(1).max(100),
  /** The cluster that it was made for. */
  owner: z.string().min(1).max(300),
  createdAtMs: wallMs,
});
export type ArchiveDocument = z.infer<typeof archiveDocumentSchema>;

/** Where a log goes on: a segment's number, the hash of its last frame that counts and the last revision in it. */
export const logPositionSchema = z.strictObject({
  /** 0: before the first segment; the hash is then that of the epoch's document. */
  sequence: z.number().int().min(0),
  hash: sha256,
  lastRevision: uint64Text,
});

/** What an epoch came from; `null` for a cluster that was born empty, or whose past is in no archive. */
const parentSchema = z
  .strictObject({
    epoch: ordinal,
    /** The last revision that it shares with its parent. */
    forkRevision: uint64Text,
    /** The end of the parent's log as it was used; what was appended later belongs to nobody. */
    logEnd: logPositionSchema.nullable(),
  })
  .nullable();

/** A cluster's life, from one birth to the next. Written once, before anything else of it. */
export const epochDocumentSchema = z.strictObject({
  format: z.literal('etcd-mesos epoch'),
  version,
  archiveId: z.string(),
  epoch: ordinal,
  clusterId: etcdId,
  parent: parentSchema,
  createdAtMs: wallMs,
});
export type EpochDocument = z.infer<typeof epochDocumentSchema>;

/**
 * What the archive's and the epoch's own documents say beyond what every object of an epoch says: with it each of them
 * can be made again, byte by byte.
 */
export const lineageSchema = z.strictObject({
  owner: archiveDocumentSchema.shape.owner,
  archiveCreatedAtMs: wallMs,
  parent: parentSchema,
  epochCreatedAtMs: wallMs,
});
export type Lineage = z.infer<typeof lineageSchema>;

/**
 * Revisions that the log lacks. `begin`: they were before the log, so a full has them. `compacted`: etcd had
 * compacted them before they could be read. `lost`: the watch left them out, or there is proof that it did.
 * `damaged`: they were in the log, and its bytes are not what was written.
 */
export const gapSchema = z.strictObject({
  reason: z.enum(['begin', 'compacted', 'lost', 'damaged']),
  from: uint64Text,
  to: uint64Text,
});
export type Gap = z.infer<typeof gapSchema>;

/** The first frame of a segment. */
export const segmentHeaderSchema = z.strictObject({
  format: z.literal('etcd-mesos segment'),
  version,
  archiveId: z.string(),
  epoch: ordinal,
  clusterId: etcdId,
  sequence: ordinal,
  /** Of the leader that writes it: never less than in the segment before. */
  generation: z.number().int().min(0),
  /** A UUID of the run that writes it: of one generation there is one. */
  writer: z.string().min(1).max(100),
  /** Where the log stood: frames that the segment before has beyond it do not count. */
  previous: logPositionSchema,
  /** The next revision after `previous`, but for a gap. */
  firstRevision: uint64Text,
  gap: gapSchema.nullable(),
  /** The log has every revision after this one: what it is added to has to be a full of this one or a later. */
  base: uint64Text,
  /** `null` where an earlier release has written it, or in a spool. */
  lineage: lineageSchema.nullable().default(null),
  createdAtMs: wallMs,
});
export type SegmentHeader = z.infer<typeof segmentHeaderSchema>;

/** The last frame of a segment that was closed. */
export const segmentEndSchema = z.strictObject({
  lastRevision: uint64Text,
  revisions: z.number().int().min(0),
  events: z.number().int().min(0),
  closedAtMs: wallMs,
});
export type SegmentEnd = z.infer<typeof segmentEndSchema>;

/** What a member computed over its whole store at a revision, while it stood in the log. */
export const proofSchema = z.strictObject({
  revision: uint64Text,
  /** HashKV, a CRC-32C. */
  hash: z.number().int().min(0),
  /** Only hashes at one compact revision compare. */
  compactRevision: uint64Text,
  etcdVersion: z.string(),
  memberId: etcdId,
  atMs: wallMs,
});
export type Proof = z.infer<typeof proofSchema>;

/** A member's whole backend. Written after its data. */
export const fullDocumentSchema = z.strictObject({
  format: z.literal('etcd-mesos full'),
  version,
  archiveId: z.string(),
  epoch: ordinal,
  clusterId: etcdId,
  generation: z.number().int().min(0),
  memberId: etcdId,
  etcdVersion: z.string(),
  /** Of the object, which ends with the 32 bytes of etcd's own SHA-256 over all before. */
  sizeBytes: z.number().int().min(32),
  /** Of the whole object. */
  sha256,
  /** The newest revision in it, read from the data itself; `null` where its layout is not known. */
  revision: uint64Text.nullable(),
  /** What the member had applied when it was asked: the revision is this or a later one. */
  revisionAtLeast: uint64Text,
  /** Of its users and roles, which no log has; `null` where the layout of the data is not known. */
  authRevision: uint64Text.nullable().default(null),
  startedAtMs: wallMs,
  finishedAtMs: wallMs,
  /** Why it was taken, for people. */
  reason: z.string().max(300),
  /** The full that it was made from, with the log; member and version are that one's. `null`: it came from a member. */
  madeFrom: z.string().max(100).nullable().default(null),
  /** `null` where an earlier release has written it. */
  lineage: lineageSchema.nullable().default(null),
});
export type FullDocument = z.infer<typeof fullDocumentSchema>;

/** A document's largest text. */
export const DOCUMENT_BYTES_MAX = 64 * 1024;

/** A document as an object of its own. Its last member is the SHA-256 of all that is before that hash. */
export function encodeDocument(document: object): Buffer {
  const open = JSON.stringify({ ...document, [HASH_MEMBER]: '' }, null, 2);
  const head = open.slice(0, open.length - HASH_END.length + 1);
  return Buffer.from(`${head}${sha256Of(Buffer.from(head))}${HASH_END}`);
}

/** A document within what has a hash already. */
export function encodeRecord(record: object): Buffer {
  return Buffer.from(`${JSON.stringify(record, null, 2)}\n`);
}

const HASH_MEMBER = 'sha256OfAllBefore';
const HASH_HEX_CHARACTERS = 64;
/** What follows the hash. */
const HASH_END = '"\n}\n';

const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/**
 * What {@link encodeDocument} has made. Throws an {@link ArchiveError}: `unsupported` for a newer version of it,
 * `corrupt` when a byte of it is not what was written, or it is not what it should be.
 * @param name of the object, for people.
 */
export function decodeDocument<T>(schema: z.ZodType<T>, name: string, bytes: Uint8Array): T {
  const json = jsonOfKnown(name, bytes);
  const hashAt = bytes.byteLength - HASH_END.length - HASH_HEX_CHARACTERS;
  const hash = sha256Of(bytes.subarray(0, Math.max(0, hashAt)));
  if (!Buffer.from(bytes.subarray(Math.max(0, hashAt))).equals(Buffer.from(`${hash}${HASH_END}`))) {
    throw new ArchiveError('corrupt', `${name} is not what was written: it does not end with its hash`, {
      hint: 'Put it back from a copy of the archive.',
    });
  }
  const { [HASH_MEMBER]: _, ...document } = z.looseObject({}).catch({}).parse(json);
  return parsed(schema, name, document);
}

/** As {@link decodeDocument}, of what {@link encodeRecord} has made and whose hash was seen to be right. */
export function decodeRecord<T>(schema: z.ZodType<T>, name: string, bytes: Uint8Array): T {
  return parsed(schema, name, jsonOfKnown(name, bytes));
}

function jsonOfKnown(name: string, bytes: Uint8Array): unknown {
  const json = jsonOf(new TextDecoder().decode(bytes));
  const head = z.looseObject({ format: z.string(), version: z.number() }).safeParse(json);
  if (head.success && head.data.version > FORMAT_VERSION) {
    throw new ArchiveError(
      'unsupported',
      `${name} is of version ${head.data.version} of “${head.data.format}”, known are those up to ${FORMAT_VERSION}`,
      { hint: 'Use the release of etcd-mesos that wrote it, or a newer one.' },
    );
  }
  return json;
}

function parsed<T>(schema: z.ZodType<T>, name: string, json: unknown): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  throw new ArchiveError(
    'corrupt',
    `${name} is not what it should be: ${where}${issue?.message ?? 'no JSON'}`,
  );
}
