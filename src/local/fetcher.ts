import { spawn } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, copyFile, mkdir, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { createGunzip } from 'node:zlib';
import { CodedError } from '../base/errors.ts';
import type { Clock, HttpTransport } from '../base/ports.ts';
import type { CommandUri } from '../mesos/wire.ts';
import type { FetchCache, FetchSource } from './fetch-cache.ts';

/** Bytes that one URI may bring. */
const FETCH_BYTES_MAX = 2 * 1024 * 1024 * 1024;
/** Milliseconds for one URI, unpacking included. */
const FETCH_DEADLINE_MS = 300_000;
const REDIRECTS_MAX = 5;
const ERROR_BYTES_MAX = 4096;

/** What is unpacked; anything else stays as it came, as with Mesos's fetcher. */
const TAR = /\.(tar|tar\.gz|tgz|tar\.bz2|tbz2|tar\.xz|txz)$/;
const ZIP = /\.zip$/;
const GZIP = /\.gz$/;

/** Why a URI of a task did not reach its sandbox; said in the sandbox's `stderr`. */
export class FetchError extends CodedError<
  'bad-uri' | 'not-there' | 'too-large' | 'timeout' | 'unpack-failed'
> {}

export interface FetchOptions {
  readonly uri: CommandUri;
  /** An existing directory; what is fetched stays in it. */
  readonly sandbox: string;
  readonly http: HttpTransport;
  readonly clock: Clock;
  /** For URIs with `cache: true`; without one they are fetched anew. */
  readonly cache?: FetchCache;
  /** For whom it is fetched: the cache is one for each. Default nobody in particular. */
  readonly user?: string;
  /** Rejects with its reason when it aborts. */
  readonly signal: AbortSignal;
  /** Default {@link FETCH_BYTES_MAX}. */
  readonly bytesMax?: number;
  /** Default {@link FETCH_DEADLINE_MS}. */
  readonly deadlineMs?: number;
}

/**
 * Brings one URI of a task into its sandbox: `http:`, `https:`, `file:` or an absolute path. `executable` makes it
 * runnable, else `extract` (the default) unpacks it when its name is an archive's. What comes from the cache and is
 * unpacked leaves no archive in the sandbox.
 * Rejects with a {@link FetchError}.
 */
export async function fetchUri(options: FetchOptions): Promise<void> {
  const { uri, sandbox } = options;
  const target = join(sandbox, targetName(uri));
  const limit = new AbortController();
  const signal = AbortSignal.any([options.signal, limit.signal]);
  const deadlineMs = options.deadlineMs ?? FETCH_DEADLINE_MS;
  const done = new AbortController();
  void options.clock.sleep(deadlineMs, done.signal).then(() => {
    if (!done.signal.aborted)
      limit.abort(new FetchError('timeout', `'${uri.value}' took over ${deadlineMs} ms`));
  });
  try {
    const bytesMax = options.bytesMax ?? FETCH_BYTES_MAX;
    await mkdir(dirname(target), { recursive: true });
    const open = () => openSource(uri.value, options.http, signal);
    const unpacks = uri.executable !== true && uri.extract !== false && isArchive(target);
    const cached = uri.cache === true ? await options.cache?.acquire(keyOf(options), open, signal) : null;
    if (cached === null || cached === undefined) {
      const { stream } = await open();
      await pipeline(stream, limitBytes(uri.value, bytesMax), createWriteStream(target), { signal });
      if (unpacks) await unpack(target, target, sandbox, signal);
    } else {
      try {
        if (unpacks) await unpack(cached.path, target, sandbox, signal);
        else await copyFile(cached.path, target);
      } finally {
        cached.release();
      }
    }
    if (uri.executable === true) await chmod(target, 0o755);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof FetchError) throw error;
    throw new FetchError('not-there', `'${uri.value}' could not be fetched`, { cause: error });
  } finally {
    done.abort();
  }
}

const keyOf = ({ uri, user = '' }: FetchOptions) => ({ user, uri: uri.value });

function targetName(uri: CommandUri): string {
  const path = uri.value.replace(/^[a-z]+:\/\/[^/]*/, '').replace(/[?#].*$/, '');
  const name = uri.output_file ?? basename(path);
  const clean = normalize(name);
  if (clean === '.' || clean.endsWith('/') || clean.startsWith('..') || isAbsolute(clean)) {
    throw new FetchError('bad-uri', `'${uri.value}' names no file to make in the sandbox: '${name}'`, {
      hint: 'set output_file to a plain file name',
    });
  }
  return clean;
}

async function openSource(value: string, http: HttpTransport, signal: AbortSignal): Promise<FetchSource> {
  if (/^https?:\/\//.test(value)) return await openHttp(value, http, signal);
  const path = value.startsWith('file://') ? fileURLToPath(value) : value;
  if (!isAbsolute(path)) {
    throw new FetchError('bad-uri', `'${value}' is no http:, https: or file: URI and no absolute path`);
  }
  const found = await stat(path);
  if (!found.isFile()) throw new FetchError('bad-uri', `'${path}' is not a file`);
  return { stream: createReadStream(path), sizeBytes: found.size };
}

async function openHttp(value: string, http: HttpTransport, signal: AbortSignal): Promise<FetchSource> {
  let url = value;
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects += 1) {
    const response = await http.request({ method: 'GET', url, headers: {}, signal });
    if (response.status === 200) {
      const length = response.headers['content-length'] ?? '';
      return {
        stream: Readable.from(response.body),
        sizeBytes: /^\d{1,15}$/.test(length) ? Number(length) : null,
      };
    }
    for await (const _ of response.body) break;
    const location = response.headers['location'];
    if (response.status < 300 || response.status >= 400 || location === undefined) {
      throw new FetchError('not-there', `'${url}' answered ${response.status}`);
    }
    url = new URL(location, url).href;
  }
  throw new FetchError('not-there', `'${value}' redirects more than ${REDIRECTS_MAX} times`);
}

function limitBytes(name: string, bytesMax: number): Transform {
  let sizeBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      sizeBytes += chunk.length;
      if (sizeBytes <= bytesMax) return callback(null, chunk);
      return callback(new FetchError('too-large', `'${name}' has more than ${bytesMax} bytes`));
    },
  });
}

function isArchive(name: string): boolean {
  return TAR.test(name) || ZIP.test(name) || GZIP.test(name);
}

/** @param name where the archive is in the sandbox, or would be: it says of what kind it is. */
async function unpack(archive: string, name: string, directory: string, signal: AbortSignal): Promise<void> {
  if (TAR.test(name)) await run('tar', ['-xf', archive, '-C', directory], signal);
  else if (ZIP.test(name)) await run('unzip', ['-o', '-q', archive, '-d', directory], signal);
  else await unzipFile(archive, name.replace(GZIP, ''), signal);
}

async function unzipFile(archive: string, target: string, signal: AbortSignal): Promise<void> {
  try {
    await pipeline(createReadStream(archive), createGunzip(), createWriteStream(target), { signal });
  } catch (cause) {
    throw new FetchError('unpack-failed', `'${archive}' is no gzip file`, { cause });
  }
}

function run(program: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      signal,
      killSignal: 'SIGKILL',
    });
    let words = '';
    child.stderr.on('data', (chunk: Buffer) => {
      if (words.length < ERROR_BYTES_MAX) words += chunk.toString('utf8');
    });
    child.once('error', (cause) =>
      reject(new FetchError('unpack-failed', `${program} could not run`, { cause })),
    );
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new FetchError('unpack-failed', `${program} ${args.join(' ')} failed: ${words.trim()}`));
    });
  });
}
