import { createHash } from 'node:crypto';
import { StateStoreError } from '../base/ports.ts';

/**
 * The file of a stored record: one header line, then the bytes as they were given.
 *
 *     etcd-mesos-state 1 version=12 bytes=2048 sha256=9f86d0…
 */
const MAGIC = 'etcd-mesos-state 1';
const HEADER = /^etcd-mesos-state 1 version=([1-9]\d{0,15}) bytes=(\d{1,9}) sha256=([0-9a-f]{64})$/;
/** The header's bytes are looked for here; it is far shorter. */
const HEADER_BYTES_MAX = 256;

export interface StateFile {
  readonly version: number;
  readonly bytes: Uint8Array;
}

export function encodeStateFile({ version, bytes }: StateFile): Uint8Array {
  const header = `${MAGIC} version=${version} bytes=${bytes.byteLength} sha256=${sha256(bytes)}\n`;
  return Buffer.concat([Buffer.from(header, 'ascii'), bytes]);
}

/** Throws a {@link StateStoreError} `corrupt` that names the file and says what is wrong with it. */
export function decodeStateFile(content: Uint8Array, path: string): StateFile {
  const end = content.subarray(0, HEADER_BYTES_MAX).indexOf(0x0a);
  const header = end < 0 ? null : HEADER.exec(Buffer.from(content.subarray(0, end)).toString('latin1'));
  if (header === null) throw corrupt(path, 'its first line is not that of a state file');
  const [, version, sizeBytes, digest] = header;
  const bytes = content.subarray(end + 1);
  if (bytes.byteLength !== Number(sizeBytes)) {
    throw corrupt(path, `${bytes.byteLength} bytes follow its first line, which promises ${sizeBytes}`);
  }
  if (sha256(bytes) !== digest) throw corrupt(path, 'its bytes do not have the checksum of its first line');
  return { version: Number(version), bytes };
}

function corrupt(path: string, problem: string): StateStoreError {
  return new StateStoreError('corrupt', `the state file ${path} is damaged: ${problem}`, {
    hint: 'Put a copy of it back; or move it away and start with --bootstrap=adopt while the members run.',
  });
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
