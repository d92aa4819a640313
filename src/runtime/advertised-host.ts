import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { hostname } from 'node:os';

/** Milliseconds for one master's name to be looked up. */
const LOOKUP_TIMEOUT_MS = 5_000;

/**
 * The address of this machine from which a master is reached: agents are mostly near their master. The name of
 * the machine where no master's name can be looked up. Sends nothing: a datagram socket only picks its route.
 */
export async function advertisedHost(masterUrls: readonly string[]): Promise<string> {
  for (const masterUrl of masterUrls) {
    const address = await routeTo(new URL(masterUrl).hostname.replace(/^\[|\]$/g, ''));
    if (address !== null) return address;
  }
  return hostname();
}

async function routeTo(host: string): Promise<string | null> {
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
