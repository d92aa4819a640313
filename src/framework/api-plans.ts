import type { PublishedView } from '../protocol/view.ts';
import { type ApiContext, type ApiRoute, json, problem } from './api-access.ts';
import { type Tell, told } from './api-commands.ts';

export interface PlanSource {
  readonly view: () => PublishedView | null;
  readonly tell: Tell;
}

/** `/v1/plans`, in the words of DC/OS, and the command to uninstall. */
export function planRoutes({ view, tell }: PlanSource): readonly ApiRoute[] {
  const plans = () => view()?.plans ?? [];
  return [
    read('/v1/plans', 'names of plans', (context) =>
      json(
        context,
        plans().map((plan) => plan.name),
      ),
    ),
    read('/v1/plans/:plan', 'a plan: 200 complete, 202 not yet, 417 with errors', (context) => {
      const plan = plans().find((one) => one.name === context.req.param('plan'));
      if (plan === undefined) return unknownPlan(context);
      const { name: _, ...body } = plan;
      return json(context, body, plan.errors.length > 0 ? 417 : plan.status === 'COMPLETE' ? 200 : 202);
    }),
    change('/v1/plans/:plan/continue', 'go on with what waits for a word', async (context) => {
      const plan = plans().find((one) => one.name === context.req.param('plan'));
      if (plan === undefined) return unknownPlan(context);
      const answer = await told(context, tell, { kind: 'continue' });
      if (answer instanceof Response) return answer;
      return answer.outcome === 'done'
        ? json(context, { message: 'Received cmd: continue' })
        : context.body('Command has already been reported or completed\n', 208);
    }),
    change(
      '/v1/uninstall',
      'give the service up; body {"destroyData": true} is leave to destroy the data',
      uninstall(tell),
    ),
  ];
}

function uninstall(tell: Tell): (context: ApiContext) => Promise<Response> {
  return async (context) => {
    const body: unknown = await context.req.json().catch(() => null);
    const destroyData = (body as { destroyData?: unknown } | null)?.destroyData;
    if (typeof destroyData !== 'boolean') {
      return problem(
        context,
        400,
        'the body does not say whether the data may be destroyed',
        'Send {"destroyData": false} to ask for it, {"destroyData": true} to have it done.',
      );
    }
    const answer = await told(context, tell, { kind: 'uninstall', by: 'operator', destroyData });
    return answer instanceof Response ? answer : json(context, answer);
  };
}

const unknownPlan = (context: ApiContext): Response =>
  problem(context, 404, `Plan ${context.req.param('plan') ?? ''} not found`, 'GET /v1/plans lists them.');

function read(path: string, about: string, handler: ApiRoute['handler']): ApiRoute {
  return { method: 'get', path, access: 'status', about, handler };
}

function change(path: string, about: string, handler: ApiRoute['handler']): ApiRoute {
  return { method: 'post', path, access: 'data', about, handler };
}
