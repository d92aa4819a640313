import * as z from 'zod';
import { jsonOf } from '../base/body.ts';

/**
 * What a member runs, as the one string that the record keeps of it: `<id>` alone, as releases before wrote it, or
 * `<id> <JSON>` with all that it takes to launch it again.
 */
export interface ArtifactPin {
  /** `sha256:<hex>` of a tarball, or `checkout:<version>-<build>`. */
  readonly id: string;
  /** Version of the etcd in it, as `3.5.30`; `null`: nobody said. */
  readonly etcd: string | null;
  /** Where it comes from; `null`: nobody said. */
  readonly source: ArtifactSource | null;
}

const sourceSchema = z.discriminatedUnion('from', [
  /** Fetched from there. */
  z.strictObject({ from: z.literal('uri'), uri: z.string().min(1) }),
  /** Served by the schedulers that have it. */
  z.strictObject({ from: z.literal('scheduler') }),
  /** On the agents' own disks. Absolute paths. */
  z.strictObject({
    from: z.literal('checkout'),
    node: z.string().min(1),
    entry: z.string().min(1),
    etcdBinary: z.string().min(1),
  }),
]);
export type ArtifactSource = z.infer<typeof sourceSchema>;

const detailsSchema = z.object({ etcd: z.string().min(1).nullable(), source: sourceSchema });

/** Never fails: of what cannot be read, as of what a later release wrote, the id is known and nothing else. */
export function readPin(text: string): ArtifactPin {
  const at = text.indexOf(' ');
  if (at < 0) return { id: text, etcd: null, source: null };
  const id = text.slice(0, at);
  const details = detailsSchema.safeParse(jsonOf(text.slice(at + 1)));
  return details.success ? { id, ...details.data } : { id, etcd: null, source: null };
}

export function writePin({ id, etcd, source }: ArtifactPin): string {
  return source === null ? id : `${id} ${JSON.stringify({ etcd, source })}`;
}

export const tarballId = (sha256: string): string => `sha256:${sha256}`;

/** The hash of a tarball, lower-case hex; `null`: it is none. */
export function sha256Of({ id }: ArtifactPin): string | null {
  return /^sha256:([0-9a-f]{64})$/.exec(id)?.[1] ?? null;
}

/** Do both run the same? A tarball is the same wherever it comes from; a checkout with another etcd is another. */
export function isSameArtifact(one: string, other: string): boolean {
  const [left, right] = [readPin(one), readPin(other)];
  if (left.id !== right.id) return false;
  if (sha256Of(left) !== null || left.source === null || right.source === null) return true;
  return writePin(left) === writePin(right);
}

/** For people: short. */
export function describeArtifact(text: string): string {
  const { id, etcd } = readPin(text);
  const name = id.startsWith('sha256:') ? id.slice(0, 'sha256:'.length + 12) : id;
  return etcd === null ? name : `etcd ${etcd} (${name})`;
}
