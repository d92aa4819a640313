import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LocalMesosError } from './local-error.ts';
import type { Registry } from './registry.ts';

/** Where a leading master leaves what its successor must know. */
export interface RegistryStore {
  /** What the last leader stored, `null` for nothing; from now on only the master with this id may store. */
  takeOver(masterId: string): Registry | null;
  /** Durable when it returns. Throws a {@link LocalMesosError} `registry-taken` where another has taken over. */
  store(masterId: string, registry: Registry): void;
}

const REGISTRY_FILE = 'registry.json';

interface StoredRegistry {
  readonly writer: string;
  readonly registry: Registry | null;
}

/** A directory that all masters of this machine share, in place of the log that Mesos's masters replicate. */
export function createRegistryFile(directory: string): RegistryStore {
  const path = join(directory, REGISTRY_FILE);
  mkdirSync(directory, { recursive: true });

  /** By rename, so that whoever reads finds a whole one; not synced: it need not survive the machine. */
  function write(content: StoredRegistry): void {
    const temporary = `${path}.${content.writer}`;
    writeFileSync(temporary, JSON.stringify(content), { mode: 0o600 });
    renameSync(temporary, path);
  }

  return {
    takeOver: (masterId) => {
      const registry = readRegistry(path)?.registry ?? null;
      write({ writer: masterId, registry });
      return registry;
    },
    store: (masterId, registry) => {
      const writer = readRegistry(path)?.writer;
      if (writer !== masterId) {
        const message = `'${path}' belongs to the master ${writer ?? '(none)'}, not to ${masterId} any more`;
        throw new LocalMesosError('registry-taken', message);
      }
      write({ writer: masterId, registry });
    },
  };
}

function readRegistry(path: string): StoredRegistry | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    const stored = JSON.parse(text) as StoredRegistry;
    if (stored.registry === null || stored.registry.schemaVersion === 1) return stored;
  } catch {
    // Below.
  }
  const hint = 'remove it: which agents are gone or unreachable is forgotten then';
  throw new LocalMesosError('checkpoint-unreadable', `'${path}' is no registry of this build`, { hint });
}
