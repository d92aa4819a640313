import type { IKeyValue } from 'etcd3';
import { type RevisionEvents, readEvent } from '../../src/backup/events.ts';
import type { Observation } from './workload.ts';

/**
 * What a store holds at a revision, by what a watch of its own told from the beginning. When a key was made and how
 * often it was changed is counted here, not taken from what was told.
 */
export function modelAt(watched: readonly RevisionEvents[], revision: bigint): Observation {
  const keys = new Map<string, IKeyValue & { count: bigint }>();
  for (const each of watched) {
    if (each.revision > revision) break;
    for (const event of each.events.map(readEvent)) {
      const name = Buffer.from(event.key).toString('latin1');
      if (event.type === 'delete') {
        keys.delete(name);
        continue;
      }
      const known = keys.get(name);
      const count = (known?.count ?? 0n) + 1n;
      keys.set(name, {
        key: Buffer.from(event.key),
        value: Buffer.from(event.value),
        create_revision: known?.create_revision ?? String(each.revision),
        mod_revision: String(each.revision),
        version: String(count),
        lease: String(event.lease),
        count,
      });
    }
  }
  return {
    revision,
    keys: [...keys.values()]
      .map(({ count: _, ...key }) => key)
      .toSorted((left, right) => Buffer.compare(left.key, right.key)),
  };
}
