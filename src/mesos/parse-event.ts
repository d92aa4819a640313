import { describeError } from '../base/errors.ts';
import { MesosError } from './errors.ts';
import { anything, isRecord, number, record, type Shape, text } from './shape.ts';
import type { Offer, SchedulerEvent } from './wire.ts';
import {
  inverseOfferShape,
  masterInfoShape,
  offerShape,
  operationStatusShape,
  taskStatusShape,
  valueShape,
} from './wire-shapes.ts';

/**
 * Reads one record of the scheduler stream. Fields that we do not know are kept; an event of a type that we do
 * not know becomes `UNKNOWN`. Bytes that are not UTF-8 inside a string become U+FFFD, since agents pass on what
 * tasks wrote.
 * @throws MesosError `malformed-record`, naming what is wrong and where.
 */
export function parseEvent(bytes: Uint8Array): SchedulerEvent {
  const event = parseJson(bytes);
  if (!isRecord(event) || typeof event['type'] !== 'string') {
    throw new MesosError('malformed-record', `a record without an event's type: ${beginning(bytes)}`);
  }
  const shape = EVENT_SHAPES.get(event['type']);
  if (shape === undefined) return { type: 'UNKNOWN', name: event['type'] };
  const problem = shape(event);
  if (problem === null) return event as unknown as SchedulerEvent;
  throw new MesosError('malformed-record', `an event of type ${event['type']} whose ${problem.slice(1)}`);
}

type KnownType = Exclude<SchedulerEvent['type'], 'UNKNOWN'>;

/** Typed by all event types, so that the compiler finds one that was forgotten. */
const SHAPES: Readonly<Record<KnownType, Shape>> = {
  SUBSCRIBED: holding('subscribed', {
    required: { framework_id: valueShape },
    optional: { heartbeat_interval_seconds: number, master_info: masterInfoShape },
  }),
  OFFERS: holding('offers', { lists: { offers: offerShape } }),
  INVERSE_OFFERS: holding('inverse_offers', { lists: { inverse_offers: inverseOfferShape } }),
  RESCIND: holding('rescind', { required: { offer_id: valueShape } }),
  RESCIND_INVERSE_OFFER: holding('rescind_inverse_offer', { required: { inverse_offer_id: valueShape } }),
  UPDATE: holding('update', { required: { status: taskStatusShape } }),
  UPDATE_OPERATION_STATUS: holding('update_operation_status', { required: { status: operationStatusShape } }),
  MESSAGE: record({ required: { message: anything } }),
  FAILURE: holding('failure', {
    optional: { agent_id: valueShape, executor_id: valueShape, status: number },
  }),
  ERROR: holding('error', { required: { message: text } }),
  HEARTBEAT: anything,
};
const EVENT_SHAPES: ReadonlyMap<string, Shape> = new Map(Object.entries(SHAPES));

function holding(name: string, fields: Parameters<typeof record>[0]): Shape {
  return record({ required: { [name]: record(fields) } });
}

/** One offer out of an OFFERS event, read by itself. @throws MesosError `malformed-record` */
export function parseOffer(bytes: Uint8Array, index: number): Offer {
  const offer = parseJson(bytes);
  const problem = offerShape(offer);
  if (problem === null) return offer as Offer;
  throw new MesosError('malformed-record', `an event of type OFFERS whose offers.offers[${index}]${problem}`);
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    const message = `a record that is not JSON (${describeError(error)}): ${beginning(bytes)}`;
    throw new MesosError('malformed-record', message, { cause: error });
  }
}

/** Bytes of a record that a message shows. */
const SHOWN_BYTES_MAX = 80;

function beginning(bytes: Uint8Array): string {
  const shown = JSON.stringify(new TextDecoder().decode(bytes.subarray(0, SHOWN_BYTES_MAX)));
  return bytes.length > SHOWN_BYTES_MAX ? `${shown}…` : shown;
}
