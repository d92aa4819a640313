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
export interface RecordDecoder {
  /**
   * Hands every record that `chunk` completes to `onRecord`, in order. A record may share memory with `chunk`.
   * @throws MesosError `malformed-record` at the first byte that cannot be; `record-too-large` as soon as a
   * length is over the limit. After that the decoder is of no more use and throws the same again.
   */
  push(chunk: Uint8Array, onRecord: (record: Uint8Array) => void): void;
  /** Says that the stream ended. @throws MesosError `malformed-record` when it ended inside a record. */
  end(): void;
  /** Bytes of the record that has begun, its length line included; 0 between records. */
  readonly pendingBytes: number;
}

export function createRecordDecoder(options: { recordBytesMax?: number } = {}): RecordDecoder {
  const recordBytesMax = options.recordBytesMax ?? RECORD_BYTES_MAX;
  let digits = '';
  let record: PartialRecord | null = null;
  let failure: MesosError | null = null;

  const readLength = (chunk: Uint8Array, from: number): number => {
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (byte === NEWLINE && digits !== '') {
        record = createPartialRecord(checkedLength(digits, recordBytesMax));
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
      return digits.length + (record === null ? 0 : record.headBytes + record.filledBytes);
    },
    push(chunk, onRecord) {
      if (failure !== null) throw failure;
      let at = 0;
      while (at < chunk.length || record?.missingBytes === 0) {
        if (record === null) {
          try {
            at = readLength(chunk, at);
          } catch (error) {
            failure = error as MesosError;
            throw error;
          }
          continue;
        }
        const part = chunk.subarray(at, at + record.missingBytes);
        at += part.length;
        const whole: Uint8Array | null = record.take(part);
        if (whole === null) continue;
        record = null;
        onRecord(whole);
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

interface PartialRecord {
  readonly headBytes: number;
  readonly filledBytes: number;
  readonly missingBytes: number;
  /** Adds bytes, at most those missing; the record once it is whole. */
  take(part: Uint8Array): Uint8Array | null;
}

function createPartialRecord(lengthBytes: number): PartialRecord {
  let buffer = new Uint8Array(0);
  let filledBytes = 0;
  return {
    headBytes: String(lengthBytes).length + 1,
    get filledBytes() {
      return filledBytes;
    },
    get missingBytes() {
      return lengthBytes - filledBytes;
    },
    take(part) {
      if (filledBytes === 0 && part.length === lengthBytes) return part;
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
      return filledBytes === lengthBytes ? buffer : null;
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
