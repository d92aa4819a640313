import { createSocket } from 'node:dgram';
import { createServer, type Socket } from 'node:net';
import type { Answer, DecodedPacket } from 'dns-packet';
import { AUTHORITATIVE_ANSWER, decode, encode, streamEncode } from 'dns-packet';
import type { DnsRecords } from './mesos-dns.ts';

/** A name server for a domain that is given as records: UDP and TCP at one address. */
export interface DnsServer {
  readonly address: string;
  readonly port: number;
  /** `TYPE name` of every question so far. */
  readonly asked: readonly string[];
  close(): Promise<void>;
}

const TTL_S = 60;
/** A name that is not there. */
const NXDOMAIN = 3;

/**
 * @param port 0 takes any that is free.
 * @param records what is known now; looked at for every question.
 */
export async function startDnsServer(options: {
  readonly address: string;
  readonly port: number;
  readonly records: () => DnsRecords;
}): Promise<DnsServer> {
  const { address } = options;
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const answer = (query: DecodedPacket): Parameters<typeof encode>[0] => {
    for (const { type, name } of query.questions ?? []) asked.push(`${type} ${name}`);
    return answerTo(query, options.records());
  };

  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
    let received = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const size = received.readUInt16BE(0);
        socket.write(streamEncode(answer(decode(received.subarray(2, 2 + size)))));
        received = received.subarray(2 + size);
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    tcp.once('error', reject).listen(options.port, address, resolve);
  });
  const at = tcp.address();
  const port = at === null || typeof at === 'string' ? 0 : at.port;

  const udp = createSocket('udp4');
  udp.on('message', (bytes, from) => udp.send(encode(answer(decode(bytes))), from.port, from.address));
  await new Promise<void>((resolve, reject) => {
    udp.once('error', reject).bind(port, address, resolve);
  });

  return {
    address,
    port,
    asked,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all([
        new Promise<void>((resolve) => tcp.close(() => resolve())),
        new Promise<void>((resolve) => udp.close(() => resolve())),
      ]);
    },
  };
}

function answerTo(query: DecodedPacket, records: DnsRecords): Parameters<typeof encode>[0] {
  const [question] = query.questions ?? [];
  const name = question?.name.toLowerCase() ?? '';
  const ips = records.a.get(name) ?? [];
  const services = records.srv.get(name) ?? [];
  const answers: Answer[] = [];
  const additionals: Answer[] = [];
  if (question?.type === 'A') answers.push(...addresses(name, ips));
  if (question?.type === 'SRV') {
    for (const { target, port } of services) {
      answers.push({ type: 'SRV', name, ttl: TTL_S, data: { target, port, priority: 0, weight: 1 } });
      additionals.push(...addresses(target, records.a.get(target) ?? []));
    }
  }
  const known = ips.length + services.length > 0;
  return {
    type: 'response',
    ...(query.id === undefined ? {} : { id: query.id }),
    flags: AUTHORITATIVE_ANSWER | (known ? 0 : NXDOMAIN),
    questions: query.questions ?? [],
    answers,
    additionals,
  };
}

function addresses(name: string, ips: readonly string[]): Answer[] {
  return ips.map((data) => ({ type: 'A', name, ttl: TTL_S, data }));
}
