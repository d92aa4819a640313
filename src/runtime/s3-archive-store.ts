import { randomUUID } from 'node:crypto';
import { Agent } from 'node:https';
import { rootCertificates } from 'node:tls';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import pRetry from 'p-retry';
import { EPOCHS_PREFIX, fullDataOf } from '../backup/names.ts';
import { createPieces, type Pieces } from '../backup/pieces.ts';
import {
  type ArchiveStore,
  ArchiveStoreError,
  assertKey,
  assertWithin,
  type ListedObject,
  type ListOptions,
  type ObjectContent,
  type PutOptions,
  type ReadOptions,
  type StoredObject,
} from '../backup/store-port.ts';
import { assert } from '../base/assert.ts';
import { describeError } from '../base/errors.ts';

/** A place in an S3 that an archive may lie in. */
export interface S3Place {
  readonly bucket: string;
  /** What its objects' names begin with, without a slash at its end; empty: nothing. */
  readonly prefix: string;
  /** With its scheme; `null`: Amazon's own for the region. */
  readonly endpoint: string | null;
  readonly region: string;
  /** The bucket stands in the path, not in the host's name. */
  readonly pathStyle: boolean;
  /** PEM; who signed the server's certificate, beside those whom the system trusts. */
  readonly caCertificates: string | null;
  /** `null`: from the environment, the user's files, or the machine or container this runs on. */
  readonly credentials: S3Credentials | null;
}
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface S3ArchiveStore extends ArchiveStore {
  /**
   * Whether the server lets one of two win that put a name at once. Where it does not, a name is looked for before it
   * is put: of two at the same moment both may win.
   */
  readonly isConditional: boolean;
  close(): void;
}

/** The size of the first parts of an upload; S3 takes no smaller ones but the last. */
const PART_BYTES = 8 * 1024 * 1024;
/** An upload has 10,000 parts at most: with each thousand they double, up to the largest. */
const PARTS_PER_SIZE = 1000;
const PART_BYTES_MAX = 64 * 1024 * 1024;
/** How often something is asked for again, over some ten seconds. */
const RETRIES = 5;
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 5_000;
const CONNECT_MS_MAX = 5_000;
/** A request whose answer does not begin for so long is given up. */
const REQUEST_MS_MAX = 60_000;
/** A connection on which nothing moves for so long; and to put a large object together, or to send one whole, may take it. */
const IDLE_MS_MAX = 5 * 60_000;
const CONNECTIONS_MAX = 16;
/** An upload that was begun so long ago is what a crash left. */
const UPLOAD_AGE_MS_MAX = 24 * 60 * 60 * 1000;

/**
 * Opens a place in an S3: any server that speaks it. Looks whether it can be used, by an object that is put and
 * removed again; not where it is only to be read. Rejects with an {@link ArchiveStoreError}.
 */
export async function openS3ArchiveStore(
  place: S3Place,
  signal: AbortSignal,
  { readOnly = false, idleMsMax = IDLE_MS_MAX } = {},
): Promise<S3ArchiveStore> {
  const client = new S3Client({
    region: place.region,
    forcePathStyle: place.pathStyle,
    ...(place.endpoint === null ? {} : { endpoint: place.endpoint }),
    ...(place.credentials === null ? {} : { credentials: place.credentials }),
    // It is here that it is decided what is asked for again.
    maxAttempts: 1,
    // Not every server knows the newer checksums; what an archive holds has hashes of its own.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      socketTimeout: idleMsMax,
      throwOnRequestTimeout: true,
      httpsAgent: new Agent({
        keepAlive: true,
        maxSockets: CONNECTIONS_MAX,
        ...(place.caCertificates === null ? {} : { ca: [...rootCertificates, place.caCertificates] }),
      }),
    },
  });
  const bucket = createBucket(client, place);
  try {
    const isConditional = readOnly ? false : await bucket.probe(signal);
    if (!readOnly) await bucket.dropOldUploads(signal);
    return {
      place: bucket.name,
      isConditional,
      put: async (key, content, options) => {
        assertKey(key);
        if (options.ifAbsent && !isConditional && (await bucket.head(key, options.signal)) !== null) {
          throw new ArchiveStoreError('exists', `${key} is in ${bucket.name} already`);
        }
        const sizeBytes = await bucket.put(key, content, {
          ...options,
          ifAbsent: options.ifAbsent && isConditional,
        });
        return { key, sizeBytes };
      },
      read: (key, options) => {
        assertKey(key);
        return bucket.read(key, options);
      },
      head: async (key, within) => {
        assertKey(key);
        return await bucket.head(key, within);
      },
      list: bucket.list,
      remove: async (key, within) => {
        assertKey(key);
        await bucket.remove(key, within);
      },
      growing: null,
      close: () => client.destroy(),
    };
  } catch (error) {
    client.destroy();
    throw error;
  }
}

