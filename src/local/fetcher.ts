import { spawn } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, mkdir, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { CodedError } from '../base/errors.ts';
import type { Clock, HttpTransport } from '../base/ports.ts';
import type { CommandUri } from '../mesos/wire.ts';

/** Bytes that one URI may bring. */
const FETCH_BYTES_MAX = 2 * 1024 * 1024 * 1024;
/** Milliseconds for one URI, unpacking included. */
const FETCH_DEADLINE_MS = 300_000;
const REDIRECTS_MAX = 5;
const TAR_ERROR_BYTES_MAX = 4096;

/** What tar unpacks; anything else stays as it came, as with Mesos's fetcher. */
const ARCHIVE = /\.(tar|tar\.gz|tgz|tar\.bz2|tbz2|tar\.xz|txz)$/;

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
  /** Rejects with its reason when it aborts. */
  readonly signal: AbortSignal;
  /** Default {@link FETCH_BYTES_MAX}. */
  readonly bytesMax?: number;
  /** Default {@link FETCH_DEADLINE_MS}. */
  readonly deadlineMs?: number;
}

/**
 * Brings one URI of a task into its sandbox: `http:`, `https:`, `file:` or an absolute path. `executable` makes it
 * runnable, else `extract` (the default) unpacks it when its name is an archive's.
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
    const source = await openSource(uri.value, options.http, signal);
    await pipeline(source, limitBytes(uri.value, bytesMax), createWriteStream(target), { signal });
    if (uri.executable === true) await chmod(target, 0o755);
    else if (uri.extract !== false && ARCHIVE.test(target)) await unpack(target, sandbox, signal);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof FetchError) throw error;
    throw new FetchError('not-there', `'${uri.value}' could not be fetched`, { cause: error });
  } finally {
    done.abort();
  }
}

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

async function openSource(value: string, http: HttpTransport, signal: AbortSignal): Promise<Readable> {
  if (/^https?:\/\//.test(value)) return await openHttp(value, http, signal);
  const path = value.startsWith('file://') ? fileURLToPath(value) : value;
  if (!isAbsolute(path)) {
    throw new FetchError('bad-uri', `'${value}' is no http:, https: or file: URI and no absolute path`);
  }
  if (!(await stat(path)).isFile()) throw new FetchError('bad-uri', `'${path}' is not a file`);
  return createReadStream(path);
}

async function openHttp(value: string, http: HttpTransport, signal: AbortSignal): Promise<Readable> {
  let url = value;
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects += 1) {
    const response = await http.request({ method: 'GET', url, headers: {}, signal });
    if (response.status === 200) return Readable.from(response.body);
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

function unpack(archive: string, directory: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const tar = spawn('tar', ['-xf', archive, '-C', directory], {
      stdio: ['ignore', 'ignore', 'pipe'],
      signal,
      killSignal: 'SIGKILL',
    });
    let words = '';
    tar.stderr.on('data', (chunk: Buffer) => {
      if (words.length < TAR_ERROR_BYTES_MAX) words += chunk.toString('utf8');
    });
    tar.once('error', (cause) => reject(new FetchError('unpack-failed', `tar could not run`, { cause })));
    tar.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new FetchError('unpack-failed', `tar of '${archive}' failed: ${words.trim()}`));
    });
  });
}
