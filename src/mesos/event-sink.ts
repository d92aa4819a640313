import { MesosError } from './errors.ts';
import { parseEvent, parseOffer } from './parse-event.ts';
import { createBytesSink, type RecordSink } from './record-io.ts';
import type { Offer, SchedulerEvent } from './wire.ts';

/**
 * Makes an event out of a record as it arrives. The offers of a large cluster come in one record of tens of
 * megabytes: such a one becomes several events, each with as many offers as have arrived, so that they can be
 * answered while the rest is on its way, and neither the record nor all its offers are ever held. Any other record,
 * and one whose fields come in another order than Mesos writes them, is parsed whole.
 */
export function createEventSink(lengthBytes: number): RecordSink<SchedulerEvent> {
  return lengthBytes < PIECEMEAL_BYTES_MIN ? createWholeSink(lengthBytes) : createPiecemealSink(lengthBytes);
}

/** A record with fewer bytes is not worth the trouble. */
export const PIECEMEAL_BYTES_MIN = 256 * 1024;
/** How an OFFERS event begins, without white space. */
const HEAD = '{"type":"OFFERS","offers":{"offers":[';
/** Bytes within which the head must end. */
const HEAD_BYTES_MAX = 256;
/** Bytes of one offer. */
const OFFER_BYTES_MAX = 8 * 1024 * 1024;
/** Bytes of offers that make an event of their own. */
const BATCH_BYTES = 1024 * 1024;

const NOTHING = new Uint8Array(0);
const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

function createWholeSink(lengthBytes: number): RecordSink<SchedulerEvent> {
  const bytes = createBytesSink(lengthBytes);
  return {
    take: (part, emit) => bytes.take(part, (whole) => emit(parseEvent(whole))),
  };
}

function createPiecemealSink(lengthBytes: number): RecordSink<SchedulerEvent> {
  let head = new Uint8Array(0);
  let next: RecordSink<SchedulerEvent> | null = null;
  return {
    take(part, emit) {
      if (next !== null) {
        next.take(part, emit);
        return;
      }
      const begun = joined(head, part);
      const list = begun.subarray(0, HEAD_BYTES_MAX).indexOf(OPEN_LIST);
      if (list === -1 && begun.length < HEAD_BYTES_MAX) {
        head = begun;
        return;
      }
      const shell = begun.subarray(0, list + 1);
      next = isHead(shell) ? createOffersSink(lengthBytes, shell) : createWholeSink(lengthBytes);
      head = new Uint8Array(0);
      next.take(begun, emit);
    },
  };
}

function isHead(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes).replace(/\s/g, '') === HEAD;
}

/** Reads the list that begins after `shell`, offer by offer; then the shell with an empty list in its place. */
function createOffersSink(lengthBytes: number, shell: Uint8Array): RecordSink<SchedulerEvent> {
  let offers: Offer[] = [];
  let taken = 0;
  let batchBytes = 0;
  const scan = createScan();
  let filledBytes = 0;
  /** What has arrived of the offer that is under way, or of what follows the list. */
  let rest: Uint8Array = NOTHING;
  let tail = false;

  /** Only an offer that lies in several parts is copied: parts are large, and there are many. */
  const takeOffers = (part: Uint8Array): void => {
    const open = scan.over(part, {
      offer: (from, to) => {
        const bytes = from < 0 ? joined(rest, part.subarray(0, to)) : part.subarray(from, to);
        offers.push(parseOffer(bytes, taken));
        taken += 1;
        batchBytes += bytes.length;
        rest = NOTHING;
      },
      end: (at) => {
        tail = true;
        rest = part.slice(at);
      },
    });
    if (tail || open === null) return;
    rest = open < 0 ? joined(rest, part) : part.slice(open);
    if (rest.length > OFFER_BYTES_MAX) {
      throw new MesosError(
        'malformed-record',
        `an event of type OFFERS with an offer of over ${rest.length} bytes`,
      );
    }
  };

  /** Of all events that come of the record the last is made with the shell, which may hold more than the list. */
  const emitBatch = (emit: (event: SchedulerEvent) => void, event: OffersEvent): void => {
    emit({ ...event, offers: { ...event.offers, offers } });
    offers = [];
    batchBytes = 0;
  };

  return {
    take(part, emit) {
      const fresh = filledBytes === 0 ? part.subarray(shell.length) : part;
      filledBytes += part.length;
      if (tail) rest = joined(rest, fresh);
      else takeOffers(fresh);
      if (filledBytes === lengthBytes) {
        const event = parseEvent(joined(shell, rest));
        if (event.type !== 'OFFERS') throw new Error('an OFFERS event without its offers is one still');
        emitBatch(emit, event);
      } else if (batchBytes >= BATCH_BYTES) {
        emitBatch(emit, { type: 'OFFERS', offers: { offers: [] } });
      }
    },
  };
}

type OffersEvent = SchedulerEvent & { type: 'OFFERS' };

interface Found {
  /** An offer lies from here to here; negative where it began in an earlier part. */
  offer(from: number, to: number): void;
  /** The list ends with the byte here. */
  end(at: number): void;
}

/** Finds the objects of a list in bytes that come in parts. It knows as much of JSON as it takes to do that. */
function createScan(): {
  /** Where the offer began that this part leaves unfinished, as in {@link Found}; `null` where there is none. */
  over(part: Uint8Array, found: Found): number | null;
} {
  let depth = 0;
  let begin = 0;
  let inText = false;
  let escaped = false;
  return {
    over(part, found) {
      for (let at = 0; at < part.length; at += 1) {
        const byte = part[at];
        if (inText) {
          if (escaped) escaped = false;
          else if (byte === BACKSLASH) escaped = true;
          else if (byte === QUOTE) inText = false;
        } else if (byte === QUOTE) inText = true;
        else if (byte === OPEN_OBJECT) {
          if (depth === 0) begin = at;
          depth += 1;
        } else if (byte === CLOSE_OBJECT) {
          depth -= 1;
          if (depth === 0) found.offer(begin, at + 1);
        }
        if (depth > 0 || inText) continue;
        if (byte === CLOSE_LIST) {
          found.end(at);
          return null;
        }
        if (depth < 0 || !isBetweenOffers(byte)) throw notOffers(part.subarray(at, at + 40));
      }
      const open = depth > 0 ? begin : null;
      begin -= part.length;
      return open;
    },
  };
}

/** Only commas and white space stand between offers; an offer ends with its brace. */
function isBetweenOffers(byte: number | undefined): boolean {
  return (
    byte === COMMA ||
    byte === CLOSE_OBJECT ||
    byte === 0x20 ||
    (byte !== undefined && byte >= 0x09 && byte <= 0x0d)
  );
}

function notOffers(bytes: Uint8Array): MesosError {
  const text = JSON.stringify(new TextDecoder().decode(bytes));
  return new MesosError(
    'malformed-record',
    `an event of type OFFERS whose list has ${text} where an offer belongs`,
  );
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}
