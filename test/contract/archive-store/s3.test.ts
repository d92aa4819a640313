import { createHash } from 'node:crypto';
import dns from 'node:dns';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { fullDataKey, fullName } from '../../../src/backup/names.ts';
import { sealedStore } from '../../../src/backup/sealed-store.ts';
import { readWhole } from '../../../src/backup/store-port.ts';
import {
  openS3ArchiveStore,
  type S3ArchiveStore,
  type S3Place,
} from '../../../src/runtime/s3-archive-store.ts';
import { sampleKey } from '../../backup/sample-key.ts';
import { contentOf, sampleArchive, sampleRevisions, sampleWriter, shown } from '../../backup/sample-log.ts';
import { skipWithout } from '../../needs.ts';
import { makeCertificates } from '../../runtime/certificates.ts';
import { startTcpProxy } from '../../tcp-proxy.ts';
import { clock, freePorts } from '../../wait.ts';
import { archiveStoreContract } from './contract.ts';
import { type S3Fate, type S3Proxy, startS3Proxy } from './s3-proxy.ts';
import { type S3Server, s3ServerProgram, startS3Server } from './s3-server.ts';

const never = new AbortController().signal;
const program = s3ServerProgram();

describe.skipIf(program === null)('S3', () => {
  let server: S3Server;
  const stores: S3ArchiveStore[] = [];
  const proxies: S3Proxy[] = [];
  let prefixes = 0;
  beforeAll(async () => {
    server = await startS3Server(program ?? '');
  });
  afterAll(async () => {
    for (const store of stores) store.close();
    for (const proxy of proxies) await proxy.close();
    await server.close();
  });
  const placeOf = (more: Partial<S3Place> = {}): S3Place => ({
    bucket: server.bucket,
    prefix: '',
    endpoint: `http://127.0.0.1:${server.port}`,
    region: 'us-east-1',
    pathStyle: true,
    caCertificates: null,
    credentials: server.credentials,
    ...more,
  });
  const open = async (place: S3Place): Promise<S3ArchiveStore> => {
    const store = await openS3ArchiveStore(place, never);
    stores.push(store);
    return store;
  };

  archiveStoreContract('in S3', async () => {
    prefixes += 1;
    const place = placeOf({ prefix: `deep/archive-${prefixes}` });
    return { store: await open(place), reopen: async () => await open(place) };
  });

  archiveStoreContract('encrypted, in S3', async () => {
    prefixes += 1;
    const place = placeOf({ prefix: `deep/sealed-${prefixes}` });
    const sealed = async () => sealedStore(await open(place), sampleKey);
    return { store: await sealed(), reopen: sealed };
  });

  test('its server is found to refuse a second put of one name', async () => {
    expect((await open(placeOf())).isConditional).toBe(true);
  });

  test('a log in it is written by one, taken over by the next, and read', async () => {
    const place = await sampleArchive(await open(placeOf({ prefix: 'log' })));
    const old = await sampleWriter(place, 1);
    const write = async (log: typeof old, from: bigint, to: bigint) =>
      await log.write({ atMs: 1, leases: [], revisions: sampleRevisions(from, to) });
    await write(old, 1n, 40n);
    await write(old, 41n, 50n);
    const young = await sampleWriter(place, 2);
    await expect(write(old, 51n, 52n)).rejects.toMatchObject({ code: 'fenced' });
    await write(young, 51n, 60n);
    expect(shown((await contentOf(place)).revisions)).toEqual(shown(sampleRevisions(1n, 60n)));
  });

  test('a read whose connection breaks goes on where it was', async () => {
    const direct = await open(placeOf({ prefix: 'broken' }));
    const bytes = Buffer.alloc(3_000_000);
    for (let at = 0; at < bytes.byteLength; at += 4) bytes.writeUInt32LE(at, at);
    await direct.put('long', bytes, { ifAbsent: true, signal: never });
    const proxy = await startTcpProxy(server.port);
    try {
      const store = await open(placeOf({ prefix: 'broken', endpoint: `http://127.0.0.1:${proxy.port}` }));
      proxy.breakNextAnswerAfter(10_000);
      const back = await readWhole(store, 'long', { bytesMax: 1e7, signal: never });
      expect(back.equals(bytes)).toBe(true);
    } finally {
      await proxy.close();
    }
  });

  const uploads = async (): Promise<readonly string[]> => {
    const { port, bucket, credentials } = server;
    const client = new S3Client({
      endpoint: `http://127.0.0.1:${port}`,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials,
    });
    try {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
      return Uploads.map(({ Key = '' }) => Key);
    } finally {
      client.destroy();
    }
  };
  /** A store behind a proxy that does with each request what `fate` says. */
  const behind = async (prefix: string, fate: (asked: IncomingMessage) => S3Fate) => {
    const proxy = await startS3Proxy(server.port, fate);
    proxies.push(proxy);
    return await open(placeOf({ prefix, endpoint: proxy.endpoint }));
  };
  const parts = async function* (count: number) {
    for (let at = 0; at < count; at += 1) yield await Promise.resolve(Buffer.alloc(1_000_000, at));
  };
  const isPart = ({ url = '' }: IncomingMessage): boolean => url.includes('partNumber=');

  test('what an overloaded server refuses is asked for again', async () => {
    let asked = 0;
    const store = await behind('slow', () => {
      asked += 1;
      return asked % 3 === 0 ? 'pass' : 'slow-down';
    });
    await store.put('small', Buffer.from('x'), { ifAbsent: true, signal: never });
    await store.put('large', parts(18), { ifAbsent: true, signal: never });
    expect((await store.head('large', never))?.sizeBytes).toBe(18_000_000);
    expect((await readWhole(store, 'small', { bytesMax: 9, signal: never })).toString()).toBe('x');
    const keys: string[] = [];
    for await (const { key } of store.list('', { signal: never })) keys.push(key);
    expect(keys).toEqual(['large', 'small']);
    await store.remove('small', never);
    expect(await store.head('small', never)).toBeNull();
  });

  test('one that stays overloaded is not there, for now', async () => {
    let isSlow = false;
    const store = await behind('away', () => (isSlow ? 'slow-down' : 'pass'));
    isSlow = true;
    await expect(readWhole(store, 'a', { bytesMax: 9, signal: never })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('reduce your request rate'),
    });
  });

  test('a part whose connection is cut is sent again', async () => {
    let cuts = 0;
    const store = await behind('cut', (asked) => {
      if (!isPart(asked) || cuts === 2) return 'pass';
      cuts += 1;
      return 'cut';
    });
    await store.put('large', parts(20), { ifAbsent: true, signal: never });
    const back = await readWhole(store, 'large', { bytesMax: 1e8, signal: never });
    expect(
      back.equals(Buffer.concat(Array.from({ length: 20 }, (_, at) => Buffer.alloc(1_000_000, at)))),
    ).toBe(true);
    expect(cuts).toBe(2);
  });

  test('an upload that is cut again and again leaves no object, and no parts', async () => {
    let sent = 0;
    const store = await behind('gone', (asked) => {
      if (!isPart(asked)) return 'pass';
      sent += 1;
      return sent > 1 ? 'cut' : 'pass';
    });
    const put = store.put('large', parts(30), { ifAbsent: true, signal: never });
    await expect(put).rejects.toMatchObject({ code: 'unavailable' });
    expect(await store.head('large', never)).toBeNull();
    expect(await uploads()).toEqual([]);
  });

  test('nor does one that the caller gives up, or whose content ends in an error', async () => {
    const store = await open(placeOf({ prefix: 'left' }));
    const giveUp = new AbortController();
    const wrong = new Error('the member is gone');
    const ending = async function* (end: () => void) {
      yield* parts(18);
      expect(await uploads()).toEqual(['left/large']);
      end();
      yield* parts(9);
    };
    const abandoned = store.put(
      'large',
      ending(() => giveUp.abort()),
      { ifAbsent: true, signal: giveUp.signal },
    );
    await expect(abandoned).rejects.toMatchObject({ code: 'aborted' });
    expect(await uploads()).toEqual([]);
    const failing = ending(() => {
      throw wrong;
    });
    await expect(store.put('large', failing, { ifAbsent: true, signal: never })).rejects.toBe(wrong);
    expect(await uploads()).toEqual([]);
    expect(await store.head('large', never)).toBeNull();
  });

  test('an upload that a crash has left is given up a day later', async () => {
    const client = new S3Client({
      endpoint: `http://127.0.0.1:${server.port}`,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: server.credentials,
    });
    const [old, young] = [1, 2].map((atMs) => `crash/${fullDataKey(1, fullName(atMs, 1))}`);
    for (const Key of [old, young]) {
      await client.send(new CreateMultipartUploadCommand({ Bucket: server.bucket, Key }));
    }
    client.destroy();
    const begun = createHash('sha256').update(String(old)).digest('hex');
    const folder = join(server.directory, server.bucket, '.sgwtmp', 'multipart', begun);
    const twoDaysAgo = new Date(clock.wallMs() - 2 * 86_400_000);
    for (const upload of await readdir(folder)) await utimes(join(folder, upload), twoDaysAgo, twoDaysAgo);
    await openS3ArchiveStore(placeOf({ prefix: 'crash' }), never, { readOnly: true }).then((store) =>
      store.close(),
    );
    expect(await uploads()).toEqual([old, young]);
    await open(placeOf({ prefix: 'crash' }));
    expect(await uploads()).toEqual([young]);
  });

  test('its credentials may be those that the machine or container is given', async () => {
    const { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey } = server.credentials;
    let asked = 0;
    const giver = createServer((_, answer) => {
      asked += 1;
      const Expiration = new Date(clock.wallMs() + 3_600_000).toISOString();
      answer.setHeader('content-type', 'application/json');
      answer.end(JSON.stringify({ AccessKeyId, SecretAccessKey, Token: '', Expiration }));
    });
    await new Promise<void>((resolve) => giver.listen(0, '127.0.0.1', resolve));
    const { port } = giver.address() as AddressInfo;
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `http://127.0.0.1:${port}/credentials`);
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere');
    vi.stubEnv('AWS_CONFIG_FILE', '/nowhere');
    try {
      const store = await open(placeOf({ prefix: 'given', credentials: null }));
      await store.put('a', Buffer.from('x'), { ifAbsent: true, signal: never });
      expect(asked).toBe(1);
    } finally {
      vi.unstubAllEnvs();
      giver.close();
    }
  });

  test('over TLS it is believed by the certificates that are named, and only by those', async (context) => {
    skipWithout(context, 'openssl');
    const certificates = await makeCertificates('DNS:localhost');
    const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-tls-'));
    const [key, certificate] = [join(directory, 'key'), join(directory, 'certificate')];
    await writeFile(key, certificates.key);
    await writeFile(certificate, certificates.certificate);
    const secure = await startS3Server(program ?? '', ['--cert', certificate, '--key', key]);
    try {
      const endpoint = `https://localhost:${secure.port}`;
      const place = placeOf({ endpoint, credentials: secure.credentials, caCertificates: certificates.ca });
      const store = await open(place);
      await store.put('a', Buffer.alloc(9_000_000, 1), { ifAbsent: true, signal: never });
      expect((await store.head('a', never))?.sizeBytes).toBe(9_000_000);
      await expect(openS3ArchiveStore({ ...place, caCertificates: null }, never)).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('certificate'),
      });
    } finally {
      await secure.close();
      await certificates.remove();
      await rm(directory, { recursive: true });
    }
  });

  test('its bucket may stand in the host’s name', async () => {
    const named = await startS3Server(program ?? '', ['--virtual-domain', 'localhost']);
    // The bucket's name below localhost is known to no resolver here.
    const { lookup } = dns;
    const asked: string[] = [];
    const spied = vi.spyOn(dns, 'lookup').mockImplementation(((host: string, ...rest: never[]) => {
      asked.push(host);
      (lookup as (...all: never[]) => void)('127.0.0.1' as never, ...rest);
    }) as never);
    try {
      const endpoint = `http://localhost:${named.port}`;
      const store = await open(placeOf({ endpoint, pathStyle: false, credentials: named.credentials }));
      await store.put('a/b', Buffer.from('x'), { ifAbsent: true, signal: never });
      expect((await readWhole(store, 'a/b', { bytesMax: 9, signal: never })).toString()).toBe('x');
      expect(new Set(asked)).toEqual(new Set(['bucket.localhost']));
    } finally {
      spied.mockRestore();
      await named.close();
    }
  });

  test('what is wrong with a place is said', async () => {
    const wrong = async (more: Partial<S3Place>) => await openS3ArchiveStore(placeOf(more), never);
    await expect(wrong({ bucket: 'another' })).rejects.toMatchObject({ code: 'unsuitable' });
    const credentials = { accessKeyId: 'test', secretAccessKey: 'wrong' };
    await expect(wrong({ credentials })).rejects.toMatchObject({ code: 'denied' });
    const [port] = await freePorts(1);
    await expect(wrong({ endpoint: `http://127.0.0.1:${port}` })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });
});
