import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Offer, Resource } from '../src/mesos/wire.ts';

/**
 * A master of many agents, as far as one scheduler's first minute needs it: it takes the subscription, makes all
 * its offers in one event when it is told to, and notes when they are answered.
 */
export interface OffersMaster {
  readonly url: string;
  /** Resolves when a scheduler has subscribed. */
  readonly subscribed: Promise<void>;
  /**
   * Sends the event. Resolves with the milliseconds from its first byte to the ACCEPT, and to the last offer that
   * was answered.
   */
  offer(): Promise<{ readonly acceptMs: number; readonly answeredMs: number }>;
  close(): Promise<void>;
}

export const OFFERS = 10_000;
const FRAMEWORK = 'bench-0000';
/** Of all agents one has room for a member. */
const ROOM = { cpus: 8, mem: 16_384, disk: 102_400 };
const NO_ROOM = { cpus: 0.1, mem: 64, disk: 10 };

export async function startOffersMaster(fitting: number): Promise<OffersMaster> {
  const event = Buffer.from(
    JSON.stringify({
      type: 'OFFERS',
      offers: { offers: Array.from({ length: OFFERS }, (_, at) => offerOf(at, at === fitting)) },
    }),
  );
  let stream: ServerResponse | null = null;
  let sentMs = 0;
  let acceptMs = 0;
  let left = OFFERS;
  const subscription = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  const take = (offerIds: readonly unknown[]) => {
    left -= offerIds.length;
    if (left <= 0) answered.resolve();
  };

  const call = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = (await bodyOf(request)) as {
      type: string;
      accept?: { offer_ids: unknown[] };
      decline?: { offer_ids: unknown[] };
    };
    if (body.type === 'SUBSCRIBE') {
      stream = response;
      response.writeHead(200, { 'content-type': 'application/json', 'mesos-stream-id': 'bench' });
      writeRecord(response, Buffer.from(JSON.stringify(SUBSCRIBED)));
      writeRecord(response, Buffer.from('{"type":"HEARTBEAT"}'));
      subscription.resolve();
      return;
    }
    response.writeHead(202).end();
    if (body.type === 'ACCEPT') {
      acceptMs ||= performance.now();
      take(body.accept?.offer_ids ?? []);
    }
    if (body.type === 'DECLINE') take(body.decline?.offer_ids ?? []);
  };
  const server = createServer((request, response) => {
    if (request.url === '/api/v1/scheduler') void call(request, response);
    else void operatorCall(request, response, stream !== null);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    subscribed: subscription.promise,
    async offer() {
      if (stream === null) throw new Error('nobody has subscribed');
      sentMs = performance.now();
      writeRecord(stream, event);
      await answered.promise;
      return { acceptMs: acceptMs - sentMs, answeredMs: performance.now() - sentMs };
    },
    close: async () => {
      stream?.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const SUBSCRIBED = {
  type: 'SUBSCRIBED',
  subscribed: {
    framework_id: { value: FRAMEWORK },
    heartbeat_interval_seconds: 15,
    master_info: { id: 'bench', ip: 16777343, port: 5050, hostname: '127.0.0.1', version: '1.12.0' },
  },
};

function writeRecord(response: ServerResponse, bytes: Buffer): void {
  response.write(`${bytes.byteLength}\n`);
  response.write(bytes);
}

/** A first start is believed where the master shows the framework once it has subscribed, and nothing else of it. */
async function operatorCall(
  request: IncomingMessage,
  response: ServerResponse,
  isSubscribed: boolean,
): Promise<void> {
  const { type } = (await bodyOf(request)) as { type: string };
  const name = type.toLowerCase();
  response.writeHead(200, { 'content-type': 'application/json' });
  const ours = {
    framework_info: { id: { value: FRAMEWORK }, name: 'etcd', user: 'root' },
    connected: true,
    active: true,
  };
  const content = type === 'GET_FRAMEWORKS' && isSubscribed ? { frameworks: [ours] } : {};
  response.end(JSON.stringify({ type, [name]: content }));
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString());
}

/** Some 2.5 KB, as an agent of a busy cluster is offered: reserved for others, with attributes and domain. */
function offerOf(at: number, fits: boolean): Offer {
  const room = fits ? ROOM : NO_ROOM;
  const ip = `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`;
  const port = 5051;
  const allocation_info = { role: 'etcd-role' };
  const scalar = (name: string, value: number, reserved?: string): Resource => ({
    name,
    type: 'SCALAR',
    scalar: { value },
    allocation_info,
    ...(reserved === undefined ? {} : { reservations: [{ type: 'STATIC', role: reserved }] }),
  });
  const firstPort = 1_025 + (at % 500);
  return {
    id: { value: `11111111-2222-3333-4444-555555555555-O${at}` },
    framework_id: { value: FRAMEWORK },
    agent_id: { value: `11111111-2222-3333-4444-555555555555-S${at}` },
    hostname: `node-${at}.cluster.example`,
    url: { scheme: 'http', address: { hostname: `node-${at}.cluster.example`, ip, port }, path: '/slave(1)' },
    domain: {
      fault_domain: { region: { name: 'eu-west-1' }, zone: { name: `eu-west-1${'abc'[at % 3] ?? ''}` } },
    },
    allocation_info,
    attributes: [
      'rack',
      'generation',
      'kernel',
      'storage',
      'network',
      'owner',
      'site',
      'os',
      'pool',
      'vendor',
      'chassis',
      'power',
    ].map((name, of) => ({
      name,
      type: 'TEXT',
      text: { value: `${name}-value-${(at + of) % 97}` },
    })),
    resources: [
      { name: 'ports', type: 'RANGES', allocation_info, ranges: { range: rangesFrom(firstPort) } },
      scalar('cpus', room.cpus),
      scalar('mem', room.mem),
      scalar('disk', room.disk),
      scalar('gpus', 0),
      scalar('cpus', 0.05, 'etcd-role'),
    ],
  } as Offer;
}

function rangesFrom(first: number): readonly { begin: number; end: number }[] {
  return Array.from({ length: 14 }, (_, at) => ({
    begin: first + at * 2_000,
    end: first + at * 2_000 + 1_800,
  }));
}
