import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readBody } from '../base/body.ts';
import type { HttpTransport, Random } from '../base/ports.ts';
import type { Realm } from './authentication.ts';
import { LocalMesosError } from './local-error.ts';
import { awaitStart, type RoleWorld, signalRole, startRole, terminate } from './local-process.ts';
import { findFreePort, isPortFree } from './port-range.ts';
import { isAlive, type ProcessIdentity } from './process-table.ts';

/** Milliseconds until a master that has ended by itself is started again, as a service manager does. */
const RESTART_MS = 500;
/** Milliseconds for one of several masters to be elected; and between two looks. */
const ELECTION_MS_MAX = 60_000;
const LOOK_MS = 50;
const CALL_MS_MAX = 10_000;
/** Milliseconds for a master to say whether it leads: one that is paused does not. */
const LEADING_MS_MAX = 1000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

export interface LocalMastersOptions {
  /** `master/` in it, or `master-0/`, `master-1/` … and what several masters share. */
  readonly directory: string;
  /** Default 1. */
  readonly count?: number;
  /** `zk://127.0.0.1:2181/mesos`: by which several masters are elected and found. */
  readonly zookeeper?: string;
  /** Default 10 s, as in Mesos. */
  readonly zookeeperSessionMs?: number;
  /** Of the first; the others take the next free ones. Default: a free one. */
  readonly port?: number;
  readonly agentPingTimeoutMs?: number;
  readonly agentPingTimeoutsMax?: number;
  readonly allocationIntervalMs?: number;
  /** Default: everybody may do everything and need not say who they are. */
  readonly access?: LocalAccess;
}

/** Who may ask the masters for what. */
export interface LocalAccess {
  /** Secrets by principal; the first is that of the cluster's own operator. */
  readonly credentials: Readonly<Record<string, string>>;
  /** A file with a good token and its principal on each line; read for every request. */
  readonly tokensFile?: string;
  /** Where who asks must say who they are. Default everywhere. */
  readonly realms?: readonly Realm[];
  /** As the JSON of `mesos-master --acls`. */
  readonly acls?: object;
}

export interface LocalMastersWorld extends RoleWorld {
  readonly http: HttpTransport;
  readonly random: Random;
  /** Marks the processes. */
  readonly variables: Readonly<Record<string, string>>;
}

