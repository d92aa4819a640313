import dns from 'node:dns';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
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
import { freePorts } from '../../wait.ts';
import { archiveStoreContract } from './contract.ts';
import { type S3Server, s3ServerProgram, startS3Server } from './s3-server.ts';

const never = new AbortController().signal;
const program = s3ServerProgram();

describe.skipIf(program === null)('S3', () => {
  let server: S3Server;
  const stores: S3ArchiveStore[] = [];
  let prefixes = 0;
  beforeAll(async () => {
    server = await startS3Server(program ?? '');
  });
  afterAll(async () => {
    for (const store of stores) store.close();
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
