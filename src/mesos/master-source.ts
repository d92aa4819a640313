import { MesosError } from './errors.ts';

/** Where masters may be found. */
export interface MasterSource {
  /**
   * Base URLs to try, in order, without a slash at their end: `http://10.0.0.1:5050`. Empty where none is known
   * at present. Rejects with a {@link MesosError}.
   */
  next(signal: AbortSignal): Promise<readonly string[]>;
  /**
   * Only of a source that knows who leads: resolves when another master leads than when {@link next} last said, or
   * when `signal` aborts. Never rejects.
   */
  readonly changed?: (signal: AbortSignal) => Promise<void>;
}

/** The port of a master whose address names none. */
const MASTER_PORT_DEFAULT = 5050;

/**
 * A source that always gives the same masters, from one address or several with commas between them. Any of
 * them may be a standby: it redirects to the leader.
 * @throws MesosError `bad-master-address`
 */
export function createFixedMasterSource(addresses: string): MasterSource {
  const bases = parseMasterAddresses(addresses);
  return { next: () => Promise.resolve(bases) };
}

/**
 * Reads `host`, `host:5050`, `http://host:5050`, `https://host/mesos` and lists of these.
 * @throws MesosError `bad-master-address`
 */
export function parseMasterAddresses(addresses: string): readonly string[] {
  if (addresses.trim() === '') throw badAddress(addresses, 'it is empty');
  const bases = addresses.split(',').map((address) => parseMasterAddress(address.trim()));
  return [...new Set(bases)];
}

function parseMasterAddress(address: string): string {
  if (address === '') throw badAddress(address, 'one of the addresses in the list is empty');
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(address)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https') {
    throw badAddress(address, `its scheme is ${scheme}`);
  }
  const url = parseUrl(scheme === undefined ? `http://${address}` : address);
  if (url === null) throw badAddress(address, 'it is no host, host:port (1 to 65535) or URL');
  if (url.port === '0') throw badAddress(address, 'its port is 0');
  if (url.username !== '' || url.password !== '') {
    throw badAddress(hideUserInfo(address), 'credentials do not belong into an address');
  }
  if (url.search !== '' || url.hash !== '') throw badAddress(address, 'it has a query or a fragment');
  const path = url.pathname.replace(/\/+$/, '');
  if (scheme !== undefined) return `${url.protocol}//${url.host}${path}`;
  if (path !== '') throw badAddress(address, 'an address with a path needs its scheme in front');
  // The parser drops the port that is the scheme's own, so a port 80 that was typed has to be kept by hand.
  const port = /:0*80$/.test(address) ? '80' : url.port;
  return `http://${url.hostname}:${port === '' ? MASTER_PORT_DEFAULT : port}`;
}

function parseUrl(text: string): URL | null {
  return /\s/.test(text) ? null : URL.parse(text);
}

function hideUserInfo(address: string): string {
  return address.replace(/\/\/.*@/, '//…@');
}

function badAddress(address: string, why: string): MesosError {
  return new MesosError(
    'bad-master-address',
    `${JSON.stringify(address)} is no address of a master: ${why}`,
    {
      hint: 'Give host:port, http://host:port or https://host:port; several with commas between them.',
    },
  );
}
