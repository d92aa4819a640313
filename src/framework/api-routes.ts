import type { PublishedView } from '../protocol/view.ts';
import { type ApiContext, type ApiRoute, problem } from './api-access.ts';

/** A route that anybody may read. */
export function status(path: string, about: string, handler: ApiRoute['handler']): ApiRoute {
  return { method: 'get', path, access: 'status', about, handler };
}

/** A route that changes something. */
export function change(
  path: string,
  about: string,
  handler: ApiRoute['handler'],
  query: readonly string[] = [],
): ApiRoute {
  return { method: 'post', path, access: 'data', about, query, handler };
}

/** Answers with the view, or says that there is none yet. */
export function withView(
  view: () => PublishedView | null,
  handler: (context: ApiContext, view: PublishedView) => Response | Promise<Response>,
): ApiRoute['handler'] {
  return (context) => {
    const current = view();
    if (current !== null) return handler(context, current);
    return problem(context, 503, 'the scheduler has only just started', 'Ask again in a moment.');
  };
}
