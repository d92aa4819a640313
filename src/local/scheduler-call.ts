import * as z from 'zod';
import type { Call, FrameworkInfo } from '../mesos/wire.ts';
import { UNSUPPORTED_CALLS, UNSUPPORTED_OPERATIONS } from './unsupported.ts';
import { isUuidBase64 } from './uuid-bytes.ts';

/**
 * What a scheduler may call, as far as it must be sound to be worked with. Unknown fields are passed over, as
 * Mesos does; a field of the wrong type is refused.
 */
const value = z.looseObject({ value: z.string() });
const labels = z.looseObject({
  labels: z.array(z.looseObject({ key: z.string(), value: z.string().optional() })).default([]),
});
const resource = z.looseObject({
  name: z.string(),
  type: z.enum(['SCALAR', 'RANGES', 'SET']),
  scalar: z.looseObject({ value: z.number() }).optional(),
  ranges: z
    .looseObject({ range: z.array(z.looseObject({ begin: z.number(), end: z.number() })).default([]) })
    .optional(),
  set: z.looseObject({ item: z.array(z.string()).default([]) }).optional(),
  allocation_info: z.looseObject({ role: z.string() }).optional(),
  reservations: z
    .array(
      z.looseObject({
        type: z.enum(['STATIC', 'DYNAMIC']),
        role: z.string(),
        principal: z.string().optional(),
        labels: labels.optional(),
      }),
    )
    .optional(),
  disk: z
    .looseObject({
      persistence: z.looseObject({ id: z.string(), principal: z.string().optional() }).optional(),
      volume: z
        .looseObject({
          mode: z.enum(['RW', 'RO']),
          container_path: z.string(),
          host_path: z.string().optional(),
        })
        .optional(),
      source: z
        .looseObject({
          type: z.string(),
          mount: z.looseObject({ root: z.string().optional() }).optional(),
          path: z.looseObject({ root: z.string().optional() }).optional(),
        })
        .optional(),
    })
    .optional(),
});
const command = z.looseObject({
  shell: z.boolean().optional(),
  value: z.string().optional(),
  arguments: z.array(z.string()).optional(),
  user: z.string().optional(),
  uris: z
    .array(
      z.looseObject({
        value: z.string(),
        executable: z.boolean().optional(),
        extract: z.boolean().optional(),
        cache: z.boolean().optional(),
        output_file: z.string().optional(),
      }),
    )
    .optional(),
  environment: z
    .looseObject({
      variables: z.array(z.looseObject({ name: z.string(), value: z.string().optional() })).default([]),
    })
    .optional(),
});
const killPolicy = z.looseObject({
  grace_period: z.looseObject({ nanoseconds: z.number() }).optional(),
});
const seconds = z.number().min(0).optional();
const healthCheck = z.looseObject({
  type: z.enum(['TCP', 'HTTP', 'COMMAND']),
  tcp: z.looseObject({ port: z.number() }).optional(),
  http: z.looseObject({ port: z.number() }).optional(),
  command: command.optional(),
  delay_seconds: seconds,
  interval_seconds: seconds,
  timeout_seconds: seconds,
  consecutive_failures: seconds,
  grace_period_seconds: seconds,
});
const check = z.looseObject({
  type: z.enum(['TCP', 'HTTP', 'COMMAND']),
  tcp: z.looseObject({ port: z.number() }).optional(),
  http: z.looseObject({ port: z.number(), path: z.string().optional() }).optional(),
  command: z.looseObject({ command }).optional(),
  delay_seconds: seconds,
  interval_seconds: seconds,
  timeout_seconds: seconds,
});
const container = z.looseObject({
  type: z.enum(['MESOS', 'DOCKER']),
  volumes: z
    .array(
      z.looseObject({
        mode: z.enum(['RW', 'RO']),
        container_path: z.string(),
        source: z
          .looseObject({
            type: z.string(),
            sandbox_path: z.looseObject({ type: z.enum(['PARENT', 'SELF']), path: z.string() }).optional(),
          })
          .optional(),
      }),
    )
    .optional(),
  network_infos: z.array(z.unknown()).optional(),
});
const task = z.looseObject({
  name: z.string(),
  task_id: value,
  agent_id: value,
  resources: z.array(resource).default([]),
  command: command.optional(),
  health_check: healthCheck.optional(),
  check: check.optional(),
  container: container.optional(),
  kill_policy: killPolicy.optional(),
  labels: labels.optional(),
});
const resources = z.array(resource).default([]);
const operation = z.discriminatedUnion('type', [
  z.looseObject({
    type: z.literal('RESERVE'),
    id: value.optional(),
    reserve: z.looseObject({ resources }),
  }),
  z.looseObject({
    type: z.literal('UNRESERVE'),
    id: value.optional(),
    unreserve: z.looseObject({ resources }),
  }),
  z.looseObject({
    type: z.literal('CREATE'),
    id: value.optional(),
    create: z.looseObject({ volumes: resources }),
  }),
  z.looseObject({
    type: z.literal('DESTROY'),
    id: value.optional(),
    destroy: z.looseObject({ volumes: resources }),
  }),
  z.looseObject({
    type: z.literal('LAUNCH'),
    launch: z.looseObject({ task_infos: z.array(task).default([]) }),
  }),
  z.looseObject({
    type: z.literal('LAUNCH_GROUP'),
    launch_group: z.looseObject({
      executor: z.looseObject({
        type: z.enum(['DEFAULT', 'CUSTOM']).optional(),
        executor_id: value,
        framework_id: value.optional(),
        resources,
        container: container.optional(),
      }),
      task_group: z.looseObject({ tasks: z.array(task).default([]) }),
    }),
  }),
]);
const filters = z.looseObject({ refuse_seconds: z.number().optional() }).optional();
const roles = z.looseObject({ roles: z.array(z.string()).optional() });
const frameworkInfo = z.looseObject({
  user: z.string(),
  name: z.string(),
  id: value.optional(),
  roles: z.array(z.string()).default([]),
  principal: z.string().optional(),
  failover_timeout: z.number().optional(),
  checkpoint: z.boolean().optional(),
  webui_url: z.string().optional(),
  hostname: z.string().optional(),
  capabilities: z.array(z.looseObject({ type: z.string() })).optional(),
  labels: labels.optional(),
});
const suppressed = z.array(z.string()).default([]);

