import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import type { ContainerEvent } from './container-runtime.ts';

/**
 * What an executor has to tell, one JSON line an event, in a file that outlives both the executor and its agent.
 * The socket between them says only "look": so nothing is lost when either side dies, and nothing comes twice.
 */
export interface JournalEntry {
  readonly event: ContainerEvent;
  /** Of the task in a group that it is about; absent where it is about the executor's own container. */
  readonly containerId?: string;
  /** From `running` on: the process of the task itself, which leads a session of its own. */
  readonly taskPid?: number;
}

export interface JournalWriter {
  append(entry: JournalEntry): void;
}

export interface JournalReader {
  /** The whole entries that were appended since the last call, in order. */
  read(): readonly JournalEntry[];
}

const READ_BYTES = 64 * 1024;

export function createJournalWriter(path: string): JournalWriter {
  const file = openSync(path, 'a', 0o600);
  return {
    append: (entry) => {
      writeSync(file, `${JSON.stringify(entry)}\n`);
    },
  };
}

/** Reads as nothing while there is no such file. */
export function createJournalReader(path: string): JournalReader {
  let offset = 0;
  return {
    read: () => {
      const text = readFrom(path, offset);
      // The last line may still be in the making.
      const whole = text.subarray(0, text.lastIndexOf(0x0a) + 1);
      offset += whole.length;
      const lines = whole.toString('utf8').split('\n');
      return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as JournalEntry);
    },
  };
}

function readFrom(path: string, offset: number): Buffer {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
  try {
    const chunks: Buffer[] = [];
    for (let position = offset; ; ) {
      const chunk = Buffer.alloc(READ_BYTES);
      const count = readSync(file, chunk, 0, READ_BYTES, position);
      if (count === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, count));
      position += count;
    }
  } finally {
    closeSync(file);
  }
}
