import * as z from 'zod';
import { describeError } from '../base/errors.ts';
import type { Clock, Logger } from '../base/ports.ts';
import { isCode, isTransient, ZooKeeperError } from '../zookeeper/errors.ts';
import { childPath } from '../zookeeper/nodes.ts';
import type { ZooKeeper, ZooKeeperSession } from '../zookeeper/port.ts';
import { MesosError } from './errors.ts';
import type { MasterSource } from './master-source.ts';

export interface ZooKeeperMastersOptions {
  readonly zooKeeper: ZooKeeper;
  /** The folder in which the masters stand for election, usually `/mesos`. */
  readonly path: string;
  /** How masters are talked to: what they write does not say. Default http. */
  readonly scheme?: 'http' | 'https';
  readonly clock: Clock;
  readonly log: Logger;
}

/** Milliseconds that asking ZooKeeper may take before what it said the last time counts. */
const ASK_MS = 5_000;
/** Milliseconds between two tries to follow. */
const RETRY_MS = 500;
/** The leader may go between two of our requests: then the next one is looked for. */
const TRIES_MAX = 5;
/** `json.info_0000000001`: a candidate; beside it lie others, as `log_replicas`. */
const CANDIDATE = /^json\.info_(\d{10})$/;
/** What masters before 0.24 wrote: a protocol buffer. */
const OLD_CANDIDATE = /^info_\d{10}$/;

/** What a master writes (`MasterInfo` as JSON): newer ones have `address`, all have the rest. */
const masterInfoSchema = z.object({
  address: z
    .object({ hostname: z.string().optional(), ip: z.string().optional(), port: z.number() })
    .optional(),
  hostname: z.string().optional(),
  port: z.number().optional(),
});

/** The leading master as the masters' own election has it: of their nodes the lowest. */
export function createZooKeeperMasters(options: ZooKeeperMastersOptions): MasterSource {
  const { zooKeeper, clock, log } = options;
  /** The last that was read: what counts while ZooKeeper is away. */
  let known: Leader | null = null;

  return {
    async next(signal) {
      try {
        known = await readLeader(options, await zooKeeper.session({ signal, waitMs: ASK_MS }));
      } catch (error) {
        if (signal.aborted)
          throw new MesosError('aborted', 'looking for the master was given up', { cause: error });
        if (!(error instanceof ZooKeeperError)) throw error;
        if (known === null || !isTransient(error)) throw notFound(options.path, error);
        log.warn('zookeeper does not say who leads', { reason: error.message, last: known.bases[0] });
      }
      return known.bases;
    },
    async changed(signal) {
      while (!signal.aborted) {
        try {
          const session = await zooKeeper.session({ signal });
          const { names, changed } = await session.watchChildren(options.path);
          const [leader] = candidatesOf(names);
          if (leader !== undefined && leader !== known?.node) return;
          await changedOrAborted(changed, signal);
        } catch (error) {
          if (!(error instanceof ZooKeeperError)) throw error;
          await clock.sleep(RETRY_MS, signal);
        }
      }
    },
  };
}

interface Leader {
  /** The name of its node. */
  readonly node: string;
  readonly bases: readonly string[];
}

async function readLeader(
  { path, scheme = 'http' }: ZooKeeperMastersOptions,
  session: ZooKeeperSession,
): Promise<Leader> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const names = await session.children(path).catch((error: unknown) => {
      if (isCode(error, 'no-node')) return [];
      throw error;
    });
    const [node] = candidatesOf(names);
    if (node === undefined) throw nobodyLeads(path, names);
    try {
      const { data } = await session.get(childPath(path, node));
      return { node, bases: basesOf(childPath(path, node), data, scheme) };
    } catch (error) {
      if (!isCode(error, 'no-node')) throw error;
    }
  }
  throw new MesosError('no-master', `the leading master under ${path} in ZooKeeper changes all the time`);
}

function candidatesOf(names: readonly string[]): readonly string[] {
  // Numbers of ten digits sort as texts.
  return names.filter((name) => CANDIDATE.test(name)).sort();
}

/** By its IP address first: that is there without a DNS; with TLS by its name, which is what a certificate has. */
function basesOf(path: string, data: Uint8Array, scheme: 'http' | 'https'): readonly string[] {
  let info: z.infer<typeof masterInfoSchema>;
  try {
    info = masterInfoSchema.parse(JSON.parse(Buffer.from(data).toString('utf8')));
  } catch (cause) {
    throw new MesosError('not-mesos', `the node ${path} in ZooKeeper is not that of a Mesos master`, {
      cause,
    });
  }
  const port = info.address?.port ?? info.port;
  const hostname = info.address?.hostname ?? info.hostname;
  const hosts = [info.address?.ip, hostname].filter(
    (host) => host !== undefined && host !== '' && host !== '0.0.0.0',
  );
  const bases = (scheme === 'https' ? hosts.reverse() : hosts)
    .map((host) => URL.parse(`${scheme}://${host?.includes(':') ? `[${host}]` : host}:${port}`))
    .filter((url) => url !== null)
    .map((url) => url.href.replace(/\/$/, ''));
  if (bases.length === 0 || port === undefined) {
    throw new MesosError('not-mesos', `the node ${path} in ZooKeeper names no address of a master`);
  }
  return [...new Set(bases)];
}

function nobodyLeads(path: string, names: readonly string[]): MesosError {
  if (names.some((name) => OLD_CANDIDATE.test(name))) {
    return new MesosError(
      'no-master',
      `the masters under ${path} in ZooKeeper write info_… nodes in the binary form of Mesos before 0.24`,
      {
        hint: 'Name the masters themselves, as --master 10.0.0.1:5050,10.0.0.2:5050; Mesos 1.9 or later is needed.',
      },
    );
  }
  return new MesosError('no-master', `no Mesos master leads under ${path} in ZooKeeper at present`, {
    hint: 'Check that the path is the one in the masters’ own --zk option.',
  });
}

function notFound(path: string, cause: ZooKeeperError): MesosError {
  return new MesosError(
    'no-master',
    `who leads under ${path} cannot be read in ZooKeeper: ${describeError(cause)}`,
    {
      cause,
      ...(cause.hint === undefined ? {} : { hint: cause.hint }),
    },
  );
}

async function changedOrAborted(changed: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (signal.aborted) resolve();
  await Promise.race([changed, promise]);
}
