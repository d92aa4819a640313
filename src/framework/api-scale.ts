import type { PublishedView } from '../protocol/view.ts';
import { sizeProblem } from '../reconcile/scaling.ts';
import { type ApiRoute, json, problem } from './api-access.ts';
import { operatorOf, type Tell, told } from './api-commands.ts';

/** `/v1/scale`: how many members there are to be. */
export function scaleRoutes({
  view,
  tell,
}: {
  readonly view: () => PublishedView | null;
  readonly tell: Tell;
}): readonly ApiRoute[] {
  return [
    {
      method: 'post',
      path: '/v1/scale',
      access: 'data',
      about: 'body {"size": 1, 3, 5 or 7}: have as many members',
      handler: async (context) => {
        const body: unknown = await context.req.json().catch(() => null);
        const size = (body as { size?: unknown } | null)?.size;
        if (typeof size !== 'number') {
          const hint = 'Send {"size": 5}.';
          return problem(context, 400, 'the body does not say how many members there are to be', hint);
        }
        const wrong = sizeProblem(size);
        if (wrong !== null) {
          const now = view()?.size;
          const hint = now === undefined ? 'Nothing was changed.' : `It stays at ${now}.`;
          return problem(context, 400, wrong, hint);
        }
        const answer = await told(context, tell, { kind: 'scale', size, by: operatorOf(context) });
        return answer instanceof Response ? answer : json(context, answer);
      },
    },
  ];
}
