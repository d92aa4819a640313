import type { PublishedMember, PublishedView } from '../protocol/view.ts';
import type { CommandAnswer } from '../reconcile/command-answers.ts';
import { POD_VERBS, type PodVerb } from '../reconcile/pods.ts';
import { type ApiContext, type ApiRoute, json, problem } from './api-access.ts';
import { forceOf, operatorOf, type Tell, told } from './api-commands.ts';
import { change, status, withView } from './api-routes.ts';

export interface PodSource {
  readonly view: () => PublishedView | null;
  readonly tell: Tell;
}

/** `/v1/pod`, in the words of DC/OS, where a slot is an instance of the pod `etcd`; and who leads. */
export function podRoutes({ view, tell }: PodSource): readonly ApiRoute[] {
  const withSlot = (
    handler: (context: ApiContext, current: PublishedView, slot: string) => Response | Promise<Response>,
  ): ApiRoute['handler'] =>
    withView(view, (context, current) => {
      const slot = context.req.param('slot') ?? '';
      return slotsOf(current).includes(slot) ? handler(context, current, slot) : unknownPod(context, current);
    });
  return [
    status(
      '/v1/pod',
      'names of the members’ slots',
      withView(view, (context, current) => json(context, slotsOf(current))),
    ),
    status(
      '/v1/pod/status',
      'the tasks of every slot',
      withView(view, (context, current) =>
        json(context, {
          service: current.framework.name,
          pods: [{ name: 'etcd', instances: slotsOf(current).map((slot) => instanceOf(current, slot)) }],
        }),
      ),
    ),
    status(
      '/v1/pod/:slot/status',
      'the tasks of one slot',
      withSlot((context, current, slot) => json(context, instanceOf(current, slot))),
    ),
    status(
      '/v1/pod/:slot/info',
      'where the tasks of one slot run',
      withSlot((context, current, slot) => json(context, infoOf(current, slot))),
    ),
    ...POD_VERBS.map((verb) =>
      change(
        `/v1/pod/:slot/${verb}`,
        ABOUT[verb],
        withSlot(async (context, _current, slot) => {
          const force = forceOf(context);
          if (force instanceof Response) return force;
          const command = { kind: 'pod', verb, slot, by: operatorOf(context), force } as const;
          const answer = await told(context, tell, command);
          if (answer instanceof Response) return answer;
          return json(context, { pod: slot, tasks: [`${slot}-server`], ...bodyOf(answer) });
        }),
        ['force'],
      ),
    ),
    change(
      '/v1/leader/move',
      'hand leadership over; query to=<slot>, without it to the member that is best placed',
      withView(view, async (context, current) => {
        const to = context.req.query('to') ?? null;
        if (to !== null && !slotsOf(current).includes(to)) return unknownPod(context, current, to);
        const answer = await told(context, tell, { kind: 'move-leader', to, by: operatorOf(context) });
        return answer instanceof Response ? answer : json(context, bodyOf(answer));
      }),
      ['to'],
    ),
  ];
}

const ABOUT: Readonly<Record<PodVerb, string>> = {
  restart: 'end the member’s task and launch it in place; force=true although the others are no quorum',
  replace: 'move the member to a new place with an empty volume; the old one’s data is destroyed after it',
  pause: 'stop the member’s etcd until it is resumed; force=true although the others are no quorum',
  resume: 'start the etcd of a paused member',
};

const bodyOf = ({ outcome, message, disruption }: CommandAnswer) => ({
  outcome,
  message,
  disruption: disruption ?? null,
});

export const slotsOf = (view: PublishedView): readonly string[] =>
  [...new Set(view.members.map((member) => member.slot))].sort();

export function unknownPod(
  context: ApiContext,
  view: PublishedView,
  slot = context.req.param('slot') ?? '',
): Response {
  return problem(context, 404, `Pod ${slot} not found`, `There are ${slotsOf(view).join(', ')}.`);
}

/** One pod instance as DC/OS describes it. */
function instanceOf(view: PublishedView, slot: string): unknown {
  const tasks = tasksOf(view, slot).map(({ id, name, state, override }) => ({
    id,
    name,
    status: override ?? state?.replace(/^TASK_/, '') ?? 'PENDING',
  }));
  return { name: slot, tasks };
}

/** As much of TaskInfo and TaskStatus as is remembered of a task. */
function infoOf(view: PublishedView, slot: string): unknown {
  return tasksOf(view, slot).map(({ id, name, state, member }) => {
    const identity = { task_id: { value: id }, agent_id: { value: member.agentId } };
    const { hostname, host, ports, seat, etcdVersion, memberId } = member;
    return {
      info: { name, ...identity, hostname, host, ports, reservation: seat, etcdVersion, memberId },
      status: { ...identity, state, healthy: member.healthy },
    };
  });
}

interface PodTask {
  readonly id: string;
  readonly name: string;
  readonly state: string | null;
  /** A word that says more than the state of the task. */
  readonly override: string | null;
  readonly member: PublishedMember;
}

function tasksOf(view: PublishedView, slot: string): readonly PodTask[] {
  return view.members
    .filter((member) => member.slot === slot)
    .flatMap((member) => {
      const { task, mesosState, nameTask } = member;
      const server = {
        name: `${slot}-server`,
        state: mesosState,
        override: overrideOf(view, member),
        member,
      };
      const client = { name: `${slot}-client`, override: null, member };
      return [
        ...(task === null ? [] : [{ id: task, ...server }]),
        ...(nameTask === null ? [] : [{ id: nameTask.task, state: nameTask.mesosState, ...client }]),
      ];
    });
}

/** The task of a paused member runs, and its etcd does not. */
function overrideOf({ disruption }: PublishedView, member: PublishedMember): string | null {
  const { slot, paused, phase, mesosState } = member;
  if (mesosState !== 'TASK_RUNNING') return null;
  const isBeingPaused = disruption?.kind === 'pause' && disruption.slot === slot;
  if (paused === null && !isBeingPaused) return phase === 'stopped' ? 'STARTING' : null;
  return isBeingPaused || phase === 'running' || phase === 'backing-off' ? 'PAUSING' : 'PAUSED';
}
