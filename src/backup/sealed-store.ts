import { ArchiveError } from './errors.ts';
import { createPieces, type Pieces } from './pieces.ts';
import {
  type ArchiveKey,
  createSeal,
  decodeMark,
  encodeMark,
  type FrameMark,
  frameAt,
  GROWING_OVERHEAD_BYTES,
  MARK_BYTES,
  openSeal,
  plainSizeOf,
  SEAL_FRAME_BYTES,
  SEAL_HEADER_BYTES,
  SEAL_TAG_BYTES,
  type Seal,
} from './sealing.ts';
import {
  type ArchiveStore,
  ArchiveStoreError,
  assertWithin,
  type ObjectContent,
  type ReadOptions,
} from './store-port.ts';

/** Frames that ranges were read from, and how objects begin: the next range is near. 16 MiB at most. */
const FRAMES_KEPT = 16;
const OBJECTS_KEPT = 64;

/**
 * A store whose objects lie encrypted in another, which learns their names, their sizes and when they are written.
 * Sizes are those of the content. Nothing is given that was not put under this name with this key: what was altered,
 * cut off or moved rejects with an {@link ArchiveError} `corrupt`, what has another key or none with `wrong-key` or
 * `not-encrypted`. Only of an object that grows may a reader get less than was appended: it ends, as after a crash,
 * before a frame that is cut.
 */
