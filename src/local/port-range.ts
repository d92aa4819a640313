import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Random } from '../base/ports.ts';
import { LocalMesosError } from './local-error.ts';
import { identify, isAlive, type ProcessIdentity } from './process-table.ts';

/** Ports below those that Linux hands out to outgoing connections (32768 and up), above the well-known ones. */
const FIRST_PORT = 15_000;
const LAST_PORT = 31_999;
const TRIES_MAX = 200;

export interface PortRange {
  readonly begin: number;
  readonly end: number;
  /** Gives the range back. */
  release(): void;
}

/**
 * Finds ports of 127.0.0.1 that nobody listens on, and keeps other local clusters of this machine off them by a
 * file that is void once the process that wrote it has ended.
 * Rejects with {@link LocalMesosError} `no-free-ports`.
 */
export async function claimPortRange(count: number, random: Random): Promise<PortRange> {
  const places = Math.floor((LAST_PORT - FIRST_PORT + 1) / count);
  for (let attempt = 0; attempt < TRIES_MAX; attempt += 1) {
    const begin = FIRST_PORT + Math.floor(random.next() * places) * count;
    const found = await claimPorts(begin, begin + count - 1);
    if (found !== null) return found;
  }
  throw noFreePorts(count);
}

/** Just these ports; `null` when somebody listens on one or another cluster has them. */
export async function claimPorts(begin: number, end: number): Promise<PortRange | null> {
  const claims = join(tmpdir(), 'etcd-mesos-local-ports');
  mkdirSync(claims, { recursive: true, mode: 0o777 });
  // Ranges of different widths overlap: what is claimed is every hundred that the range touches.
  const hundreds = range(Math.floor(begin / 100), Math.floor(end / 100)).map(String);
  const claimed: string[] = [];
  const release = () => {
    for (const path of claimed) rmSync(path, { force: true });
  };
  const isOurs = hundreds.every((name) => claim(join(claims, name)) && claimed.push(join(claims, name)) > 0);
  if (isOurs && (await areFree(range(begin, end)))) return { begin, end, release };
  release();
  return null;
}

/**
 * A port that nobody listens on at this moment, and that the kernel gives to no connection: a process that ends and is
 * started again finds it free. Rejects with {@link LocalMesosError} `no-free-ports`.
 */
export async function findFreePort(random: Random): Promise<number> {
  for (let attempt = 0; attempt < TRIES_MAX; attempt += 1) {
    const port = FIRST_PORT + Math.floor(random.next() * (LAST_PORT - FIRST_PORT + 1));
    if (await isPortFree(port)) return port;
  }
  throw noFreePorts(1);
}

async function areFree(ports: readonly number[]): Promise<boolean> {
  for (const port of ports) if (!(await isPortFree(port))) return false;
  return true;
}

/** Whether nobody listens on it at this moment. */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

function claim(path: string): boolean {
  const content = JSON.stringify(identify(process.pid));
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      writeFileSync(path, content, { flag: 'wx' });
      return true;
    } catch {
      if (isHeld(path)) return false;
      rmSync(path, { force: true });
    }
  }
  return false;
}

function isHeld(path: string): boolean {
  try {
    return isAlive(JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity);
  } catch {
    return false;
  }
}

function range(begin: number, end: number): number[] {
  return Array.from({ length: end - begin + 1 }, (_, index) => begin + index);
}

function noFreePorts(count: number): LocalMesosError {
  const message = `no ${count} free ports in a row between ${FIRST_PORT} and ${LAST_PORT} after ${TRIES_MAX} tries`;
  return new LocalMesosError('no-free-ports', message, {
    hint: 'end what listens there, or name the ports',
  });
}
