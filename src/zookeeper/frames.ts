import { ZooKeeperError } from './errors.ts';

/** Bytes of one answer; a server sends at most `jute.maxbuffer`, 1 MiB by default, and lists of names more. */
export const FRAME_BYTES_MAX = 8 * 1024 * 1024;

/** The frames of a stream of bytes, however it is cut. @throws ZooKeeperError `malformed` */
export async function* readFrames(incoming: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let chunks: Uint8Array[] = [];
  let held = 0;
  let needed = 4;
  for await (const chunk of incoming) {
    chunks.push(chunk);
    held += chunk.byteLength;
    // Joined only when there is enough, so that a long answer in many pieces is copied once.
    while (held >= needed) {
      const joined = Buffer.concat(chunks);
      const size = joined.readInt32BE(0);
      if (size < 0 || size > FRAME_BYTES_MAX) {
        throw new ZooKeeperError('malformed', `an answer of ${size} bytes is announced`, {
          hint: 'Check that the address is that of a ZooKeeper’s client port.',
        });
      }
      needed = 4 + size;
      chunks = [joined];
      if (held < needed) break;
      yield joined.subarray(4, needed);
      chunks = [joined.subarray(needed)];
      held -= needed;
      needed = 4;
    }
  }
}