export function sealedStore(store: ArchiveStore, key: ArchiveKey): ArchiveStore {
  const { growing } = store;
  const where = (name: string): string => `${name} in ${store.place}`;
  const corrupt = (name: string, what: string): ArchiveError =>
    new ArchiveError('corrupt', `${where(name)} is damaged: ${what}`);
  const altered = (name: string, number: number): ArchiveError =>
    corrupt(name, `its frame ${number} is not what was stored there under this name`);
  const kept = createKept();

  const rangeOf = async (
    name: string,
    offset: number,
    length: number,
    signal: AbortSignal,
  ): Promise<Uint8Array> => {
    const pieces = createPieces(store.read(name, { range: { offset, length }, signal }));
    try {
      return await pieces.take(length);
    } finally {
      await pieces.close();
    }
  };

  /** How an object begins and what size it has; `null` where there is none. */
  const look = async (name: string, signal: AbortSignal): Promise<OpenObject | null> => {
    const stored = await store.head(name, signal);
    if (stored === null) return null;
    const sealedBytes = stored.sizeBytes;
    const header = await rangeOf(name, 0, Math.min(SEAL_HEADER_BYTES, sealedBytes), signal);
    const seal = openSeal(key, name, header, where(name));
    if (seal.shape === 'growing') {
      return { seal, sizeBytes: await grownSize(name, sealedBytes, signal) };
    }
    const sizeBytes = plainSizeOf(sealedBytes);
    if (sizeBytes === null) throw corrupt(name, `no object has ${sealedBytes} bytes`);
    return { seal, sizeBytes };
  };

  /** By the marks of the last frame; where that is cut, by those of all. */
  const grownSize = async (name: string, sealedBytes: number, signal: AbortSignal): Promise<number> => {
    const markAt = async (offset: number): Promise<FrameMark | null> =>
      offset < SEAL_HEADER_BYTES || offset + MARK_BYTES > sealedBytes
        ? null
        : decodeMark(await rangeOf(name, offset, MARK_BYTES, signal));
    const last = await markAt(sealedBytes - MARK_BYTES);
    if (last !== null) {
      const first = await markAt(sealedBytes - last.lengthBytes - GROWING_OVERHEAD_BYTES);
      if (first !== null && isSame(first, last)) {
        return sealedBytes - SEAL_HEADER_BYTES - (last.number + 1) * GROWING_OVERHEAD_BYTES;
      }
    }
    let sizeBytes = 0;
    let offset = SEAL_HEADER_BYTES;
    for (let number = 0; ; number += 1) {
      const mark = await markAt(offset);
      if (mark?.number !== number) return sizeBytes;
      offset += mark.lengthBytes + GROWING_OVERHEAD_BYTES;
      if (offset > sealedBytes) return sizeBytes;
      sizeBytes += mark.lengthBytes;
    }
  };

  async function* wholeFrames(name: string, seal: Seal, pieces: Pieces): AsyncGenerator<Uint8Array> {
    for await (const { number, bytes, isLast } of framesOf(pieces, SEAL_FRAME_BYTES + SEAL_TAG_BYTES)) {
      const plain = seal.open(number, bytes, isLast);
      if (plain === null) throw altered(name, number);
      if (plain.byteLength > 0) yield plain;
    }
  }

  async function* grownFrames(name: string, seal: Seal, pieces: Pieces): AsyncGenerator<Uint8Array> {
    for (let number = 0; ; number += 1) {
      const begin = await pieces.take(MARK_BYTES);
      const mark = decodeMark(begin);
      const restBytes = (mark?.lengthBytes ?? 0) + SEAL_TAG_BYTES + MARK_BYTES;
      const rest = mark === null ? new Uint8Array() : await pieces.take(restBytes);
      const isCut = begin.byteLength < MARK_BYTES || (mark !== null && rest.byteLength < restBytes);
      // The first frame came with the header, whole: without it nothing says that this is an object that grows.
      if (isCut && number > 0) return;
      const end = decodeMark(rest.subarray(restBytes - MARK_BYTES));
      const isMarked = mark?.number === number && end !== null && isSame(mark, end);
      const plain = isMarked ? seal.open(number, rest.subarray(0, restBytes - MARK_BYTES), false) : null;
      if (plain === null) throw altered(name, number);
      if (plain.byteLength > 0) yield plain;
    }
  }

  async function* readAll(name: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const pieces = createPieces(store.read(name, { signal }));
    try {
      const seal = openSeal(key, name, await pieces.take(SEAL_HEADER_BYTES), where(name));
      yield* seal.shape === 'whole' ? wholeFrames(name, seal, pieces) : grownFrames(name, seal, pieces);
    } finally {
      await pieces.close();
    }
  }

  /** A frame of a whole object, by a read of its own: who reads ranges soon reads the next one of it. */
  const frameOf = async (name: string, object: OpenObject, number: number, signal: AbortSignal) => {
    const known = kept.frame(name, number);
    if (known !== undefined) return known;
    const [lastNumber, restBytes] = lastFrameOf(object.sizeBytes);
    const isLast = number === lastNumber;
    const length = (isLast ? restBytes : SEAL_FRAME_BYTES) + SEAL_TAG_BYTES;
    const sealed = await rangeOf(name, frameAt(number), length, signal);
    const plain = object.seal.open(number, sealed, isLast);
    if (plain === null) {
      kept.forget(name);
      throw altered(name, number);
    }
    kept.keepFrame(name, number, plain);
    return plain;
  };

  async function* readRange(
    name: string,
    range: NonNullable<ReadOptions['range']>,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const object = kept.object(name) ?? (await look(name, signal));
    if (object === null) throw new ArchiveStoreError('not-found', `${where(name)} is not there`);
    assertWithin(name, range, object.sizeBytes);
    const end = range.offset + range.length;
    if (object.seal.shape === 'growing') {
      yield* cutOut(readAll(name, signal), range.offset, end);
      return;
    }
    kept.keepObject(name, object);
    for (let offset = range.offset; offset < end; ) {
      const number = Math.floor(offset / SEAL_FRAME_BYTES);
      const startBytes = number * SEAL_FRAME_BYTES;
      const frame = await frameOf(name, object, number, signal);
      const part = frame.subarray(offset - startBytes, end - startBytes);
      offset += part.byteLength;
      yield part;
    }
  }

  return {
    place: store.place,
    put: async (name, content, options) => {
      let sizeBytes = 0;
      const sealed = sealWhole(createSeal(key, name, 'whole'), content, (bytes) => {
        sizeBytes += bytes;
      });
      // What was given whole is put whole: a store may take more care of that.
      const given = content instanceof Uint8Array ? await wholeOf(sealed) : sealed;
      await store.put(name, given, options).finally(() => kept.forget(name));
      return { key: name, sizeBytes };
    },
    read: (name, { range, signal }) =>
      range === undefined ? readAll(name, signal) : readRange(name, range, signal),
    head: async (name, signal) => {
      const object = await look(name, signal).catch((error: unknown) => {
        if (error instanceof ArchiveStoreError && error.code === 'not-found') return null;
        throw error;
      });
      return object === null ? null : { key: name, sizeBytes: object.sizeBytes };
    },
    list: (prefix, options) => store.list(prefix, options),
    remove: async (name, signal) => {
      await store.remove(name, signal).finally(() => kept.forget(name));
    },
    growing:
      growing === null
        ? null
        : {
            create: async (name, first, signal) => {
              const seal = createSeal(key, name, 'growing');
              const encode = createFrameEncoder(seal);
              const beginning = Buffer.concat([seal.header, encode(first)]);
              const object = await growing.create(name, beginning, signal);
              return {
                append: async (bytes) => await object.append(bytes.byteLength === 0 ? bytes : encode(bytes)),
                close: async () => await object.close(),
              };
            },
          },
  };
}

