import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { whereIs } from '../../needs.ts';
import { freePorts, until } from '../../wait.ts';

/** A versitygw over a directory; `scripts/check` builds one where there is a Go. */
export interface S3Server {
  readonly port: number;
  readonly bucket: string;
  /** Where it keeps the buckets. */
  readonly directory: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** SIGSTOP holds it: it takes connections and answers nothing. SIGKILL ends it. What it keeps stays. */
  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void;
  /** Starts it again on its port and its objects; it must have been killed. */
  start(): Promise<void>;
  close(): Promise<void>;
}

const CACHED = join(import.meta.dirname, '..', '..', '..', '.cache', 'versitygw', 'versitygw');

/** Where its program is: VERSITYGW, `.cache/versitygw`, PATH; `null`, which is said, where it is not. */
export function s3ServerProgram(): string | null {
  const named = process.env['VERSITYGW'];
  const found = named ?? (existsSync(CACHED) ? CACHED : whereIs('versitygw'));
  if (found === null) console.log('tests are skipped: no versitygw in VERSITYGW, .cache/versitygw or PATH');
  return found;
}

/** @param flags beside those that it needs, as for TLS. */
export async function startS3Server(program: string, flags: readonly string[] = []): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-s3-'));
  const [port = 0] = await freePorts(1);
  const credentials = { accessKeyId: 'test', secretAccessKey: 'testsecret' };
  await mkdir(join(directory, 'objects', 'bucket'), { recursive: true });
  let child: ChildProcess;
  let ended: Promise<unknown> = Promise.resolve();
  const start = async (): Promise<void> => {
    await ended;
    child = spawn(
      program,
      ['--quiet', '--port', `127.0.0.1:${port}`, ...flags, 'posix', join(directory, 'objects')],
      {
        stdio: 'ignore',
        env: { ROOT_ACCESS_KEY: credentials.accessKeyId, ROOT_SECRET_KEY: credentials.secretAccessKey },
      },
    );
    ended = new Promise((resolve) => child.once('close', resolve));
    await until('the S3 server answers', 20_000, async () => await isOpen(port));
  };
  await start();
  return {
    port,
    bucket: 'bucket',
    directory: join(directory, 'objects'),
    credentials,
    signal: (name) => void child.kill(name),
    start,
    close: async () => {
      child.kill('SIGKILL');
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function isOpen(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
