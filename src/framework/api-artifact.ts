import type { ApiRoute } from './api-access.ts';
import { problem } from './api-access.ts';

/** A tarball that agents fetch. */
export interface ServedArtifact {
  /** Its file name, the last part of its URL. */
  readonly name: string;
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha256: string;
  /** A fresh stream over the file from its start. */
  open(): ReadableStream<Uint8Array>;
}

export const artifactPath = (name: string): string => `/v1/artifacts/${encodeURIComponent(name)}`;

/** Names that an answer lists. */
const LISTED_MAX = 5;

/** Anybody may fetch it: there is nothing in it but programs. */
export function artifactRoute(artifacts: readonly ServedArtifact[]): ApiRoute {
  return {
    method: 'get',
    path: '/v1/artifacts/:name',
    access: 'status',
    about: 'the tarballs that members run from',
    handler: (context) => {
      const artifact = artifacts.find(({ name }) => name === context.req.param('name'));
      if (artifact === undefined) {
        const there = artifacts.slice(0, LISTED_MAX).map(({ name }) => artifactPath(name));
        const hint = there.length === 0 ? 'This scheduler serves none.' : `There is ${there.join(', ')}.`;
        return problem(context, 404, `artifact ${context.req.param('name')} not found`, hint);
      }
      const etag = `"${artifact.sha256}"`;
      const headers = { etag, 'cache-control': 'no-cache' };
      if (context.req.header('if-none-match') === etag) return context.body(null, 304, headers);
      return new Response(context.req.method === 'HEAD' ? null : artifact.open(), {
        headers: {
          ...headers,
          'content-type': 'application/octet-stream',
          'content-length': String(artifact.sizeBytes),
        },
      });
    },
  };
}
