import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MesosError } from '../../src/mesos/errors.ts';
import { createEventSink, PIECEMEAL_BYTES_MIN } from '../../src/mesos/event-sink.ts';
import { parseEvent } from '../../src/mesos/parse-event.ts';
import type { SchedulerEvent } from '../../src/mesos/wire.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
/** Makes a record long enough to be read piecemeal. */
const PADDING = 'x'.repeat(PIECEMEAL_BYTES_MIN);

function offer(id: string, hostname = 'agent'): Record<string, unknown> {
  return {
    id: { value: id },
    framework_id: { value: 'F' },
    agent_id: { value: 'S' },
    hostname,
    resources: [],
  };
}
const eventOf = (offers: readonly unknown[], indent?: number): Uint8Array =>
  encode(JSON.stringify({ type: 'OFFERS', offers: { offers } }, null, indent));

/** The event through a sink, in pieces that end at `cuts`; its parts put together. */
function through(record: Uint8Array, cuts: readonly number[] = []): SchedulerEvent {
  const sink = createEventSink(record.length);
  const ends = [...new Set(cuts.map((cut) => cut % record.length)), record.length].sort((a, b) => a - b);
  const events: SchedulerEvent[] = [];
  let from = 0;
  for (const end of ends) {
    sink.take(record.subarray(from, end), (event) => events.push(event));
    from = end;
  }
  const last = events.at(-1);
  if (last === undefined) throw new Error('the record is whole and nothing came of it');
  if (last.type !== 'OFFERS') return last;
  const offers = events.flatMap((event) => (event.type === 'OFFERS' ? event.offers.offers : []));
  return { ...last, offers: { ...last.offers, offers } };
}

function failureOf(record: Uint8Array): string {
  try {
    through(record, [17, 70, 300_000]);
  } catch (error) {
    if (error instanceof MesosError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'none';
}

describe('a large OFFERS event', () => {
  it('is the same as one that is parsed whole, however it is written and cut', () => {
    // Braces, brackets, quotes and backslashes in texts are what a scan could stumble over.
    const name = fc.string({
      unit: fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', 'é', '😀', 'a'),
      maxLength: 12,
    });
    fc.assert(
      fc.property(
        fc.array(name, { maxLength: 6 }),
        fc.constantFrom(undefined, 2),
        fc.array(fc.nat(), { maxLength: 12 }),
        (names, indent, cuts) => {
          const offers = [offer('padded', PADDING), ...names.map((text, at) => offer(`${text}${at}`, text))];
          const record = eventOf(offers, indent);
          expect(through(record, cuts)).toEqual(parseEvent(record));
        },
      ),
      { numRuns: 60 },
    );
  });

  it.each([
    ['no offers', []],
    ['one offer', [offer('a')]],
  ])('may have %s and come byte by byte at its ends', (_what, offers) => {
    const record = encode(
      `${JSON.stringify({ type: 'OFFERS', offers: { offers } }).slice(0, -1)}${' '.repeat(PIECEMEAL_BYTES_MIN)}}`,
    );
    const ends = Array.from({ length: 80 }, (_, at) => at);
    expect(through(record, [...ends, ...ends.map((at) => record.length - at)])).toEqual(parseEvent(record));
  });

  it.each([
    [
      'fields in another order',
      `{"offers":{"offers":[${JSON.stringify(offer('a', PADDING))}]},"type":"OFFERS"}`,
    ],
    ['another type', `{"type":"MESSAGE","message":{"data":["${PADDING}"]}}`],
    ['no list near its beginning', `{"type":"ERROR","error":{"message":"${PADDING}"}}`],
    [
      'fields after the list',
      `{"type":"OFFERS","offers":{"offers":[${JSON.stringify(offer('a', PADDING))}],"more":[1]},"and":[2]}`,
    ],
  ])('is read with %s', (_what, text) => {
    expect(through(encode(text), [9, 40, 999])).toEqual(parseEvent(encode(text)));
  });

  it.each([
    [
      'an offer that lacks its id',
      eventOf([offer('a', PADDING), { hostname: 'b' }]),
      'offers.offers[1].id is missing',
    ],
    [
      'an offer that is no JSON',
      encode(`{"type":"OFFERS","offers":{"offers":[{"a":${PADDING}}]}}`),
      'not JSON',
    ],
    [
      'something else in the list',
      encode(`{"type":"OFFERS","offers":{"offers":[7,"${PADDING}"]}}`),
      'where an offer belongs',
    ],
    [
      'a brace too many',
      encode(`{"type":"OFFERS","offers":{"offers":[}${PADDING}`),
      'where an offer belongs',
    ],
    [
      'no end of the list',
      encode(`{"type":"OFFERS","offers":{"offers":[${JSON.stringify(offer('a', PADDING))},`),
      'not JSON',
    ],
  ])('is refused with %s', (_what, record, message) => {
    expect(failureOf(record)).toContain('malformed-record');
    expect(failureOf(record)).toContain(message);
  });

  it('of several megabytes comes in several events, before it is whole', () => {
    const record = eventOf(Array.from({ length: 40 }, (_, at) => offer(`${at}`, PADDING)));
    const sink = createEventSink(record.length);
    const arrived: number[] = [];
    const step = 64 * 1024;
    for (let from = 0; from < record.length; from += step) {
      sink.take(record.subarray(from, from + step), (event) => {
        arrived.push(event.type === 'OFFERS' ? event.offers.offers.length : -1);
      });
    }
    expect(arrived.length).toBeGreaterThan(3);
    expect(arrived.reduce((sum, count) => sum + count, 0)).toBe(40);
    expect(Math.max(...arrived)).toBeLessThanOrEqual(9);
  });

  it('is refused where one offer has no end', () => {
    const record = encode(`{"type":"OFFERS","offers":{"offers":[{"a":"${'x'.repeat(9 * 1024 * 1024)}"}]}}`);
    const sink = createEventSink(record.length);
    const pieces = Array.from({ length: 40 }, (_, at) =>
      record.subarray(at * 256 * 1024, (at + 1) * 256 * 1024),
    );
    const takeAll = () => {
      for (const piece of pieces) sink.take(piece, () => {});
    };
    expect(takeAll).toThrow('with an offer of over');
  });
});
