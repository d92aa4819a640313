import { describe, expect, it } from 'vitest';
import { MesosError } from '../../src/mesos/errors.ts';
import { parseEvent } from '../../src/mesos/parse-event.ts';
import type { SchedulerEvent } from '../../src/mesos/wire.ts';
import { readTrace, traceNames } from '../replay/trace.ts';

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const parse = (value: unknown): SchedulerEvent => parseEvent(encode(value));

function problemOf(bytes: Uint8Array): string {
  try {
    parseEvent(bytes);
  } catch (error) {
    if (error instanceof MesosError && error.code === 'malformed-record') return error.message;
    throw error;
  }
  throw new Error('it was taken');
}

const OFFER = {
  id: { value: 'O1' },
  framework_id: { value: 'F' },
  agent_id: { value: 'S1' },
  hostname: 'agent-1.example',
  resources: [
    { name: 'cpus', type: 'SCALAR', scalar: { value: 4 }, allocation_info: { role: 'etcd' } },
    { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 31000, end: 31099 }] } },
  ],
};
const STATUS = { task_id: { value: 'etcd-0__1' }, state: 'TASK_RUNNING', uuid: 'YanOZJ3NSCCWUK94rO5pOg==' };

describe('parseEvent', () => {
  it.each(traceNames())('takes every event of the recording %s as it is', (name) => {
    for (const entry of readTrace(name)) {
      if (entry.kind === 'event') expect(parse(entry.event)).toEqual(entry.event);
    }
  });

  it('keeps fields that it does not know, at every depth', () => {
    const event = {
      type: 'UPDATE',
      novelty: 1,
      update: { novelty: [], status: { ...STATUS, novelty: { deep: true } } },
    };
    expect(parse(event)).toEqual(event);
  });

  it.each(['SOMETHING_NEW', 'constructor', '__proto__', ''])('makes an event of type %j unknown', (type) => {
    expect(parse({ type, body: 1 })).toEqual({ type: 'UNKNOWN', name: type });
  });

  it('puts in the lists that Mesos leaves out when they are empty', () => {
    expect(parse({ type: 'OFFERS', offers: {} })).toEqual({ type: 'OFFERS', offers: { offers: [] } });
    const { resources: _, ...bare } = OFFER;
    const ports = { name: 'ports', type: 'RANGES', ranges: {} };
    const parsed = parse({ type: 'OFFERS', offers: { offers: [bare, { ...bare, resources: [ports] }] } });
    expect(parsed).toEqual({
      type: 'OFFERS',
      offers: {
        offers: [
          { ...bare, resources: [] },
          { ...bare, resources: [{ ...ports, ranges: { range: [] } }] },
        ],
      },
    });
    expect(parse({ type: 'UPDATE', update: { status: { ...STATUS, labels: {} } } })).toEqual({
      type: 'UPDATE',
      update: { status: { ...STATUS, labels: { labels: [] } } },
    });
  });

  it('takes a message that is not UTF-8: an agent passes on what a task wrote', () => {
    const event = { type: 'UPDATE', update: { status: { ...STATUS, message: 'exit: ?' } } };
    const bytes = encode(event);
    bytes[bytes.indexOf(0x3f)] = 0xff;
    expect(parseEvent(bytes)).toMatchObject({ update: { status: { message: 'exit: \ufffd' } } });
  });

  it.each([
    ['nothing', '', 'a record that is not JSON'],
    ['half an object', '{"type":"HEART', 'a record that is not JSON'],
    ['null', 'null', 'without an event’s type'],
    ['a list', '[]', 'without an event’s type'],
    ['a type that is a number', '{"type":7}', 'without an event’s type'],
  ])('refuses %s', (_what, text, message) => {
    expect(problemOf(new TextEncoder().encode(text))).toContain(message.replace('’', "'"));
  });

  it.each([
    [{ type: 'SUBSCRIBED' }, 'SUBSCRIBED whose subscribed is missing'],
    [{ type: 'SUBSCRIBED', subscribed: {} }, 'subscribed.framework_id is missing'],
    [
      { type: 'SUBSCRIBED', subscribed: { framework_id: { value: 7 } } },
      'subscribed.framework_id.value must be a string, is 7',
    ],
    [
      { type: 'SUBSCRIBED', subscribed: { framework_id: { value: 'F' }, heartbeat_interval_seconds: '15' } },
      'subscribed.heartbeat_interval_seconds must be a number, is "15"',
    ],
    [{ type: 'OFFERS', offers: [] }, 'offers must be an object, is []'],
    [{ type: 'OFFERS', offers: { offers: [OFFER, null] } }, 'offers.offers[1] must be an object, is null'],
    [
      { type: 'OFFERS', offers: { offers: [{ ...OFFER, resources: [{ name: 'cpus', type: 'SCALAR' }] }] } },
      'offers.offers[0].resources[0].scalar is missing',
    ],
    [
      {
        type: 'OFFERS',
        offers: {
          offers: [
            {
              ...OFFER,
              resources: [{ name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 1, end: null }] } }],
            },
          ],
        },
      },
      'resources[0].ranges.range[0].end must be a number, is null',
    ],
    [{ type: 'UPDATE', update: { status: { ...STATUS, state: 7 } } }, 'update.status.state must be a string'],
    [
      { type: 'UPDATE', update: { status: { ...STATUS, healthy: 'true' } } },
      'healthy must be a boolean, is "true"',
    ],
    [
      { type: 'UPDATE_OPERATION_STATUS', update_operation_status: { status: {} } },
      'update_operation_status.status.state is missing',
    ],
    [{ type: 'RESCIND', rescind: { offer_id: 'O1' } }, 'rescind.offer_id must be an object, is "O1"'],
    [{ type: 'ERROR', error: {} }, 'error.message is missing'],
    [{ type: 'FAILURE', failure: 'yes' }, 'failure must be an object'],
  ])('says what is wrong and where: %j', (event, message) => {
    expect(problemOf(encode(event))).toContain(message);
  });

  it('takes 10,000 offers of 2 to 3 KB in one event', () => {
    const [cpus, ports] = OFFER.resources;
    const resources = Array.from({ length: 12 }, () => [cpus, ports]).flat();
    const offers = Array.from({ length: 10_000 }, (_, index) => ({
      ...OFFER,
      id: { value: `O${index}` },
      resources,
    }));
    const bytes = encode({ type: 'OFFERS', offers: { offers } });
    expect(bytes.length).toBeGreaterThan(20_000_000);
    const event = parseEvent(bytes);
    expect(event.type === 'OFFERS' && event.offers.offers.length).toBe(10_000);
  });
});
