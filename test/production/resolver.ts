import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DnsServer, startDnsServer } from './dns-server.ts';
import type { DnsRecords } from './mesos-dns.ts';

/*
 * Programs that ask the name server of `/etc/resolv.conf`, which is always at port 53: each is given a mount
 * namespace of its own with another such file.
 */

/** Whether this process may make one, and listen at port 53. */
export async function canResolveApart(): Promise<boolean> {
  try {
    execFileSync('unshare', ['-m', 'true'], { stdio: 'ignore' });
    const server = await startNameServer(() => ({ a: new Map(), srv: new Map() }));
    await server.close();
    return true;
  } catch {
    return false;
  }
}

/** At port 53 of a loopback address that is hardly anybody's. */
export async function startNameServer(records: () => DnsRecords): Promise<DnsServer> {
  const address = `127.${randomInt(64, 128)}.${randomInt(1, 255)}.${randomInt(1, 255)}`;
  return await startDnsServer({ address, port: 53, records });
}

/** A program that asks that name server. Its pid is the child's. */
export function spawnApart(
  server: DnsServer,
  directory: string,
  command: readonly [string, ...string[]],
): ChildProcess {
  const file = join(directory, 'resolv.conf');
  writeFileSync(file, `nameserver ${server.address}\n`);
  const script = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"';
  return spawn('unshare', ['-m', 'sh', '-c', script, 'sh', file, ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Go's own resolver, whatever the program was built with.
    env: { ...process.env, ETCDCTL_API: '3', GODEBUG: 'netdns=go' },
  });
}

/** Runs to its end; what it wrote to stdout. Throws what it wrote to stderr where it fails. */
export async function runApart(
  server: DnsServer,
  directory: string,
  command: readonly [string, ...string[]],
): Promise<string> {
  const child = spawnApart(server, directory, command);
  let out = '';
  let complaint = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}: ${complaint}`);
  return out;
}
