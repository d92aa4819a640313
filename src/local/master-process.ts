import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIPv4 } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock, Ids, Logger } from '../base/ports.ts';
import type { Authorizer } from './acls.ts';
import { LINK_PATH, LINK_PROTOCOL } from './agent-link.ts';
import { createAlarm } from './alarm.ts';
import type { MasterAuthentication } from './authentication.ts';
import { createJsonLineReader, toJsonLine } from './json-lines.ts';
import type { MasterElection } from './leadership.ts';
import { LocalMesosError } from './local-error.ts';
import { createMasterMachine, type MasterInput, type MasterOutput } from './master-machine.ts';
import type { AgentToMaster } from './messages.ts';
import type { RegistryStore } from './registry-file.ts';

/** Bytes of a request's body. */
const BODY_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes that a client of a stream may leave unread before it is dropped. */
const UNREAD_BYTES_MAX = 64 * 1024 * 1024;

export interface MasterProcessOptions {
  /** An address of this machine alone, 127.x.y.z. Default 127.0.0.1. */
  readonly ip?: string;
  /** 0: any free one. */
  readonly port: number;
  readonly allocationIntervalMs?: number;
  readonly agentPingTimeoutMs?: number;
  readonly agentPingTimeoutsMax?: number;
  readonly agentReregisterTimeoutMs?: number;
  /** Default: nobody has to say who they are. */
  readonly authentication?: MasterAuthentication;
  /** Default: everybody may do everything. */
  readonly authorize?: Authorizer;
  /** One of several masters, which stands by until it is elected. Default: it is alone and leads. */
  readonly candidacy?: MasterCandidacy;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
}

export interface MasterCandidacy {
  readonly election: MasterElection;
  readonly registry: RegistryStore;
}

export interface MasterProcess {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  readonly port: number;
  isLeading(): boolean;
  /** Resolves with why, when the master has led and leads no more: it takes nothing from then on. */
  readonly ended: Promise<string>;
  close(): Promise<void>;
}

/**
 * The master machine behind an HTTP server. What it knows is in memory, but for what one of several masters leaves
 * to the next: a master that is started anew has a new id, and learns agents and frameworks again when they come
 * back.
 * Rejects with a {@link LocalMesosError}: `not-loopback`, `port-in-use`.
 */
