import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fullDataKey, fullName } from '../../../src/backup/names.ts';
import { readWhole } from '../../../src/backup/store-port.ts';
import { openS3ArchiveStore, type S3ArchiveStore } from '../../../src/runtime/s3-archive-store.ts';
import { clock } from '../../wait.ts';

/*
 * What servers do that speak S3, and the one that the other tests run against does not. Each test has a server of its
 * own that keeps objects in memory and has one oddity.
 */

const never = new AbortController().signal;
const put = { ifAbsent: true, signal: never };
const PART_BYTES = 8 * 1024 * 1024;
const DAY_MS = 86_400_000;

type Answer = ServerResponse;
interface Asked {
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}
/** Whether it has answered: what it does not, the plain server does. */
type Oddity = (asked: Asked, answer: Answer) => boolean;

const objects = new Map<string, Buffer>();
let uploads: { key: string; initiated: Date; parts: Map<number, Buffer> }[] = [];
let oddity: Oddity = () => false;
let asked: Asked[] = [];
let store: S3ArchiveStore | null = null;
let endpoint = '';

const xml = (answer: Answer, status: number, body: string): true => {
  answer.writeHead(status, { 'content-type': 'application/xml' }).end(`<?xml version="1.0"?>${body}`);
  return true;
};
const refuse = (answer: Answer, status: number, code: string): true =>
  xml(answer, status, `<Error><Code>${code}</Code><Message>as the test wants it</Message></Error>`);

function plain({ method, key, query, headers, body }: Asked, answer: Answer): true {
  const part = query.get('partNumber');
  const id = Number(query.get('uploadId') ?? -1);
  const bytes = objects.get(key);
  if (query.has('list-type')) return list(query, answer);
  if (method === 'GET' && query.has('uploads')) return listUploads(query, answer);
  if (method === 'POST' && query.has('uploads')) {
    uploads.push({ key, initiated: new Date(), parts: new Map() });
    return xml(
      answer,
      200,
      `<InitiateMultipartUploadResult><UploadId>${uploads.length - 1}</UploadId></InitiateMultipartUploadResult>`,
    );
  }
  if (part !== null) {
    uploads[id]?.parts.set(Number(part), body);
    answer.writeHead(200, { etag: `"${part}"` }).end();
    return true;
  }
  if (method === 'POST') return complete(id, answer);
  if (method === 'DELETE') {
    if (id >= 0) uploads = uploads.filter((_, index) => index !== id);
    else objects.delete(key);
    answer.writeHead(204).end();
    return true;
  }
  if (method === 'PUT') {
    if (headers['if-none-match'] === '*' && bytes !== undefined) {
      return refuse(answer, 412, 'PreconditionFailed');
    }
    objects.set(key, body);
    answer.writeHead(200, { etag: '"e"' }).end();
    return true;
  }
  if (bytes === undefined) return refuse(answer, 404, 'NoSuchKey');
  return give(bytes, headers, answer);
}

function give(bytes: Buffer, headers: IncomingMessage['headers'], answer: Answer): true {
  const [, from, to] = /bytes=(\d+)-(\d*)/.exec(headers.range ?? '') ?? [];
  if (from === undefined) {
    answer.writeHead(200, { etag: '"e"', 'content-length': bytes.byteLength }).end(bytes);
    return true;
  }
  const last = to === '' ? bytes.byteLength - 1 : Number(to);
  const range = `bytes ${from}-${last}/${bytes.byteLength}`;
  answer.writeHead(206, { etag: '"e"', 'content-range': range });
  answer.end(bytes.subarray(Number(from), last + 1));
  return true;
}

function complete(id: number, answer: Answer): true {
  const upload = uploads[id];
  if (upload === undefined) return refuse(answer, 404, 'NoSuchUpload');
  objects.set(upload.key, Buffer.concat([...upload.parts.values()]));
  uploads.splice(id, 1);
  return xml(
    answer,
    200,
    '<CompleteMultipartUploadResult><ETag>"e-2"</ETag></CompleteMultipartUploadResult>',
  );
}

