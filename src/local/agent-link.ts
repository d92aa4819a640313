import { request } from 'node:http';
import type { Duplex } from 'node:stream';
import { describeError } from '../base/errors.ts';
import type { Clock, Logger, Random } from '../base/ports.ts';
import { createJsonLineReader, toJsonLine } from './json-lines.ts';
import type { LeaderWatch } from './leadership.ts';
import type { AgentToMaster, MasterToAgent } from './messages.ts';

/**
 * How agents and master of the local Mesos talk: the agent asks for this path with this upgrade, and from then on
 * both sides write lines of JSON on the one connection. So messages come in order or not at all.
 */
export const LINK_PATH = '/local/agent-link';
export const LINK_PROTOCOL = 'etcd-mesos-local-agent';

/** Milliseconds between tries: this, doubled with every failure, up to the maximum, half of it random. */
const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 500;
const CONNECT_MS_MAX = 3000;

export interface AgentLinkOptions {
  /** Follows the leading master, from one to the next. */
  readonly leader: LeaderWatch;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly onUp: () => void;
  readonly onDown: () => void;
  readonly onMessage: (message: MasterToAgent) => void;
}

export interface AgentLink {
  /** What is said while the link is down is lost: it is said again when it is up. */
  send(message: AgentToMaster): void;
  /** Resolves when what was said has left, a moment at most. */
  close(): Promise<void>;
}

const CLOSE_MS_MAX = 500;

/** Keeps a connection to the leading master until it is closed. */
export function openAgentLink(options: AgentLinkOptions): AgentLink {
  const { clock, logger } = options;
  const closed = new AbortController();
  let socket: Duplex | null = null;
  let masterUrl: string | null = null;
  /** Aborts when another master leads: what is under way with the one before it ends. */
  let moved = new AbortController();
  options.leader.follow((url) => {
    if (url === masterUrl || closed.signal.aborted) return;
    masterUrl = url;
    moved.abort();
    moved = new AbortController();
    socket?.destroy();
  });
  void keepConnected();

  async function keepConnected(): Promise<void> {
    let retryMs = RETRY_MS_MIN;
    while (!closed.signal.aborted) {
      const here = AbortSignal.any([closed.signal, moved.signal]);
      const master = masterUrl;
      if (master !== null) {
        try {
          socket = await connectToMaster(master, clock, here);
          retryMs = RETRY_MS_MIN;
          logger.info('master link up', { master });
          await converse(socket);
          logger.warn('master link down', { master });
        } catch (error) {
          if (!isAborted(here)) logger.debug('master link failed', { master, error });
        }
      }
      if (isAborted(here)) retryMs = RETRY_MS_MIN;
      await clock.sleep(retryMs * (0.5 + options.random.next() / 2), here);
      retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
    }
  }

  /** Resolves when the connection has ended. */
  function converse(connection: Duplex): Promise<void> {
    const read = createJsonLineReader((value) => {
      if (!closed.signal.aborted) options.onMessage(value as MasterToAgent);
    });
    return new Promise((resolve) => {
      connection.on('data', (chunk: Buffer) => {
        try {
          read(chunk);
        } catch (error) {
          logger.error('master link broke', { why: describeError(error) });
          connection.destroy();
        }
      });
      connection.on('error', () => connection.destroy());
      connection.once('end', () => connection.destroy());
      connection.once('close', () => {
        socket = null;
        if (!closed.signal.aborted) options.onDown();
        resolve();
      });
      options.onUp();
    });
  }

  return {
    send: (message) => {
      socket?.write(toJsonLine(message));
    },
    close: async () => {
      const last = socket;
      closed.abort();
      await options.leader.close();
      if (last === null) return;
      const flushed = new Promise<void>((resolve) => last.end(resolve));
      await Promise.race([flushed, clock.sleep(CLOSE_MS_MAX)]);
      last.destroy();
    },
  };
}

async function connectToMaster(masterUrl: string, clock: Clock, closed: AbortSignal): Promise<Duplex> {
  const settled = new AbortController();
  const attempt = request(`${masterUrl}${LINK_PATH}`, {
    headers: { connection: 'Upgrade', upgrade: LINK_PROTOCOL },
    signal: closed,
  });
  void clock.sleep(CONNECT_MS_MAX, settled.signal).then(() => {
    if (!settled.signal.aborted) attempt.destroy(new Error(`no answer within ${CONNECT_MS_MAX} ms`));
  });
  try {
    return await new Promise<Duplex>((resolve, reject) => {
      attempt.once('upgrade', (_response, connection, head) => {
        if (head.length > 0) connection.unshift(head);
        resolve(connection);
      });
      attempt.once('response', (response) => {
        response.resume();
        reject(new Error(`${masterUrl} is no local master: it answered ${response.statusCode}`));
      });
      attempt.on('error', reject);
      attempt.end();
    });
  } finally {
    settled.abort();
  }
}

function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