/** The masters of a local cluster as processes. */
export interface LocalMasters {
  readonly urls: readonly string[];
  /** What agents and schedulers are told: the one master's URL, or where to look for the leading one. */
  readonly address: string;
  start(): Promise<void>;
  /** The index of the one that leads, `null` while none does. */
  leading(): Promise<number | null>;
  /** {@link leading}, once there is one. */
  awaitLeader(): Promise<number>;
  signal(index: number, signal: NodeJS.Signals): void;
  terminate(index: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  restart(index: number): Promise<void>;
  /** Asks the leading one. */
  ask(
    method: 'GET' | 'POST',
    path: string,
    body: object | null,
  ): Promise<{ readonly status: number; readonly body: string }>;
  /** None is started again from now on. */
  close(): void;
}

interface MasterProcess {
  readonly url: string;
  readonly port: number;
  readonly home: string;
  identity: ProcessIdentity | null;
  /** It is to run: if it ends by itself, it is started again. */
  wanted: boolean;
}

/** Chooses where the masters will be; they are started by `start`. */
export async function createLocalMasters(
  options: LocalMastersOptions,
  world: LocalMastersWorld,
): Promise<LocalMasters> {
  const { clock } = world;
  const { zookeeper } = options;
  const count = options.count ?? 1;
  assertMasters(count, zookeeper);
  const masters: MasterProcess[] = [];
  for (let index = 0; index < count; index += 1) {
    const port = index === 0 && options.port !== undefined ? options.port : await findFreePort(world.random);
    const home = join(options.directory, zookeeper === undefined ? 'master' : `master-${index}`);
    masters.push({ url: `http://127.0.0.1:${port}`, port, home, identity: null, wanted: false });
  }
  const accessArguments = writeAccess(options);
  const authorization = authorizationOf(options.access);
  /** By the newest look. */
  let leader = 0;

  async function startMaster(master: MasterProcess): Promise<void> {
    // Asked before, because whoever is there may well answer like a master that is up.
    if (!(await isPortFree(master.port))) {
      const message = `port ${master.port} of 127.0.0.1 is in use`;
      throw new LocalMesosError('port-in-use', message, { hint: 'choose another port for the master' });
    }
    master.wanted = true;
    const identity = spawn(master);
    await awaitStart(clock, { identity, what: 'the master', home: master.home }, async () => {
      const answer = await askMaster(master, 'GET', '/health', null).catch(() => null);
      return answer?.status === 200;
    });
  }

  function spawn(master: MasterProcess): ProcessIdentity {
    const identity = startRole(world, {
      args: [...masterArguments(master.port, options), ...accessArguments],
      home: master.home,
      variables: world.variables,
      onEnd: () => void startAgain(master, identity),
    });
    master.identity = identity;
    return identity;
  }

  /** A master of several ends itself when it has led and leads no more. */
  async function startAgain(master: MasterProcess, ended: ProcessIdentity): Promise<void> {
    if (zookeeper === undefined) return;
    await clock.sleep(RESTART_MS);
    if (master.wanted && master.identity === ended) spawn(master);
  }

  async function leading(): Promise<number | null> {
    const looks = await Promise.all(
      masters.map(async (master) => {
        if (master.identity === null || !isAlive(master.identity)) return false;
        const answer = await askMaster(master, 'GET', '/slaves', null, LEADING_MS_MAX).catch(() => null);
        return answer !== null && answer.status !== 307 && answer.status !== 503;
      }),
    );
    const index = looks.indexOf(true);
    if (index < 0) return null;
    leader = index;
    return index;
  }

  async function awaitLeader(): Promise<number> {
    const startedMs = clock.monotonicMs();
    for (;;) {
      const index = await leading();
      if (index !== null) return index;
      if (clock.monotonicMs() - startedMs > ELECTION_MS_MAX) {
        throw new LocalMesosError('start-failed', `no master leads after ${ELECTION_MS_MAX} ms`);
      }
      await clock.sleep(LOOK_MS);
    }
  }

  async function ask(method: 'GET' | 'POST', path: string, body: object | null) {
    const answer = await askMaster(masterAt(leader), method, path, body).catch((error: unknown) => {
      if (count === 1) throw error;
      return null;
    });
    const isLeaders = count === 1 || (answer?.status !== 307 && answer?.status !== 503);
    if (answer !== null && isLeaders) return answer;
    return await askMaster(masterAt(await awaitLeader()), method, path, body);
  }

  async function askMaster(
    master: MasterProcess,
    method: 'GET' | 'POST',
    path: string,
    body: object | null,
    limitMs = CALL_MS_MAX,
  ): Promise<{ status: number; body: string }> {
    const deadline = new AbortController();
    const answered = new AbortController();
    void clock.sleep(limitMs, answered.signal).then(() => deadline.abort());
    try {
      const headers: Record<string, string> = { accept: 'application/json', ...authorization };
      if (body !== null) headers['content-type'] = 'application/json';
      const response = await world.http.request({
        method,
        url: `${master.url}${path}`,
        headers,
        body: body === null ? undefined : JSON.stringify(body),
        signal: deadline.signal,
      });
      const answer = await readBody(response.body, ANSWER_BYTES_MAX);
      if (!answer.isWhole) {
        const message = `${path} answered more than ${ANSWER_BYTES_MAX} bytes`;
        throw new LocalMesosError('operator-call-failed', message);
      }
      return { status: response.status, body: answer.text };
    } finally {
      answered.abort();
    }
  }

  function masterAt(index: number): MasterProcess {
    const master = masters[index];
    if (master !== undefined) return master;
    throw new LocalMesosError('bad-masters', `there is no master ${index}; there are 0 to ${count - 1}`);
  }

  async function end(index: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const master = masterAt(index);
    master.wanted = false;
    await terminate(clock, master.identity, signal);
  }

  return {
    urls: masters.map(({ url }) => url),
    address: zookeeper ?? masterAt(0).url,
    start: async () => {
      await Promise.all(masters.map(startMaster));
      if (zookeeper !== undefined) await awaitLeader();
    },
    leading,
    awaitLeader,
    signal: (index, signal) => signalRole(masterAt(index).identity, signal),
    terminate: end,
    restart: async (index) => {
      await end(index, 'SIGTERM');
      await startMaster(masterAt(index));
    },
    ask,
    close: () => {
      for (const master of masters) master.wanted = false;
    },
  };
}

function masterArguments(port: number, options: LocalMastersOptions): string[] {
  const args = ['local', 'master', '--port', String(port)];
  if (options.agentPingTimeoutMs !== undefined) {
    args.push('--agent-ping-timeout', `${options.agentPingTimeoutMs}ms`);
  }
  if (options.agentPingTimeoutsMax !== undefined) {
    args.push('--max-agent-ping-timeouts', String(options.agentPingTimeoutsMax));
  }
  if (options.allocationIntervalMs !== undefined) {
    args.push('--allocation-interval', `${options.allocationIntervalMs}ms`);
  }
  if (options.zookeeper !== undefined) {
    args.push('--zk', options.zookeeper, '--registry-dir', join(options.directory, 'registry'));
  }
  if (options.zookeeperSessionMs !== undefined) {
    args.push('--zk-session-timeout', `${options.zookeeperSessionMs}ms`);
  }
  return args;
}

/** What `etcd-mesos local master` is told of who may do what; secrets go by files. */
function writeAccess({ directory, access }: LocalMastersOptions): readonly string[] {
  if (access === undefined) return [];
  const write = (name: string, content: object): string => {
    const path = join(directory, name);
    mkdirSync(directory, { recursive: true });
    writeFileSync(path, JSON.stringify(content), { mode: 0o600 });
    return path;
  };
  const credentials = Object.entries(access.credentials).map(([principal, secret]) => ({
    principal,
    secret,
  }));
  const args = ['--credentials', write('credentials.json', { credentials })];
  if (access.tokensFile !== undefined) args.push('--tokens', access.tokensFile);
  if (access.acls !== undefined) args.push('--acls', write('acls.json', access.acls));
  for (const realm of access.realms ?? REALMS) args.push(REALM_OPTIONS[realm]);
  return args;
}

const REALM_OPTIONS: Readonly<Record<Realm, string>> = {
  scheduler: '--authenticate-http-frameworks',
  readonly: '--authenticate-http-readonly',
  readwrite: '--authenticate-http-readwrite',
};
const REALMS = Object.keys(REALM_OPTIONS) as readonly Realm[];

function authorizationOf(access: LocalAccess | undefined): Readonly<Record<string, string>> {
  const [operator] = Object.entries(access?.credentials ?? {});
  if (operator === undefined) return {};
  return { authorization: `Basic ${Buffer.from(operator.join(':')).toString('base64')}` };
}

function assertMasters(count: number, zookeeper: string | undefined): void {
  if (!Number.isInteger(count) || count < 1) {
    throw new LocalMesosError('bad-masters', `${count} is no number of masters: at least 1`);
  }
  if (count > 1 && zookeeper === undefined) {
    throw new LocalMesosError('bad-masters', `${count} masters need a ZooKeeper to elect one of them`, {
      hint: 'name one: zk://127.0.0.1:2181/mesos',
    });
  }
}