/** Seven names to a page. */
function list(query: URLSearchParams, answer: Answer): true {
  const after = query.get('continuation-token') ?? query.get('start-after') ?? '';
  const found = [...objects.keys()]
    .filter((key) => key.startsWith(query.get('prefix') ?? '') && key > after)
    .toSorted();
  const page = found.slice(0, 7);
  const contents = page.map((key) => `<Contents><Key>${key}</Key></Contents>`).join('');
  const more = found.length > 7 ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
  return xml(answer, 200, `<ListBucketResult>${contents}${more}</ListBucketResult>`);
}

function listUploads(query: URLSearchParams, answer: Answer): true {
  const shown = uploads
    .map(({ key, initiated }, id) => ({ key, initiated: initiated.toISOString(), id }))
    .filter(({ key }) => key.startsWith(query.get('prefix') ?? ''))
    .map(
      ({ key, initiated, id }) =>
        `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${initiated}</Initiated></Upload>`,
    );
  return xml(answer, 200, `<ListMultipartUploadsResult>${shown.join('')}</ListMultipartUploadsResult>`);
}

const server = createServer((request, answer) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const { pathname, searchParams: query } = new URL(request.url ?? '', 'http://any');
    const { method = '', headers } = request;
    const key = decodeURIComponent(pathname.replace(/^\/bucket\/?/, ''));
    const one = { method, key, query, headers, body: Buffer.concat(parts) };
    asked.push(one);
    if (!oddity(one, answer)) plain(one, answer);
  });
});

