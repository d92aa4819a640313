import { isCode } from './errors.ts';
import type { FrameworkNodes } from './nodes.ts';
import { CREATOR_ACL, OPEN_ACL, type ZooKeeper } from './port.ts';
import { ensureNode } from './tree.ts';

/** The node that tells whoever reads ZooKeeper where the cluster's endpoints are. */
export interface EndpointsNode {
  /** Replaces what it says. Rejects with a `ZooKeeperError`. */
  write(text: string): Promise<void>;
}

/** With credentials the node is for whoever has them alone, as all of ours; else everybody may read it. */
export function createEndpointsNode(of: {
  readonly zooKeeper: ZooKeeper;
  readonly nodes: FrameworkNodes;
  readonly isProtected: boolean;
}): EndpointsNode {
  const { zooKeeper, nodes } = of;
  const acl = of.isProtected ? CREATOR_ACL : OPEN_ACL;
  return {
    async write(text) {
      const session = await zooKeeper.session();
      const data = Buffer.from(text, 'utf8');
      try {
        await session.set(nodes.endpoints, data, null);
      } catch (error) {
        if (!isCode(error, 'no-node')) throw error;
        await ensureNode(session, nodes.endpoints, { base: nodes.base, acl });
        await session.set(nodes.endpoints, data, null);
      }
    },
  };
}
