import type { PublishedView } from '../protocol/view.ts';
import type { CommandAnswer } from '../reconcile/command-answers.ts';
import { type ApiRoute, json, problem } from './api-access.ts';
import { forceOf, operatorOf, type Tell, told } from './api-commands.ts';
import { slotsOf, unknownPod } from './api-pods.ts';
import { change, status, withView } from './api-routes.ts';
import type { SpaceMeasurement } from './space-measurement.ts';

export interface SpaceSource {
  readonly view: () => PublishedView | null;
  readonly tell: Tell;
  /** Has a member measure the prefixes of its keys. */
  readonly measure: () => Promise<SpaceMeasurement>;
}

const ALARMS = ['NOSPACE', 'CORRUPT'] as const;

/** etcd's database: how full it is and with what, what stands in the way of writes, and what is done about it. */
export function spaceRoutes({ view, tell, measure }: SpaceSource): readonly ApiRoute[] {
  return [
    {
      method: 'get',
      path: '/v1/space',
      // Names of keys are data.
      access: 'data',
      about: 'the size of each member’s database, what is in use of its quota, and the largest prefixes',
      handler: withView(view, async (context, current) =>
        json(context, { ...spaceOf(current), prefixes: await measure() }),
      ),
    },
    status(
      '/v1/alarms',
      'alarms of etcd that stand',
      withView(view, (context, current) => json(context, alarmsOf(current))),
    ),
    change(
      '/v1/defragment',
      'rewrite members’ databases without what is free in them, one at a time; query slot=<slot>, force=true',
      withView(view, async (context, current) => {
        const slot = context.req.query('slot') ?? null;
        if (slot !== null && !slotsOf(current).includes(slot)) return unknownPod(context, current, slot);
        const force = forceOf(context);
        if (force instanceof Response) return force;
        const command = { kind: 'defragment', slot, by: operatorOf(context), force } as const;
        const answer = await told(context, tell, command);
        return answer instanceof Response ? answer : json(context, bodyOf(answer));
      }),
      ['slot', 'force'],
    ),
    change(
      '/v1/alarms/:alarm/disarm',
      'let an alarm of etcd go: NOSPACE or CORRUPT',
      withView(view, async (context) => {
        const name = context.req.param('alarm') ?? '';
        const alarm = ALARMS.find((known) => known === name.toUpperCase());
        if (alarm === undefined)
          return problem(context, 404, `no alarm is called ${name}`, `There are ${ALARMS.join(' and ')}.`);
        const answer = await told(context, tell, { kind: 'disarm', alarm, by: operatorOf(context) });
        return answer instanceof Response ? answer : json(context, bodyOf(answer));
      }),
    ),
  ];
}

const bodyOf = ({ outcome, message }: CommandAnswer) => ({ outcome, message });

/** What members say of their databases. */
export function spaceOf({ members, space }: PublishedView) {
  return {
    members: members
      .filter(({ dbSizeBytes }) => dbSizeBytes !== null)
      .map(({ slot, leader, dbSizeBytes, dbSizeInUseBytes, quotaBytes, alarms, busy }) => ({
        slot,
        leader,
        dbSizeBytes,
        dbSizeInUseBytes,
        quotaBytes,
        alarms,
        busy,
      })),
    work: space,
  };
}

function alarmsOf({ members }: PublishedView) {
  const of = (memberId: string): string | null =>
    members.find((member) => member.memberId === memberId)?.slot ?? null;
  const standing = members.find(({ alarms }) => alarms.length > 0)?.alarms ?? [];
  return standing.map(({ memberId, alarm }) => ({ memberId, alarm, slot: of(memberId) }));
}
