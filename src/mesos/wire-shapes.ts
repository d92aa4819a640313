import { both, flag, isRecord, listOf, number, oneOf, record, type Shape, text } from './shape.ts';

/** What of `wire.ts` is checked when it arrives; one shape for each type there. */

export const valueShape = record({ required: { value: text } });

export const labelsShape = record({
  lists: { labels: record({ required: { key: text }, optional: { value: text } }) },
});

const scalar = record({ required: { value: number } });
const ranges = record({ lists: { range: record({ required: { begin: number, end: number } }) } });
const set = record({ lists: { item: text } });

/** The field that holds the value of a resource or attribute of each type. */
const VALUE_FIELDS = new Map([
  ['SCALAR', 'scalar'],
  ['RANGES', 'ranges'],
  ['SET', 'set'],
  ['TEXT', 'text'],
]);

const valueOfItsType: Shape = (value) => {
  const field = isRecord(value) ? VALUE_FIELDS.get(String(value['type'])) : undefined;
  if (field === undefined || (isRecord(value) && value[field] !== undefined)) return null;
  return `.${field} is missing`;
};

const disk = record({
  optional: {
    persistence: record({ required: { id: text }, optional: { principal: text } }),
    volume: record({
      required: { mode: oneOf(['RW', 'RO']), container_path: text },
      optional: { host_path: text },
    }),
    source: record({
      required: { type: text },
      optional: {
        mount: record({ optional: { root: text } }),
        path: record({ optional: { root: text } }),
        id: text,
        profile: text,
      },
    }),
  },
});

const allocationInfo = record({ required: { role: text } });

export const resourceShape = both(
  record({
    required: { name: text, type: oneOf(['SCALAR', 'RANGES', 'SET']) },
    optional: {
      scalar,
      ranges,
      set,
      allocation_info: allocationInfo,
      reservations: listOf(
        record({
          required: { type: oneOf(['STATIC', 'DYNAMIC']), role: text },
          optional: { principal: text, labels: labelsShape },
        }),
      ),
      disk,
      provider_id: valueShape,
    },
  }),
  valueOfItsType,
);

export const attributeShape = both(
  record({
    required: { name: text, type: oneOf(['SCALAR', 'RANGES', 'SET', 'TEXT']) },
    optional: { scalar, ranges, set, text: record({ required: { value: text } }) },
  }),
  valueOfItsType,
);

const named = record({ required: { name: text } });
const domain = record({ optional: { fault_domain: record({ required: { region: named, zone: named } }) } });
const nanoseconds = record({ required: { nanoseconds: number } });
const unavailability = record({ required: { start: nanoseconds }, optional: { duration: nanoseconds } });
const address = record({ required: { port: number }, optional: { hostname: text, ip: text } });

export const offerShape = record({
  required: { id: valueShape, framework_id: valueShape, agent_id: valueShape, hostname: text },
  optional: {
    url: record({ required: { scheme: text, address }, optional: { path: text } }),
    attributes: listOf(attributeShape),
    domain,
    allocation_info: allocationInfo,
    executor_ids: listOf(valueShape),
    unavailability,
  },
  lists: { resources: resourceShape },
});

export const inverseOfferShape = record({
  required: { id: valueShape },
  optional: { agent_id: valueShape, framework_id: valueShape, unavailability },
});

export const taskStatusShape = record({
  required: { task_id: valueShape, state: text },
  optional: {
    source: text,
    reason: text,
    message: text,
    agent_id: valueShape,
    executor_id: valueShape,
    timestamp: number,
    uuid: text,
    healthy: flag,
    labels: labelsShape,
  },
});

export const operationStatusShape = record({
  required: { state: text },
  optional: { operation_id: valueShape, message: text, uuid: valueShape, agent_id: valueShape },
});

const capabilities = listOf(record({ required: { type: text } }));

export const masterInfoShape = record({
  required: { id: text },
  optional: { hostname: text, version: text, port: number, address, capabilities, domain },
});

export const frameworkInfoShape = record({
  required: { user: text, name: text },
  optional: {
    id: valueShape,
    principal: text,
    failover_timeout: number,
    checkpoint: flag,
    webui_url: text,
    hostname: text,
    capabilities,
    labels: labelsShape,
  },
  lists: { roles: text },
});