/** By call type: the field that holds its body, and what is in it. `null`: a call without a body. */
const BODIES = {
  SUBSCRIBE: {
    field: 'subscribe',
    schema: z.looseObject({ framework_info: frameworkInfo, suppressed_roles: suppressed }),
  },
  TEARDOWN: null,
  ACCEPT: {
    field: 'accept',
    schema: z.looseObject({
      offer_ids: z.array(value).default([]),
      operations: z.array(operation).default([]),
      filters,
    }),
  },
  DECLINE: {
    field: 'decline',
    schema: z.looseObject({ offer_ids: z.array(value).default([]), filters }),
  },
  ACCEPT_INVERSE_OFFERS: {
    field: 'accept_inverse_offers',
    schema: z.looseObject({ inverse_offer_ids: z.array(value).default([]), filters }),
  },
  DECLINE_INVERSE_OFFERS: {
    field: 'decline_inverse_offers',
    schema: z.looseObject({ inverse_offer_ids: z.array(value).default([]), filters }),
  },
  REVIVE: { field: 'revive', schema: roles, optional: true },
  SUPPRESS: { field: 'suppress', schema: roles, optional: true },
  KILL: {
    field: 'kill',
    schema: z.looseObject({
      task_id: value,
      agent_id: value.optional(),
      kill_policy: killPolicy.optional(),
    }),
  },
  ACKNOWLEDGE: {
    field: 'acknowledge',
    schema: z.looseObject({ agent_id: value, task_id: value, uuid: z.string() }),
  },
  ACKNOWLEDGE_OPERATION_STATUS: {
    field: 'acknowledge_operation_status',
    schema: z.looseObject({ agent_id: value.optional(), uuid: z.string(), operation_id: value }),
  },
  RECONCILE: {
    field: 'reconcile',
    schema: z.looseObject({
      tasks: z.array(z.looseObject({ task_id: value, agent_id: value.optional() })).default([]),
    }),
  },
  RECONCILE_OPERATIONS: {
    field: 'reconcile_operations',
    schema: z.looseObject({
      operations: z.array(z.looseObject({ operation_id: value, agent_id: value.optional() })).default([]),
    }),
  },
  UPDATE_FRAMEWORK: {
    field: 'update_framework',
    schema: z.looseObject({ framework_info: frameworkInfo, suppressed_roles: suppressed }),
  },
} as const;

export interface SubscribeCall {
  readonly type: 'SUBSCRIBE';
  readonly subscribe: {
    readonly framework_info: FrameworkInfo;
    readonly suppressed_roles: readonly string[];
  };
}

export type ParsedCall =
  | { readonly kind: 'subscribe'; readonly call: SubscribeCall }
  | { readonly kind: 'call'; readonly frameworkId: string; readonly call: Call }
  /** Not sound: 400 with this text. */
  | { readonly kind: 'invalid'; readonly message: string }
  /** Sound in Mesos, but nothing that the local one does: 501 with this name. */
  | { readonly kind: 'unsupported'; readonly what: string };

