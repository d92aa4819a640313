import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { hostname } from 'node:os';
import { parseZooKeeperUrl } from '../base/zookeeper-url.ts';
import { isLoopback } from '../framework/api-access.ts';

/** Milliseconds for one master's name to be looked up. */
const LOOKUP_TIMEOUT_MS = 5_000;
/** What is listened on where any address will do; nobody is reached under it. */
const EVERY_ADDRESS: readonly string[] = ['0.0.0.0', '::'];
/** Addresses for documentation, which are nobody's: the way to them is the way to other machines. */
const ELSEWHERE = ['198.51.100.1', '2001:db8::1'] as const;

/** The address of this machine from which `host` is reached; `null` where there is no way to it. */
export type RouteTo = (host: string) => Promise<string | null>;

/**
 * Under which address agents reach a server: the one that is named, unless that stands for all, as in the
 * `LIBPROCESS_IP` of a container with a network of its own. Else the one that it listens on; where it listens on all,
 * the one from which a master is reached, since agents are mostly near their master. A master on this machine may
 * have agents on others, which cannot use loopback: then the one from which other machines are reached, where
 * there is one. The name of the machine where no master's name can be looked up.
 */
export async function advertisedHost(
  server: {
    readonly hostname?: string | null;
    readonly listen: string;
    readonly masterUrls: readonly string[];
  },
  routeTo: RouteTo = routeOfSystem,
): Promise<string> {
  const named = [server.hostname, server.listen].find(
    (host) => host != null && !EVERY_ADDRESS.includes(host),
  );
  if (named != null) return named;
  for (const host of server.masterUrls.flatMap(hostsOf)) {
    const address = await routeTo(host);
    if (address === null) continue;
    return isLoopback(address) ? ((await routeElsewhere(routeTo)) ?? address) : address;
  }
  return hostname();
}

/** Of a ZooKeeper its servers: they are where the masters are, as far as the network goes. */
function hostsOf(masterUrl: string): readonly string[] {
  const zooKeeper = parseZooKeeperUrl(masterUrl);
  if (zooKeeper !== null) return zooKeeper.servers.map(({ host }) => host);
  return [new URL(masterUrl).hostname.replace(/^\[|\]$/g, '')];
}

async function routeElsewhere(routeTo: RouteTo): Promise<string | null> {
  for (const host of ELSEWHERE) {
    const address = await routeTo(host);
    if (address !== null && !isLoopback(address)) return address;
  }
  return null;
}

/** Sends nothing: a datagram socket only picks its route. */
async function routeOfSystem(host: string): Promise<string | null> {
  const target = await resolve(host);
  if (target === null) return null;
  const socket = createSocket(target.family === 6 ? 'udp6' : 'udp4');
  try {
    return await new Promise<string>((done, reject) => {
      socket.once('error', reject);
      // Any port: nothing is sent.
      socket.connect(9, target.address, () => done(socket.address().address));
    });
  } catch {
    return null;
  } finally {
    socket.close();
  }
}

async function resolve(host: string): Promise<{ address: string; family: number } | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((done) => {
    timer = setTimeout(() => done(null), LOOKUP_TIMEOUT_MS);
  });
  const found = lookup(host).catch(() => null);
  const first = await Promise.race([found, late]);
  clearTimeout(timer);
  return first;
}