function createBucket(client: S3Client, place: S3Place) {
  const Bucket = place.bucket;
  const before = place.prefix === '' ? '' : `${place.prefix}/`;
  const name = `s3://${Bucket}/${before}`;
  const at = (key: string) => ({ Bucket, Key: before + key });

  /** Asks again what may be asked again. */
  const ask = async <T>(what: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
    if (signal.aborted) throw aborted();
    try {
      return await pRetry(work, {
        retries: RETRIES,
        minTimeout: RETRY_MS_MIN,
        maxTimeout: RETRY_MS_MAX,
        randomize: true,
        signal,
        shouldRetry: ({ error }) => !signal.aborted && codeOf(error) === 'unavailable',
      });
    } catch (error) {
      if (signal.aborted) throw aborted();
      throw storeError(`${what} in ${name}`, error);
    }
  };

  const putWhole = async (
    key: string,
    bytes: Uint8Array,
    { ifAbsent, signal }: PutOptions,
  ): Promise<void> => {
    const condition = ifAbsent ? { IfNoneMatch: '*' } : {};
    let tries = 0;
    const putOnce = async (): Promise<void> => {
      tries += 1;
      const command = new PutObjectCommand({
        ...at(key),
        ...condition,
        Body: bytes,
        ContentLength: bytes.byteLength,
      });
      const isLarge = bytes.byteLength > PART_BYTES;
      await client.send(command, {
        abortSignal: signal,
        requestTimeout: isLarge ? IDLE_MS_MAX : REQUEST_MS_MAX,
      });
    };
    try {
      await ask(`${key} was not stored`, signal, putOnce);
    } catch (error) {
      const isThere = error instanceof ArchiveStoreError && error.code === 'exists';
      // It may be what an earlier try has put, whose answer was lost.
      if (!isThere || tries === 1 || !(await holds(key, bytes, signal))) throw error;
    }
  };

  const holds = async (key: string, bytes: Uint8Array, signal: AbortSignal): Promise<boolean> => {
    let offset = 0;
    for await (const part of read(key, { signal })) {
      if (Buffer.compare(part, bytes.subarray(offset, offset + part.byteLength)) !== 0) return false;
      offset += part.byteLength;
    }
    return offset === bytes.byteLength;
  };

  const putInParts = async (
    key: string,
    first: Uint8Array,
    rest: Pieces,
    { ifAbsent, signal }: PutOptions,
  ): Promise<number> => {
    let part = first;
    const what = `${key} was not stored`;
    const { UploadId } = await ask(
      what,
      signal,
      async () => await client.send(new CreateMultipartUploadCommand(at(key)), { abortSignal: signal }),
    );
    const upload = { ...at(key), UploadId };
    const done: CompletedPart[] = [];
    let sizeBytes = 0;
    const sendPart = async (Body: Uint8Array): Promise<void> => {
      const PartNumber = done.length + 1;
      const ContentLength = Body.byteLength;
      const { ETag } = await ask(what, signal, async () => {
        const command = new UploadPartCommand({ ...upload, PartNumber, Body, ContentLength });
        return await client.send(command, { abortSignal: signal });
      });
      done.push({ PartNumber, ETag });
      sizeBytes += ContentLength;
    };
    try {
      let filled = part.byteLength;
      await sendPart(part);
      while (filled === part.byteLength) {
        const wanted = partBytes(done.length);
        // Each lies where the one before it lay: that is with the server by now.
        if (part.byteLength !== wanted) part = Buffer.allocUnsafeSlow(wanted);
        filled = await rest.fill(part);
        if (filled > 0) await sendPart(part.subarray(0, filled));
      }
      await complete(key, sizeBytes, signal, {
        ...upload,
        MultipartUpload: { Parts: done },
        ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
      });
      return sizeBytes;
    } catch (error) {
      // Nobody sees its parts; a bucket's rule for unfinished uploads takes what is left.
      await client.send(new AbortMultipartUploadCommand(upload)).catch(() => undefined);
      throw error;
    }
  };

  /** Makes an object of parts. One whose answer was lost may be there: it is said then that the upload is gone. */
  const complete = async (
    key: string,
    sizeBytes: number,
    signal: AbortSignal,
    input: CompleteMultipartUploadCommandInput,
  ): Promise<void> => {
    let tries = 0;
    try {
      await ask(`${key} was not stored`, signal, async () => {
        tries += 1;
        const command = new CompleteMultipartUploadCommand(input);
        await client.send(command, { abortSignal: signal, requestTimeout: IDLE_MS_MAX });
      });
    } catch (error) {
      if (signal.aborted || tries === 1) throw error;
      const stored = await head(key, signal).catch(() => null);
      if (stored?.sizeBytes !== sizeBytes) throw error;
    }
  };

  const head = async (key: string, signal: AbortSignal): Promise<StoredObject | null> => {
    try {
      return await ask(`${key} cannot be looked at`, signal, async () => {
        const found = await client.send(new HeadObjectCommand(at(key)), { abortSignal: signal });
        return { key, sizeBytes: found.ContentLength ?? 0 };
      });
    } catch (error) {
      if (error instanceof ArchiveStoreError && error.code === 'not-found') return null;
      throw error;
    }
  };

  const put = async (key: string, content: ObjectContent, options: PutOptions): Promise<number> => {
    if (options.signal.aborted) throw aborted();
    // At once, whatever its size: not every server that knows a condition of a put knows one for parts.
    if (content instanceof Uint8Array) {
      await putWhole(key, content, options);
      return content.byteLength;
    }
    const pieces = createPieces(content);
    try {
      const first = Buffer.allocUnsafeSlow(PART_BYTES);
      const sizeBytes = await pieces.fill(first);
      if (options.signal.aborted) throw aborted();
      if (sizeBytes === PART_BYTES) return await putInParts(key, first, pieces, options);
      await putWhole(key, first.subarray(0, sizeBytes), options);
      return sizeBytes;
    } finally {
      await pieces.close();
    }
  };

  const remove = async (key: string, signal: AbortSignal): Promise<void> => {
    await ask(`${key} was not removed`, signal, async () => {
      await client.send(new DeleteObjectCommand(at(key)), { abortSignal: signal });
    });
  };

  async function* read(key: string, { range, signal }: ReadOptions): AsyncGenerator<Uint8Array> {
    const what = `${key} cannot be read`;
    if (range?.length === 0) {
      const found = await head(key, signal);
      if (found === null) throw new ArchiveStoreError('not-found', `${what} in ${name}: it is not there`);
      assertWithin(key, range, found.sizeBytes);
      return;
    }
    let offset = range?.offset ?? 0;
    let end: number | null = range === undefined ? null : offset + range.length;
    let etag: string | undefined;
    /** Breaks since the last byte that came. */
    let breaks = 0;
    while (end === null || offset < end) {
      const from = offset;
      const answer = await ask(what, signal, async () => {
        const isPart = from > 0 || end !== null;
        const command = new GetObjectCommand({
          ...at(key),
          ...(isPart ? { Range: `bytes=${from}-${end === null ? '' : end - 1}` } : {}),
          // What goes on after a break is the same object.
          ...(etag === undefined ? {} : { IfMatch: etag }),
        });
        return await client.send(command, { abortSignal: signal });
      });
      etag = answer.ETag;
      if ((from > 0 || range !== undefined) && answer.ContentRange === undefined) {
        throw new ArchiveStoreError(
          'unsuitable',
          `${what} in ${name}: the server gives no part of an object`,
        );
      }
      const sizeBytes = wholeSizeOf(answer);
      assertWithin(key, range, sizeBytes);
      end ??= sizeBytes;
      try {
        for await (const part of bodyOf(answer)) {
          offset += part.byteLength;
          breaks = 0;
          yield part;
        }
        if (offset < end) throw new Error(`it ended at byte ${offset} of ${end}`);
      } catch (error) {
        if (signal.aborted) throw aborted();
        breaks += 1;
        if (breaks > RETRIES) throw storeError(`${what} in ${name}`, error);
      }
    }
  }

  async function* list(prefix: string, { after, signal }: ListOptions): AsyncGenerator<ListedObject> {
    let ContinuationToken: string | undefined;
    do {
      const token = ContinuationToken;
      const page = await ask('the archive cannot be listed', signal, async () => {
        const command = new ListObjectsV2Command({
          Bucket,
          Prefix: before + prefix,
          ...(token === undefined ? {} : { ContinuationToken: token }),
          ...(after === undefined ? {} : { StartAfter: before + after }),
        });
        return await client.send(command, { abortSignal: signal });
      });
      for (const { Key = '' } of page.Contents ?? []) {
        const key = Key.slice(before.length);
        if (!key.startsWith('.')) yield { key };
      }
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
  }

  /** Whether a second put of one name is refused. */
  const probe = async (signal: AbortSignal): Promise<boolean> => {
    const key = `.probe-${randomUUID()}`;
    const options = { ifAbsent: true, signal };
    try {
      await putWhole(key, new Uint8Array([1]), options);
      await putWhole(key, new Uint8Array([2]), options);
      return false;
    } catch (error) {
      if (error instanceof ArchiveStoreError && error.code === 'exists') return true;
      if (!isNotImplemented(error)) throw error;
      await putWhole(key, new Uint8Array([3]), { ...options, ifAbsent: false });
      return false;
    } finally {
      await client.send(new DeleteObjectCommand(at(key))).catch(() => undefined);
    }
  };

  /** Parts that nobody sees are paid for. As many as one answer tells; where they cannot be listed they stay. */
  const dropOldUploads = async (signal: AbortSignal): Promise<void> => {
    const sinceMs = Date.now() - UPLOAD_AGE_MS_MAX;
    try {
      const command = new ListMultipartUploadsCommand({ Bucket, Prefix: before + EPOCHS_PREFIX });
      const { Uploads = [] } = await client.send(command, { abortSignal: signal });
      for (const { Key = '', UploadId, Initiated } of Uploads) {
        if (Initiated === undefined || Initiated.getTime() > sinceMs) continue;
        // The bucket may have others in it.
        if (fullDataOf(Key) === null) continue;
        await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }), {
          abortSignal: signal,
        });
      }
    } catch {
      if (signal.aborted) throw aborted();
    }
  };

  return { name, put, head, read, list, remove, probe, dropOldUploads };
}

