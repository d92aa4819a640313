/** An ensemble and a place in it, as `zk://10.0.0.1:2181,10.0.0.2:2181/mesos` names them. */
export interface ZooKeeperUrl {
  readonly servers: readonly { readonly host: string; readonly port: number }[];
  /** Absolute, without a slash at its end; `/` for the root. */
  readonly path: string;
}

/** ZooKeeper's client port where none is named. */
const PORT_DEFAULT = 2181;
/** Servers that one address may name. */
const SERVERS_MAX = 15;
const PATH_LENGTH_MAX = 512;
/** What ZooKeeper takes as part of a path, less what nobody can type. */
const PATH_PART = /^(?!\.\.?$)[\x21-\x7e]+$/;
const HOST = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})$/;

/** Whether it is meant to be one. */
export function isZooKeeperUrl(text: string): boolean {
  return /^zk:\/\//i.test(text.trim());
}

/** `null` where it is none, or has credentials in it: they belong into a file. */
export function parseZooKeeperUrl(text: string): ZooKeeperUrl | null {
  const match = /^zk:\/\/([^/@\s]+)(\/\S*)?$/i.exec(text.trim());
  const servers = match?.[1]?.split(',').map(parseServer) ?? [];
  const path = (match?.[2] ?? '/').replace(/\/+$/, '');
  if (match === null || servers.length > SERVERS_MAX || path.length > PATH_LENGTH_MAX) return null;
  if (
    path !== '' &&
    !path
      .slice(1)
      .split('/')
      .every((part) => PATH_PART.test(part))
  )
    return null;
  const known = servers.filter((server) => server !== null);
  return known.length === servers.length ? { servers: known, path: path === '' ? '/' : path } : null;
}

/** A spelling that {@link parseZooKeeperUrl} reads back. */
export function formatZooKeeperUrl({ servers, path }: ZooKeeperUrl): string {
  const named = servers.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`);
  return `zk://${named.join(',')}${path === '/' ? '' : path}`;
}

function parseServer(text: string): ZooKeeperUrl['servers'][number] | null {
  const [, host = '', port = String(PORT_DEFAULT)] = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (!HOST.test(host) || Number(port) < 1 || Number(port) > 65_535) return null;
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}