export async function startMaster(options: MasterProcessOptions): Promise<MasterProcess> {
  const { clock, logger } = options;
  const ip = options.ip ?? '127.0.0.1';
  assertLoopback(ip);
  const exchanges = new Map<string, ServerResponse>();
  const links = new Map<string, Duplex>();
  let names = 0;
  const server = createServer((request, response) => takeRequest(request, response));
  server.on('upgrade', takeLink);
  const port = await listen(server, ip, options.port);
  const now = () => ({ monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() });
  const { candidacy } = options;
  const standsBy = candidacy !== undefined;
  const machine = createMasterMachine({ ...options, ip, hostname: ip, port, standsBy, startedAt: now() });
  const alarm = createAlarm(clock, () => handle({ kind: 'tick' }));
  const ending = Promise.withResolvers<string>();
  let ended = false;
  alarm.set(machine.nextWakeMs());
  logger.info('master listening', { url: `http://${ip}:${port}`, masterId: machine.info.id });
  candidacy?.election.stand(machine.info, (leader) => {
    logger.info('leading master', { leader: leader?.pid ?? null });
    if (leader?.id !== machine.info.id) handle({ kind: 'leader', leader });
    else if (!machine.isLeading()) orEnd(lead);
  });

  function lead(): void {
    handle({ kind: 'elected', registry: candidacy?.registry.takeOver(machine.info.id) ?? null });
  }

  function handle(input: MasterInput): void {
    if (ended) return;
    orEnd(() => {
      for (const output of machine.handle(input, now())) carryOut(output);
    });
    if (!ended) alarm.set(machine.nextWakeMs());
  }

  /** A master that cannot store what the next one must know can do nothing more. */
  function orEnd(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof LocalMesosError)) throw error;
      end(error.message);
    }
  }

  /** Nobody is answered any more; whoever waits finds the next leader. */
  function end(why: string): void {
    ended = true;
    alarm.stop();
    for (const response of exchanges.values()) response.destroy();
    for (const link of links.values()) link.destroy();
    logger.warn('master ends', { why });
    ending.resolve(why);
  }

  function carryOut(output: MasterOutput): void {
    switch (output.kind) {
      case 'send':
        links.get(output.link)?.write(toJsonLine(output.message));
        return;
      case 'store':
        candidacy?.registry.store(machine.info.id, output.registry);
        return;
      case 'exit':
        end(output.message);
        return;
      default:
        answer(output);
    }
  }

  function answer(output: Extract<MasterOutput, { exchange: string }>): void {
    // A client that went away meanwhile is told nothing.
    const response = exchanges.get(output.exchange);
    if (response === undefined) return;
    switch (output.kind) {
      case 'respond':
        exchanges.delete(output.exchange);
        response.writeHead(output.status, output.headers).end(output.body);
        return;
      case 'open-stream':
        response.writeHead(output.status, output.headers).flushHeaders();
        return;
      case 'record':
        response.write(`${Buffer.byteLength(output.json)}\n${output.json}`);
        if (response.writableLength > UNREAD_BYTES_MAX) response.destroy();
        return;
      case 'close-stream':
        exchanges.delete(output.exchange);
        response.end();
        return;
    }
  }

  function takeRequest(request: IncomingMessage, response: ServerResponse): void {
    const exchange = `exchange-${++names}`;
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    exchanges.set(exchange, response);
    request.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes <= BODY_BYTES_MAX) {
        chunks.push(chunk);
      } else if (exchanges.delete(exchange)) {
        response.writeHead(413, { connection: 'close' }).end(`More than ${BODY_BYTES_MAX} bytes\n`);
      }
    });
    request.once('end', () => {
      if (!exchanges.has(exchange)) return;
      handle({
        kind: 'request',
        exchange,
        method: request.method ?? '',
        path: request.url ?? '/',
        headers: plainHeaders(request),
        body: Buffer.concat(chunks).toString('utf8'),
      });
    });
    request.on('error', () => response.destroy());
    response.on('error', () => response.destroy());
    response.once('close', () => {
      if (exchanges.delete(exchange)) handle({ kind: 'stream-closed', exchange });
    });
  }

  function takeLink(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    if (!machine.isLeading()) {
      socket.end('HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n');
      return;
    }
    if (request.url !== LINK_PATH || request.headers.upgrade !== LINK_PROTOCOL) {
      socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n');
      return;
    }
    const link = `link-${++names}`;
    links.set(link, socket);
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${LINK_PROTOCOL}\r\n\r\n`,
    );
    const read = createJsonLineReader((value) => {
      if (!isAgentMessage(value)) throw new RangeError('no message of an agent');
      if (links.has(link)) handle({ kind: 'agent-message', link, message: value });
    });
    socket.on('data', (chunk: Buffer) => {
      try {
        read(chunk);
      } catch (error) {
        if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
        logger.error('agent link broke', { link, error });
        socket.destroy();
      }
    });
    socket.once('end', () => socket.destroy());
    socket.once('close', () => {
      if (links.delete(link)) handle({ kind: 'agent-link-lost', link });
    });
    if (head.length > 0) socket.unshift(head);
  }

  async function close(): Promise<void> {
    alarm.stop();
    await candidacy?.election.close();
    exchanges.clear();
    const open = [...links.values()];
    links.clear();
    for (const link of open) link.destroy();
    const ended = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await ended;
  }

  return {
    url: `http://${ip}:${port}`,
    port,
    isLeading: () => !ended && machine.isLeading(),
    ended: ending.promise,
    close,
  };
}

function listen(server: Server, ip: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') return reject(error);
      const message = `port ${port} of ${ip} is in use`;
      reject(
        new LocalMesosError('port-in-use', message, { hint: 'choose another --port, or 0 for any free one' }),
      );
    });
    server.listen(port, ip, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

/** Nobody has to say who they are to the local Mesos, so nobody else may reach it. */
function assertLoopback(ip: string): void {
  if (isIPv4(ip) && ip.startsWith('127.')) return;
  const message = `the local Mesos listens on this machine's loopback only (127.x.y.z), not on '${ip}'`;
  throw new LocalMesosError('not-loopback', message, { hint: 'leave --ip out, or use a real Mesos' });
}

/** As a table, so that the compiler finds one that was forgotten. */
const AGENT_MESSAGES: Readonly<Record<AgentToMaster['kind'], true>> = {
  register: true,
  reregister: true,
  unregister: true,
  pong: true,
  update: true,
  'executor-ended': true,
  'operation-update': true,
};

/** Whoever speaks the upgrade is an agent of ours, so the kind is enough to tell it from a stray client. */
function isAgentMessage(value: unknown): value is AgentToMaster {
  const kind = (value as { kind?: unknown } | null)?.kind;
  return typeof kind === 'string' && Object.hasOwn(AGENT_MESSAGES, kind);
}

function plainHeaders(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return headers;
}
