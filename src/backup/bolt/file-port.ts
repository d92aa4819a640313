/**
 * A file that is read at any offset: all that the reader of a backend asks of the world. `sizeBytes` is that of the
 * part to be read: a snapshot's trailing hash is left out of it.
 */
export interface ReadableFile {
  readonly sizeBytes: number;
  /** Fills `target` from `offset` on; resolves with how many bytes there were, fewer only at the file's end. */
  readAt(target: Uint8Array, offset: number): Promise<number>;
}

/** A file that is written at any offset. What it holds is durable only when its owner has synced it. */
export interface WritableFile {
  /** Writes all of `bytes`; they are the file's until it resolves. */
  writeAt(bytes: Uint8Array, offset: number): Promise<void>;
}
