import type { ApiRoute } from './api-access.ts';
import { problem } from './api-access.ts';

/** The tarball that agents fetch. */
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

/** Anybody may fetch it: there is nothing in it but programs. */
export function artifactRoute(artifact: ServedArtifact): ApiRoute {
  const etag = `"${artifact.sha256}"`;
  return {
    method: 'get',
    path: '/v1/artifacts/:name',
    access: 'status',
    about: 'the tarball that members run from',
    handler: (context) => {
      if (context.req.param('name') !== artifact.name) {
        const hint = `There is ${artifactPath(artifact.name)}.`;
        return problem(context, 404, `artifact ${context.req.param('name')} not found`, hint);
      }
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
