import { PLAN_NAMES } from '../protocol/record.ts';
import type { PublishedPlan, PublishedView } from '../protocol/view.ts';
import type { PlanVerb } from '../reconcile/plan-commands.ts';
import { type ApiContext, type ApiRoute, json, problem } from './api-access.ts';
import { forceOf, operatorOf, type Tell, told } from './api-commands.ts';
import { change, status } from './api-routes.ts';

export interface PlanSource {
  readonly view: () => PublishedView | null;
  readonly tell: Tell;
}

/** `/v1/plans`, in the words of DC/OS, and the command to uninstall. */
export function planRoutes({ view, tell }: PlanSource): readonly ApiRoute[] {
  const plans = () => view()?.plans ?? [];
  return [
    status('/v1/plans', 'names of plans', (context) =>
      json(
        context,
        plans().map((plan) => plan.name),
      ),
    ),
    status('/v1/plans/:plan', 'a plan: 200 complete, 202 not yet, 417 with errors', (context) => {
      const plan = plans().find((one) => one.name === context.req.param('plan'));
      if (plan === undefined) return unknownPlan(context, plans());
      const { name: _, ...body } = plan;
      return json(context, body, plan.errors.length > 0 ? 417 : plan.status === 'COMPLETE' ? 200 : 202);
    }),
    ...VERBS.map(({ path, verb, about }) =>
      change(`/v1/plans/:plan/${path}`, about, tellPlan({ view, tell }, verb), [
        'phase',
        'step',
        ...(verb === 'start' ? ['force'] : []),
      ]),
    ),
    change(
      '/v1/uninstall',
      'give the service up; body {"destroyData": true} is leave to destroy the data',
      uninstall(tell),
    ),
  ];
}

/** What DC/OS calls what. */
const VERBS: readonly { readonly path: string; readonly verb: PlanVerb; readonly about: string }[] = [
  {
    path: 'start',
    verb: 'start',
    about: 'give the word that the plan waits for; `?force=true` although the other members are no quorum',
  },
  { path: 'pause', verb: 'interrupt', about: 'have nothing more of a plan begun; as `interrupt`' },
  { path: 'interrupt', verb: 'interrupt', about: 'have nothing more of a plan begun' },
  { path: 'stop', verb: 'interrupt', about: 'as `interrupt`: what was begun is finished' },
  { path: 'resume', verb: 'continue', about: 'as `continue`' },
  { path: 'continue', verb: 'continue', about: 'go on with what was paused, failed or waits for a word' },
  { path: 'restart', verb: 'restart', about: 'try again what failed or was forced; `?phase=…&step=…`' },
  {
    path: 'forceComplete',
    verb: 'forceComplete',
    about: 'leave a member as it is; needs `?phase=…&step=…`, by name or id',
  },
];

function tellPlan({ view, tell }: PlanSource, verb: PlanVerb): (context: ApiContext) => Promise<Response> {
  return async (context) => {
    const now = view();
    const plan = now?.plans.find((one) => one.name === context.req.param('plan'));
    if (now === null || plan === undefined) return unknownPlan(context, now?.plans ?? []);
    const part = partOf(context, plan, verb);
    if (part instanceof Response) return part;
    const force = forceOf(context);
    if (force instanceof Response) return force;
    const name = PLAN_NAMES.find((one) => one === plan.name);
    const answer =
      name === undefined || (now.uninstall !== null && verb === 'continue')
        ? await told(context, tell, { kind: 'continue' })
        : await told(context, tell, {
            kind: 'plan',
            plan: name,
            verb,
            step: part.step,
            force,
            by: operatorOf(context),
          });
    if (answer instanceof Response) return answer;
    return answer.outcome === 'done'
      ? json(context, { message: `Received cmd: ${verb}`, detail: answer.message })
      : context.body(`Command has already been reported or completed: ${answer.message}\n`, 208);
  };
}

/** The step that is meant, by name; `null`: all of them. Phases and steps are named by their names or ids. */
function partOf(
  context: ApiContext,
  plan: PublishedPlan,
  verb: PlanVerb,
): { readonly step: string | null } | Response {
  const [phaseName, stepName] = [context.req.query('phase'), context.req.query('step')];
  const isNamed = (given: string) => (one: { id: string; name: string }) =>
    one.name === given || one.id === given;
  if (phaseName === undefined) {
    if (stepName === undefined && verb !== 'forceComplete') return { step: null };
    const hint = `GET /v1/plans/${plan.name} names them: ?phase=…&step=…, by name or id.`;
    return problem(context, 400, 'a step is named by its phase and its own name', hint);
  }
  const phase = plan.phases.find(isNamed(phaseName));
  if (phase === undefined)
    return problem(context, 404, `Phase ${phaseName} not found`, thereAre(plan.phases));
  if (stepName !== undefined) {
    const found = phase.steps.find(isNamed(stepName));
    return found === undefined
      ? problem(context, 404, `Step ${stepName} not found`, thereAre(phase.steps))
      : { step: found.name };
  }
  if (verb === 'forceComplete') {
    return problem(context, 400, 'a step is forced, not a whole phase', 'Name it: ?phase=…&step=…');
  }
  if (plan.phases.length === 1) return { step: null };
  return problem(
    context,
    409,
    `one phase of ${plan.name} is not told apart from the others`,
    'Leave the phase out.',
  );
}

const thereAre = (named: readonly { readonly name: string }[]): string =>
  named.length === 0 ? 'There are none now.' : `There are ${named.map(({ name }) => name).join(', ')}.`;

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

const unknownPlan = (context: ApiContext, plans: readonly PublishedPlan[]): Response =>
  problem(context, 404, `Plan ${context.req.param('plan') ?? ''} not found`, thereAre(plans));
