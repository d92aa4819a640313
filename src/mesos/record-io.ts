import { MesosError } from './errors.ts';

/** The largest record that is taken, bytes. A master of 10,000 agents sends some 30 MB of offers in one. */
export const RECORD_BYTES_MAX = 64 * 1024 * 1024;

/** Digits of a record's length, leading zeros included; more is no record. */
const LENGTH_DIGITS_MAX = 20;
/** Bytes that are set aside for a record before any of it has come; the rest as it comes. */
const RESERVE_BYTES_MIN = 64 * 1024;

const NEWLINE = 0x0a;
const ZERO = 0x30;
const NINE = 0x39;

/**
 * Takes a RecordIO stream (`<length in decimal>\n<that many bytes>`, again and again) apart, however it is cut
 * into chunks. Memory follows what has arrived, not what a length claims.
 */
export interface RecordDecoder<T = Uint8Array> {
  /**
   * Hands what `chunk` completes to `onRecord`, in order. A record may share memory with `chunk`.
   * @throws MesosError `malformed-record` at the first byte that cannot be; `record-too-large` as soon as a
   * length is over the limit; what a sink throws. After that the decoder is of no more use and throws the same
   * again.
   */
  push(chunk: Uint8Array, onRecord: (record: T) => void): void;
  /** Says that the stream ended. @throws MesosError `malformed-record` when it ended inside a record. */
  end(): void;
  /** Bytes of the record that has begun, its length line included; 0 between records. */
  readonly pendingBytes: number;
}

/** Takes one record as it arrives. */
export interface RecordSink<T> {
  /**
   * Adds bytes and emits what the record is: at the latest with its last byte, and perhaps in several parts before.
   * Throws a `MesosError` for what a record cannot be.
   */
  take(part: Uint8Array, emit: (value: T) => void): void;
}

/** A decoder of records as bytes. */
export function createRecordDecoder(options: { recordBytesMax?: number } = {}): RecordDecoder {
  return createDecoderInto({ ...options, open: createBytesSink });
}

/** A decoder that gives each record to a sink of its own, made when the record's length is known. */
export function createDecoderInto<T>(options: {
  readonly recordBytesMax?: number;
  readonly open: (lengthBytes: number) => RecordSink<T>;
}): RecordDecoder<T> {
  const recordBytesMax = options.recordBytesMax ?? RECORD_BYTES_MAX;
  let digits = '';
  let record: PartialRecord<T> | null = null;
  let failure: MesosError | null = null;

  const readLength = (chunk: Uint8Array, from: number): number => {
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (byte === NEWLINE && digits !== '') {
        const lengthBytes = checkedLength(digits, recordBytesMax);
        record = { lengthBytes, filledBytes: 0, sink: options.open(lengthBytes) };
        digits = '';
        return at + 1;
      }
      if (byte < ZERO || byte > NINE || digits.length === LENGTH_DIGITS_MAX) {
        throw notALength(digits, chunk.subarray(at));
      }
      digits += String.fromCharCode(byte);
    }
    return chunk.length;
  };

  return {
    get pendingBytes() {
      return digits.length + (record === null ? 0 : `${record.lengthBytes}\n`.length + record.filledBytes);
    },
    push(chunk, onRecord) {
      if (failure !== null) throw failure;
      let at = 0;
      try {
        while (at < chunk.length || record?.filledBytes === record?.lengthBytes) {
          if (record === null) {
            if (at === chunk.length) break;
            at = readLength(chunk, at);
            continue;
          }
          const part = chunk.subarray(at, at + record.lengthBytes - record.filledBytes);
          at += part.length;
          record.filledBytes += part.length;
          const { sink, filledBytes, lengthBytes } = record;
          if (filledBytes === lengthBytes) record = null;
          sink.take(part, onRecord);
        }
      } catch (error) {
        failure = error as MesosError;
        throw error;
      }
    },
    end() {
      if (failure !== null) throw failure;
      if (record === null && digits === '') return;
      const had = record === null ? `its length line "${digits}"` : `${record.filledBytes} bytes of it`;
      throw new MesosError('malformed-record', `the stream ended inside a record, after ${had}`);
    },
  };
}

/** One record of a RecordIO stream. */
export function encodeRecord(record: Uint8Array | string): Uint8Array {
  const body = typeof record === 'string' ? new TextEncoder().encode(record) : record;
  const head = new TextEncoder().encode(`${body.length}\n`);
  const whole = new Uint8Array(head.length + body.length);
  whole.set(head);
  whole.set(body, head.length);
  return whole;
}

interface PartialRecord<T> {
  readonly lengthBytes: number;
  filledBytes: number;
  readonly sink: RecordSink<T>;
}

/** Collects a record's bytes. */
export function createBytesSink(lengthBytes: number): RecordSink<Uint8Array> {
  let buffer = new Uint8Array(0);
  let filledBytes = 0;
  return {
    take(part, emit) {
      if (filledBytes === 0 && part.length === lengthBytes) {
        emit(part);
        return;
      }
      const neededBytes = filledBytes + part.length;
      if (neededBytes > buffer.length) {
        const grown = new Uint8Array(
          Math.min(lengthBytes, Math.max(neededBytes, buffer.length * 2, RESERVE_BYTES_MIN)),
        );
        grown.set(buffer.subarray(0, filledBytes));
        buffer = grown;
      }
      buffer.set(part, filledBytes);
      filledBytes = neededBytes;
      if (filledBytes === lengthBytes) emit(buffer);
    },
  };
}

function checkedLength(digits: string, recordBytesMax: number): number {
  const lengthBytes = Number(digits);
  if (lengthBytes <= recordBytesMax) return lengthBytes;
  throw new MesosError(
    'record-too-large',
    `a record of ${digits} bytes was announced; at most ${recordBytesMax} are taken`,
  );
}

function notALength(digits: string, rest: Uint8Array): MesosError {
  const text = new TextDecoder().decode(rest.subarray(0, 40));
  return new MesosError(
    'malformed-record',
    `a record must begin with its length in decimal and a newline, not ${JSON.stringify(digits + text)}`,
  );
}
