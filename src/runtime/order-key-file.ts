import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, unlink } from 'node:fs/promises';
import path from 'node:path';
import { describeError } from '../base/errors.ts';
import { syncDirectory, writeSynced } from '../member/durable-file.ts';
import { createOrderKey, type OrderKey, parseOrderKey } from '../protocol/signature.ts';
import { StartError } from './start-error.ts';

/**
 * Reads the key that signs orders; makes it where it is absent and may be made.
 * Rejects with a {@link StartError} or an `OrderKeyError`.
 * @param options.mayCreate `false` where members run that know an earlier key: another would be refused by all.
 */
export async function openOrderKey(
  file: string,
  options: { readonly mayCreate: boolean },
): Promise<OrderKey> {
  try {
    return parseOrderKey(await readFile(file, 'utf8'));
  } catch (error) {
    if (!isCode(error, 'ENOENT')) {
      if (error instanceof Error && 'syscall' in error) throw unusable(file, error);
      throw error;
    }
  }
  if (!options.mayCreate) {
    throw new StartError('order-key-missing', `the order key ${file} is not there, but the cluster is`, {
      hint: 'Its members take orders that this key signs alone. Bring the file back, or name it with --order-key-file.',
    });
  }
  const { key, pem } = createOrderKey();
  try {
    await mkdir(path.dirname(path.resolve(file)), { recursive: true });
    await writeDurably(file, pem);
  } catch (error) {
    // Another scheduler may have made it a moment ago: then that is the key.
    if (isCode(error, 'EEXIST')) return await openOrderKey(file, { mayCreate: false });
    throw unusable(file, error);
  }
  return key;
}

/** Whole or not at all: whoever finds the file finds the key in it. Rejects with EEXIST where there is one. */
async function writeDurably(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomUUID()}`;
  try {
    await writeSynced(draft, 'wx', text);
    await link(draft, file);
  } finally {
    await unlink(draft).catch(() => undefined);
  }
  await syncDirectory(path.dirname(path.resolve(file)));
}

function unusable(file: string, cause: unknown): StartError {
  return new StartError('state-unusable', `the order key ${file} cannot be used: ${describeError(cause)}`, {
    cause,
    hint: 'Its directory must exist or be creatable, and be writable for the scheduler; see --order-key-file.',
  });
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;