beforeEach(async () => {
  objects.clear();
  [uploads, asked, oddity] = [[], [], () => false];
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  store?.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function open(options: { readonly idleMsMax?: number } = {}): Promise<S3ArchiveStore> {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'secret' };
  const place = { bucket: 'bucket', prefix: '', endpoint, region: 'us-east-1', pathStyle: true };
  store = await openS3ArchiveStore({ ...place, caCertificates: null, credentials }, never, options);
  return store;
}
async function* parts(count: number) {
  for (let at = 0; at < count; at += 1) yield await Promise.resolve(Buffer.alloc(1_000_000, at));
}
/** Once for the first request of its kind. */
function once(isIt: (asked: Asked) => boolean, work: (answer: Answer, asked: Asked) => true): Oddity {
  let isDone = false;
  return (request, answer) => {
    if (isDone || !isIt(request)) return false;
    isDone = true;
    return work(answer, request);
  };
}
const isComplete = ({ method, query }: Asked): boolean => method === 'POST' && query.has('uploadId');

test('one that refuses a condition it does not know is used without, and a name is looked for before', async () => {
  oddity = ({ headers }, answer) =>
    headers['if-none-match'] === undefined ? false : refuse(answer, 501, 'NotImplemented');
  const opened = await open();
  expect(opened.isConditional).toBe(false);
  expect([...objects.keys()]).toEqual([]);
  await opened.put('a', Buffer.from('x'), put);
  await expect(opened.put('a', Buffer.from('y'), put)).rejects.toMatchObject({ code: 'exists' });
  await opened.put('large', parts(18), put);
  expect((await opened.head('large', never))?.sizeBytes).toBe(18_000_000);
});

test('one whose clock differs by much is asked again with its time', async () => {
  const skewMs = 3_600_000;
  oddity = ({ headers }, answer) => {
    const [, year, month, day, hour, minute, second] =
      /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(String(headers['x-amz-date'])) ?? [];
    const signedMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
    answer.setHeader('date', new Date(clock.wallMs() + skewMs).toUTCString());
    if (Math.abs(signedMs - clock.wallMs() - skewMs) < 900_000) return false;
    return refuse(answer, 403, 'RequestTimeTooSkewed');
  };
  const opened = await open();
  await opened.put('a', Buffer.from('x'), put);
  expect((await readWhole(opened, 'a', { bytesMax: 9, signal: never })).toString()).toBe('x');
});

test('an object whose parts were put together is there, also when the answer to that was lost', async () => {
  const opened = await open();
  oddity = once(isComplete, (answer, { query }) => {
    const { socket } = answer;
    complete(Number(query.get('uploadId')), { writeHead: () => ({ end: () => undefined }) } as never);
    socket?.destroy();
    return true;
  });
  expect(await opened.put('large', parts(18), put)).toEqual({ key: 'large', sizeBytes: 18_000_000 });
  expect(asked.filter(isComplete)).toHaveLength(2);
  expect((await readWhole(opened, 'large', { bytesMax: 1e8, signal: never })).byteLength).toBe(18_000_000);
});

test('what was put is there, also when the answer to that was lost, unless another has put it', async () => {
  const opened = await open();
  const lost = (bytes: Buffer | null) =>
    once(
      ({ method }) => method === 'PUT',
      (answer, { key, body }) => {
        objects.set(key, bytes ?? body);
        answer.socket?.destroy();
        return true;
      },
    );
  oddity = lost(null);
  await opened.put('a', Buffer.from('mine'), put);
  oddity = lost(Buffer.from('other'));
  await expect(opened.put('b', Buffer.from('mine'), put)).rejects.toMatchObject({ code: 'exists' });
  oddity = lost(Buffer.from('mine, and more'));
  await expect(opened.put('c', Buffer.from('mine'), put)).rejects.toMatchObject({ code: 'exists' });
});

test('parts that are lost before they were put together are no object', async () => {
  const opened = await open();
  oddity = once(isComplete, (answer) => {
    uploads = [];
    answer.socket?.destroy();
    return true;
  });
  await expect(opened.put('large', parts(18), put)).rejects.toMatchObject({ code: 'not-found' });
  expect(await opened.head('large', never)).toBeNull();
});

test('an error in an answer that says it was done is an error, and asked again', async () => {
  const opened = await open();
  oddity = once(isComplete, (answer) => refuse(answer, 200, 'InternalError'));
  await opened.put('large', parts(18), put);
  expect(asked.filter(isComplete)).toHaveLength(2);
  expect((await opened.head('large', never))?.sizeBytes).toBe(18_000_000);
});

test('what is given whole is put whole under one condition, however large', async () => {
  const opened = await open();
  await opened.put('segment', Buffer.alloc(PART_BYTES * 2, 1), put);
  expect(asked.filter(({ method }) => method === 'POST')).toEqual([]);
  await expect(opened.put('segment', Buffer.alloc(PART_BYTES * 2, 2), put)).rejects.toMatchObject({
    code: 'exists',
  });
  expect(objects.get('segment')?.[0]).toBe(1);
});

test('of unfinished uploads only its own are given up: a bucket may have others in it', async () => {
  const initiated = new Date(clock.wallMs() - 2 * DAY_MS);
  const own = fullDataKey(1, fullName(5, 1));
  const others = ['film.mp4', 'epochs/notes', 'a/epochs/00000001/fulls/000000000000005-00000001/data'];
  uploads = [own, ...others].map((key) => ({ key, initiated, parts: new Map() }));
  await open();
  expect(uploads.map(({ key }) => key)).toEqual(others);
});

test('names come in pages', async () => {
  const opened = await open();
  const keys = Array.from({ length: 50 }, (_, at) => `k/${String(at).padStart(3, '0')}`);
  for (const key of keys) objects.set(key, Buffer.of(1));
  const found: string[] = [];
  for await (const { key } of opened.list('k/', { after: 'k/009', signal: never })) found.push(key);
  expect(found).toEqual(keys.slice(10));
});

test('a read on which nothing moves any more goes on over another connection', async () => {
  const opened = await open({ idleMsMax: 200 });
  const bytes = Buffer.alloc(500_000, 7);
  objects.set('a', bytes);
  oddity = once(
    ({ method, key }) => method === 'GET' && key === 'a',
    (answer) => {
      answer.writeHead(200, { etag: '"e"', 'content-length': bytes.byteLength });
      answer.write(bytes.subarray(0, 100_000));
      return true;
    },
  );
  expect((await readWhole(opened, 'a', { bytesMax: 1e6, signal: never })).equals(bytes)).toBe(true);
});

test('one that gives no parts of objects is told of, and no byte of it taken for another', async () => {
  const opened = await open();
  objects.set('a', Buffer.from('0123456789'));
  oddity = ({ method, headers }, answer) =>
    method === 'GET' && headers.range !== undefined
      ? give(objects.get('a') ?? Buffer.alloc(0), {}, answer)
      : false;
  const read = async () => {
    for await (const _ of opened.read('a', { range: { offset: 3, length: 2 }, signal: never }));
  };
  await expect(read()).rejects.toMatchObject({ code: 'unsuitable' });
});
