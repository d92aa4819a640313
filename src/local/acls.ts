import * as z from 'zod';
import { LocalMesosError } from './local-error.ts';

/** What may be allowed or forbidden, and what of an ACL says on what: as in `mesos-master --acls`. */
const OBJECTS = {
  register_frameworks: 'roles',
  run_tasks: 'users',
  reserve_resources: 'roles',
  unreserve_resources: 'reserver_principals',
  create_volumes: 'roles',
  destroy_volumes: 'creator_principals',
  view_frameworks: 'users',
  view_tasks: 'users',
  teardown_frameworks: 'framework_principals',
  mark_agents_gone: 'agents',
  drain_agents: 'agents',
  deactivate_agents: 'agents',
  reactivate_agents: 'agents',
  get_maintenance_schedules: 'machines',
  update_maintenance_schedules: 'machines',
  get_maintenance_statuses: 'machines',
  start_maintenances: 'machines',
  stop_maintenances: 'machines',
} as const;

export type Action = keyof typeof OBJECTS;

/** Whom or what an ACL is about. `SOME` has values. */
interface Entity {
  readonly type: 'SOME' | 'ANY' | 'NONE';
  readonly values: readonly string[];
}
interface Acl {
  readonly subjects: Entity;
  readonly objects: Entity;
}
export interface Acls {
  /** What no ACL is about is allowed. */
  readonly permissive: boolean;
  readonly byAction: ReadonlyMap<Action, readonly Acl[]>;
}

/**
 * Whether `principal` (`null`: nobody in particular) may do `action` on all of `objects` (`null`: on anything).
 * As in Mesos, the first ACL that is about both decides.
 */
export type Authorizer = (
  action: Action,
  principal: string | null,
  objects: readonly string[] | null,
) => boolean;

export const ALLOW_ALL: Authorizer = () => true;

export function createAuthorizer({ permissive, byAction }: Acls): Authorizer {
  return (action, principal, objects) => {
    const subject = entityOf(principal === null ? null : [principal]);
    const object = entityOf(objects);
    const acl = byAction
      .get(action)
      ?.find((candidate) => matches(subject, candidate.subjects) && matches(object, candidate.objects));
    if (acl === undefined) return permissive;
    return allows(subject, acl.subjects) && allows(object, acl.objects);
  };
}

function entityOf(values: readonly string[] | null): Entity {
  return values === null ? { type: 'ANY', values: [] } : { type: 'SOME', values };
}

/** Whether an ACL is about what is asked; it may be about it to forbid it. */
function matches(asked: Entity, acl: Entity): boolean {
  if (asked.type !== 'SOME') return acl.type !== 'SOME';
  return acl.type !== 'SOME' || asked.values.every((value) => acl.values.includes(value));
}

function allows(asked: Entity, acl: Entity): boolean {
  if (asked.type !== 'SOME') return acl.type === 'ANY';
  return (
    acl.type === 'ANY' || (acl.type === 'SOME' && asked.values.every((value) => acl.values.includes(value)))
  );
}

const entity = z
  .looseObject({
    type: z.enum(['SOME', 'ANY', 'NONE']).default('SOME'),
    values: z.array(z.string()).default([]),
  })
  .readonly();

/** Reads ACLs in Mesos's own form. Throws a {@link LocalMesosError} `bad-acls`. */
export function parseAcls(text: string): Acls {
  const fail = (why: string) => {
    const hint = `give JSON such as {"permissive": false, "reserve_resources": [{"principals": {"type": "ANY"}, "roles": {"values": ["etcd"]}}]}`;
    return new LocalMesosError('bad-acls', `these are no ACLs: ${why}`, { hint });
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : '');
  }
  const outer = z.looseObject({ permissive: z.boolean().default(true) }).safeParse(json);
  if (!outer.success) throw fail(z.prettifyError(outer.error));
  const { permissive, ...actions } = outer.data;
  const byAction = new Map<Action, readonly Acl[]>();
  for (const [name, value] of Object.entries(actions)) {
    if (!isAction(name)) throw fail(`'${name}' is not one of ${Object.keys(OBJECTS).join(', ')}`);
    const shape = z.array(z.looseObject({ principals: entity, [OBJECTS[name]]: entity }));
    const parsed = shape.safeParse(value);
    if (!parsed.success) throw fail(`${name}: ${z.prettifyError(parsed.error)}`);
    const acls = (parsed.data as readonly Readonly<Record<string, Entity>>[]).flatMap((acl) => {
      const { principals: subjects, [OBJECTS[name]]: objects } = acl;
      return subjects === undefined || objects === undefined ? [] : [{ subjects, objects }];
    });
    byAction.set(name, acls);
  }
  return { permissive, byAction };
}

function isAction(name: string): name is Action {
  return Object.hasOwn(OBJECTS, name);
}
