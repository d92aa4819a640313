import { MesosError } from './errors.ts';

/** The statuses with which a server says that another one is to be asked. Mesos uses 307. */
export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

/**
 * The base URL that a redirect points to, given what was asked for at `base`. A standby master answers with
 * `//host:port/master/api/v1/scheduler`, older ones with `//host:port`; both lead to a base to which the path of
 * the request can be added again.
 * @param path what was asked for below `base`, as `/api/v1/scheduler`
 * @throws MesosError `not-mesos` where the location leads elsewhere
 */
export function redirectedBase(base: string, path: string, location: string | undefined): string {
  const url = location === undefined || location === '' ? null : URL.parse(location, base + path);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.host === '') {
    throw notMesos(base, location);
  }
  const target = url.pathname.replace(/\/+$/, '');
  if (target === '') return url.origin;
  if (!target.endsWith(path)) throw notMesos(base, location);
  return url.origin + target.slice(0, -path.length);
}

function notMesos(base: string, location: string | undefined): MesosError {
  const where =
    location === undefined ? 'without saying where' : `to ${JSON.stringify(location.slice(0, 200))}`;
  return new MesosError('not-mesos', `${base} redirects ${where}, which no Mesos master does`);
}