/** Of the part after so many others. */
function partBytes(others: number): number {
  return Math.min(PART_BYTES_MAX, PART_BYTES * 2 ** Math.floor(others / PARTS_PER_SIZE));
}

function wholeSizeOf({ ContentRange, ContentLength }: GetObjectCommandOutput): number {
  const total = /\/(\d+)$/.exec(ContentRange ?? '')?.[1];
  return total === undefined ? (ContentLength ?? 0) : Number(total);
}

function bodyOf({ Body }: GetObjectCommandOutput): AsyncIterable<Uint8Array> {
  assert(Body !== undefined && Symbol.asyncIterator in Body, 'on node a body is a stream');
  return Body as AsyncIterable<Uint8Array>;
}

const aborted = (): ArchiveStoreError => new ArchiveStoreError('aborted', 'the archive was not waited for');

/** By the names that S3 gives its errors; where a server has names of its own, by the status. */
const CODES: Readonly<Record<string, ArchiveStoreError['code']>> = {
  NoSuchKey: 'not-found',
  NotFound: 'not-found',
  InvalidRange: 'not-found',
  PreconditionFailed: 'exists',
  NoSuchBucket: 'unsuitable',
  PermanentRedirect: 'unsuitable',
  AuthorizationHeaderMalformed: 'unsuitable',
  NotImplemented: 'unsuitable',
  // The client has set its clock by the answer: asked again, it is right.
  RequestTimeTooSkewed: 'unavailable',
  AccessDenied: 'denied',
  InvalidAccessKeyId: 'denied',
  SignatureDoesNotMatch: 'denied',
  ExpiredToken: 'denied',
  CredentialsProviderError: 'denied',
  QuotaExceeded: 'full',
  XMinioStorageFull: 'full',
};
const STATUS_CODES: Readonly<Record<number, ArchiveStoreError['code']>> = {
  401: 'denied',
  403: 'denied',
  404: 'not-found',
  412: 'exists',
  416: 'not-found',
  501: 'unsuitable',
  507: 'full',
};
const HINTS: Partial<Readonly<Record<ArchiveStoreError['code'], string>>> = {
  denied:
    'Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the files of AWS’ tools, or the machine. ' +
    'They must allow to read and list objects there, and a scheduler to write and delete them.',
  unavailable: 'See whether an S3 answers there: --s3-endpoint, for a scheduler --archive-s3-endpoint.',
  unsuitable: 'Name a bucket that exists, and the region that it is in.',
  full: 'Make room, or keep fewer backups.',
};

/** A server that does not know a condition may refuse it instead of ignoring it. */
function isNotImplemented(error: unknown): boolean {
  const cause = error instanceof ArchiveStoreError ? error.cause : null;
  return cause instanceof S3ServiceException && cause.$metadata.httpStatusCode === 501;
}

function codeOf(error: unknown): ArchiveStoreError['code'] {
  if (!(error instanceof Error)) return 'unavailable';
  const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
  return CODES[error.name] ?? (status === undefined ? undefined : STATUS_CODES[status]) ?? 'unavailable';
}

function storeError(what: string, cause: unknown): ArchiveStoreError {
  if (cause instanceof ArchiveStoreError) return cause;
  const code = codeOf(cause);
  const hint = HINTS[code];
  return new ArchiveStoreError(code, `${what}: ${describeError(cause)}`, {
    cause,
    ...(hint === undefined ? {} : { hint }),
  });
}
