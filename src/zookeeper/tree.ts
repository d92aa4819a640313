import { isCode, ZooKeeperError } from './errors.ts';
import { childPath, type FrameworkNodes, parentPath } from './nodes.ts';
import { ALL_PERMS, CREATOR_ACL, OPEN_ACL, type Permission, type ZooKeeperSession } from './port.ts';

/** Nodes that one walk looks at: the most that a framework ever has are some seven hundred. */
const NODES_MAX = 5_000;

/**
 * Makes the node and those above it where they are missing. What is above `base` is everybody's: several
 * frameworks may live side by side there, each with credentials of its own; {@link base} and below get `acl`.
 */
export async function ensureNode(
  session: ZooKeeperSession,
  path: string,
  { base, acl }: { readonly base: string; readonly acl: readonly Permission[] },
): Promise<void> {
  if (path === '/' || (await session.stat(path)) !== null) return;
  const parent = parentPath(path);
  if (parent !== null) await ensureNode(session, parent, { base, acl });
  const isOurs = path === base || path.startsWith(`${base}/`);
  try {
    await session.create(path, new Uint8Array(), { acl: isOurs ? acl : OPEN_ACL });
  } catch (error) {
    if (!isCode(error, 'node-exists')) throw error;
  }
}

/** Removes the node and all below it. Safe to repeat, and while others do so. */
export async function removeTree(session: ZooKeeperSession, path: string): Promise<void> {
  for (const node of await nodesBelow(session, path)) {
    try {
      await session.remove(node, null);
    } catch (error) {
      // Not empty: somebody has added to it meanwhile.
      if (!isCode(error, 'no-node', 'not-empty')) throw error;
    }
  }
}

/**
 * Removes what a framework has beside its record and logs, then its own node, unless something is left below that:
 * a scheduler that stands by stands in the election again at once. Safe to repeat.
 */
export async function forgetFramework(session: ZooKeeperSession, nodes: FrameworkNodes): Promise<void> {
  for (const path of [nodes.endpoints, nodes.orderKey, nodes.election]) await removeTree(session, path);
  try {
    await session.remove(nodes.base, null);
  } catch (error) {
    if (!isCode(error, 'no-node', 'not-empty')) throw error;
  }
}

/**
 * Leaves nothing at `path` and below to anybody but whoever has our credentials. Returns the nodes that were open
 * to others. Rejects with a `ZooKeeperError` `no-auth` where that is not ours to say.
 */
export async function tightenTree(session: ZooKeeperSession, path: string): Promise<readonly string[]> {
  const open: string[] = [];
  // A node before what is below it: afterwards nobody can add to what has been looked at.
  await nodesBelow(session, path, async (node) => {
    const acl = await session.acl(node);
    // An entry of the scheme "digest" that we may read alone is our own: "auth" is stored as the maker's digest.
    if (acl.length === 1 && acl[0]?.scheme === 'digest' && acl[0].perms === ALL_PERMS) return;
    await session.setAcl(node, CREATOR_ACL);
    open.push(node);
  });
  return open;
}

/** The node and all below it, children before their parents; none where it is absent. */
async function nodesBelow(
  session: ZooKeeperSession,
  path: string,
  visit: (node: string) => Promise<void> = () => Promise.resolve(),
): Promise<readonly string[]> {
  const found: string[] = [path];
  for (let at = 0; at < found.length; at += 1) {
    const node = found[at] as string;
    try {
      await visit(node);
      const names = await session.children(node);
      found.push(...names.map((name) => childPath(node, name)));
    } catch (error) {
      if (!isCode(error, 'no-node')) throw error;
    }
    if (found.length > NODES_MAX) {
      throw new ZooKeeperError('too-much', `${path}: there are more than ${NODES_MAX} nodes below it`, {
        hint: 'Give the framework a path of its own.',
      });
    }
  }
  return found.reverse();
}