/**
 * Reads a call from the JSON value of a request's body, with Mesos's words for what is wrong.
 * @param principal as whom the caller has authenticated itself; `null` where it had not to
 */
export function parseSchedulerCall(json: unknown, principal: string | null): ParsedCall {
  const envelope = z
    .looseObject({ type: z.string().optional(), framework_id: value.optional() })
    .safeParse(json);
  if (!envelope.success) return unconvertible(envelope.error);
  const { type } = envelope.data;
  const frameworkId = envelope.data.framework_id?.value;
  if (type === undefined || !(type in BODIES || UNSUPPORTED_CALLS.has(type))) return missing('type');
  if (type === 'SUBSCRIBE') return parseSubscribe(envelope.data, frameworkId, principal);
  if (frameworkId === undefined) return missing('framework_id');
  if (UNSUPPORTED_CALLS.has(type)) return { kind: 'unsupported', what: `the call ${type}` };
  const operationType = unsupportedOperation(envelope.data);
  if (operationType !== null) return { kind: 'unsupported', what: `the operation ${operationType}` };
  return parseBody(type as keyof typeof BODIES, envelope.data, frameworkId);
}

function parseBody(
  type: keyof typeof BODIES,
  json: Record<string, unknown>,
  frameworkId: string,
): ParsedCall {
  const body = BODIES[type];
  if (body === null) return { kind: 'call', frameworkId, call: { type } as Call };
  if (json[body.field] === undefined) {
    return 'optional' in body ? { kind: 'call', frameworkId, call: { type } as Call } : missing(body.field);
  }
  const parsed = body.schema.safeParse(json[body.field]);
  if (!parsed.success) return unconvertible(parsed.error, body.field);
  const call = { type, [body.field]: parsed.data } as unknown as Call;
  const uuid = 'uuid' in parsed.data ? String(parsed.data.uuid) : null;
  if (uuid !== null && !isUuidBase64(uuid)) return invalid('Not a valid UUID');
  if (call.type === 'ACKNOWLEDGE_OPERATION_STATUS' && !('agent_id' in parsed.data))
    return missing('agent_id');
  return { kind: 'call', frameworkId, call };
}

function parseSubscribe(
  json: Record<string, unknown>,
  frameworkId: string | undefined,
  principal: string | null,
): ParsedCall {
  if (json['subscribe'] === undefined) return missing('subscribe');
  const parsed = BODIES.SUBSCRIBE.schema.safeParse(json['subscribe']);
  if (!parsed.success) return unconvertible(parsed.error, 'subscribe');
  if ((parsed.data.framework_info.id?.value ?? '') !== (frameworkId ?? '')) {
    return invalid("'framework_id' differs from 'subscribe.framework_info.id'");
  }
  const { framework_info: info } = parsed.data;
  if (principal !== null && principal !== (info.principal ?? principal)) {
    return invalid(differingPrincipal(principal, info.principal ?? ''));
  }
  const subscribe = { ...parsed.data, framework_info: principal === null ? info : { ...info, principal } };
  return { kind: 'subscribe', call: { type: 'SUBSCRIBE', subscribe } as unknown as SubscribeCall };
}

/** A framework acts as whom it has authenticated itself. */
export function differingPrincipal(authenticated: string, named: string): string {
  return (
    `Authenticated principal '${authenticated}' does not match principal '${named}' set in ` +
    '`FrameworkInfo`'
  );
}

function unsupportedOperation(json: Record<string, unknown>): string | null {
  const accept = z
    .looseObject({ accept: z.looseObject({ operations: z.array(z.looseObject({ type: z.string() })) }) })
    .safeParse(json);
  if (!accept.success) return null;
  return accept.data.accept.operations.find(({ type }) => UNSUPPORTED_OPERATIONS.has(type))?.type ?? null;
}

function missing(field: string): ParsedCall {
  return invalid(`Expecting '${field}' to be present`);
}

function invalid(problem: string): ParsedCall {
  return { kind: 'invalid', message: `Failed to validate scheduler::Call: ${problem}` };
}

function unconvertible(error: z.ZodError, field = ''): ParsedCall {
  const [issue] = error.issues;
  const path = [field, ...(issue?.path ?? [])].filter((part) => part !== '').join('.');
  return {
    kind: 'invalid',
    message: `Failed to convert JSON into Call protobuf: ${path === '' ? '' : `${path}: `}${issue?.message ?? ''}`,
  };
}
