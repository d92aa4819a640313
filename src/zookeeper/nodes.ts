/** Where the nodes of one framework lie. All that is ours is below {@link base}. */
export interface FrameworkNodes {
  readonly base: string;
  /** The cluster record. */
  readonly record: string;
  /** The logs, a folder for each kind. */
  readonly logs: string;
  /** The key that signs orders. */
  readonly orderKey: string;
  /** Of those that would lead. */
  readonly election: string;
  /** Where clients and peers find the cluster, for whoever reads ZooKeeper. */
  readonly endpoints: string;
}

/**
 * @param path of the `zk://` address; `/` for the root
 * @param foldedName the framework's, one word whatever folders it has
 */
export function frameworkNodes(path: string, foldedName: string): FrameworkNodes {
  const base = childPath(path, foldedName);
  const below = (name: string): string => childPath(base, name);
  return {
    base,
    record: below('record'),
    logs: below('logs'),
    orderKey: below('order-key'),
    election: below('election'),
    endpoints: below('endpoints'),
  };
}

export function childPath(parent: string, name: string): string {
  return parent === '/' ? `/${name}` : `${parent}/${name}`;
}

/** `null` for the root, which has none. */
export function parentPath(path: string): string | null {
  if (path === '/') return null;
  const end = path.lastIndexOf('/');
  return end === 0 ? '/' : path.slice(0, end);
}

/** The number at the end of a sequential node's name, as text of ten digits that sorts. */
export function sequenceOf(name: string): string {
  return name.slice(-SEQUENCE_DIGITS);
}
const SEQUENCE_DIGITS = 10;
