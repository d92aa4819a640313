import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';

/** A port of loopback that leads to another, until so many bytes have come back. */
export interface CuttingProxy {
  readonly port: number;
  /** The next connection breaks after that many bytes from the server; those after it pass. */
  cutNextAfter(bytes: number): void;
  /** The next one breaks so many bytes after the end of that frame of HTTP/2, counted from 0, or before it. */
  cutNextAtFrame(frame: number, offsetBytes: number): void;
  /** Bytes that the server has sent over the connection that was to be cut, or the last one. */
  readonly passedBytes: number;
  /** Where each frame of them ends. */
  readonly frameEnds: readonly number[];
  close(): Promise<void>;
}

/** After how many bytes to break, as far as is known from the frames that have begun. */
type Cut = (frameEnds: readonly number[]) => number;
const NEVER: Cut = () => Number.POSITIVE_INFINITY;

export async function startCuttingProxy(targetPort: number): Promise<CuttingProxy> {
  let nextCut = NEVER;
  let passedBytes = 0;
  let frameEnds: readonly number[] = [];
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const cut = nextCut;
    nextCut = NEVER;
    let passed = 0;
    const frames = createFrameMeter();
    frameEnds = frames.ends;
    const far = createConnection({ host: '127.0.0.1', port: targetPort });
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.on('data', (chunk) => far.write(chunk));
    far.on('data', (chunk: Buffer) => {
      frames.push(chunk);
      const left = Math.max(0, cut(frames.ends) - passed);
      const passing = chunk.subarray(0, Math.min(left, chunk.byteLength));
      passed += passing.byteLength;
      passedBytes = passed;
      // What was written still arrives.
      if (left <= chunk.byteLength) near.end(passing, () => far.destroy());
      else near.write(passing);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    cutNextAfter: (bytes) => {
      nextCut = () => bytes;
    },
    cutNextAtFrame: (frame, offsetBytes) => {
      nextCut = (ends) => (ends[frame] ?? Number.POSITIVE_INFINITY) + offsetBytes;
    },
    get passedBytes() {
      return passedBytes;
    },
    get frameEnds() {
      return frameEnds;
    },
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const FRAME_HEAD_BYTES = 9;

/** Finds the frames of HTTP/2 in what a server sends: three bytes of length are the first of nine before each. */
function createFrameMeter() {
  const ends: number[] = [];
  let waiting = Buffer.alloc(0);
  /** Where `waiting` begins. */
  let at = 0;
  return {
    ends,
    push: (chunk: Buffer): void => {
      waiting = Buffer.concat([waiting, chunk]);
      for (;;) {
        const end = ends.at(-1) ?? 0;
        const skipped = Math.min(end - at, waiting.byteLength);
        waiting = waiting.subarray(skipped);
        at += skipped;
        if (at < end || waiting.byteLength < FRAME_HEAD_BYTES) return;
        ends.push(at + FRAME_HEAD_BYTES + waiting.readUIntBE(0, 3));
      }
    },
  };
}