interface OpenObject {
  readonly seal: Seal;
  /** Of its content. */
  readonly sizeBytes: number;
}

/** An object as it is stored: its header, then a frame for each MiB of its content. */
async function* sealWhole(
  seal: Seal,
  content: ObjectContent,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const pieces = createPieces(content);
  try {
    yield seal.header;
    for await (const { number, bytes, isLast } of framesOf(pieces, SEAL_FRAME_BYTES)) {
      count(bytes.byteLength);
      yield seal.seal(number, bytes, isLast);
    }
  } finally {
    await pieces.close();
  }
}

async function wholeOf(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of content) parts.push(part);
  return Buffer.concat(parts);
}

/** All that comes in pieces of one size, the last one shorter; it is empty only where nothing comes. */
async function* framesOf(pieces: Pieces, frameBytes: number) {
  let bytes = await pieces.take(frameBytes);
  for (let number = 0; ; number += 1) {
    const next = bytes.byteLength === frameBytes ? await pieces.take(frameBytes) : new Uint8Array();
    const isLast = next.byteLength === 0;
    yield { number, bytes, isLast };
    if (isLast) return;
    bytes = next;
  }
}

/** The number of a whole object's last frame, and how much of the content is in it. */
function lastFrameOf(sizeBytes: number): readonly [number: number, contentBytes: number] {
  const number = Math.max(0, Math.ceil(sizeBytes / SEAL_FRAME_BYTES) - 1);
  return [number, sizeBytes - number * SEAL_FRAME_BYTES];
}

/** Makes frames of what is added to an object that grows: one, if it is not much. */
function createFrameEncoder(seal: Seal): (bytes: Uint8Array) => Buffer {
  let number = 0;
  return (bytes) => {
    const parts: Buffer[] = [];
    let offset = 0;
    do {
      const plain = bytes.subarray(offset, offset + SEAL_FRAME_BYTES);
      const mark = encodeMark({ lengthBytes: plain.byteLength, number });
      parts.push(mark, seal.seal(number, plain, false), mark);
      number += 1;
      offset += plain.byteLength;
    } while (offset < bytes.byteLength);
    return Buffer.concat(parts);
  };
}

/** What of it lies from `offset` up to `end`. */
async function* cutOut(
  content: AsyncIterable<Uint8Array>,
  offset: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const part of content) {
    const wanted = part.subarray(Math.max(0, offset - at), Math.max(0, end - at));
    at += part.byteLength;
    if (wanted.byteLength > 0) yield wanted;
    if (at >= end) return;
  }
}

const isSame = (left: FrameMark, right: FrameMark): boolean =>
  left.lengthBytes === right.lengthBytes && left.number === right.number;

/** What ranges were read from, the newest of it. */
function createKept() {
  const objects = new Map<string, OpenObject>();
  const frames = new Map<string, Uint8Array>();
  const keep = <T>(map: Map<string, T>, name: string, value: T, max: number): void => {
    map.delete(name);
    map.set(name, value);
    const [oldest] = map.keys();
    if (map.size > max && oldest !== undefined) map.delete(oldest);
  };
  const frameName = (name: string, number: number): string => `${name}#${number}`;
  return {
    object: (name: string) => objects.get(name),
    keepObject: (name: string, object: OpenObject) => keep(objects, name, object, OBJECTS_KEPT),
    frame: (name: string, number: number) => frames.get(frameName(name, number)),
    keepFrame: (name: string, number: number, plain: Uint8Array) =>
      keep(frames, frameName(name, number), plain, FRAMES_KEPT),
    forget: (name: string): void => {
      objects.delete(name);
      for (const frame of frames.keys()) if (frame.startsWith(`${name}#`)) frames.delete(frame);
    },
  };
}
