import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts, GiveUp, until } from './wait.ts';

/** Where Debian's package libzookeeper-java leaves the server; its manifest names what else it needs. */
export const ZOOKEEPER_JAR = '/usr/share/java/zookeeper.jar';

/** A ZooKeeper of its own on a port of loopback, its data in a directory that goes with it. */
export interface ZooKeeperServer {
  /** `127.0.0.1:<port>`: what stands between `zk://` and the path. */
  readonly address: string;
  readonly port: number;
  /** Starts it again on its port and what data it has; resolves when it serves. */
  start(): Promise<void>;
  /** SIGKILL: clients see their connections close. */
  stop(): Promise<void>;
  /** SIGSTOP: connections stay open and are taken, and nobody answers. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** Throws its data away. Only while it is stopped. */
  wipe(): Promise<void>;
  /** Ends it and removes its directory. */
  dispose(): Promise<void>;
}

export interface ZooKeeperServerOptions {
  /** The unit of its time, milliseconds: sessions end within one of their timeout. Default 200. */
  readonly tickMs?: number;
  /** The least session timeout that it grants, milliseconds. Default twice the tick. */
  readonly sessionTimeoutMsMin?: number;
}

const START_MS = 30_000;
/** Bytes of what it wrote that are told when it does not come up. */
const OUTPUT_MAX = 4_000;

/** Starts one; see `lacksZooKeeper` in needs.ts for whether that can be. */
export async function startZooKeeper(options: ZooKeeperServerOptions = {}): Promise<ZooKeeperServer> {
  const [port = 0] = await freePorts(1);
  const lines = settings(options.tickMs ?? TICK_MS, options.sessionTimeoutMsMin);
  const server = await createServer('ZooKeeperServerMain', port, lines);
  await startAll([server]);
  return server;
}

/** Several servers that elect a leader among themselves. */
export interface ZooKeeperEnsemble {
  readonly servers: readonly ZooKeeperServer[];
  /** The one that leads them at present. */
  leader(): Promise<ZooKeeperServer>;
  dispose(): Promise<void>;
}

/** Starts three, and resolves when they have a leader. */
export async function startZooKeeperEnsemble(): Promise<ZooKeeperEnsemble> {
  const count = 3;
  const ports = await freePorts(3 * count);
  const members = Array.from(
    { length: count },
    (_, at) => `server.${at + 1}=127.0.0.1:${ports[count + at]}:${ports[2 * count + at]}`,
  );
  // Ticks that they may take to come together and to fall behind: patience for a busy machine.
  const lines = [...settings(TICK_MS), 'initLimit=50', 'syncLimit=25', ...members];
  const servers = await Promise.all(
    ports
      .slice(0, count)
      .map((port, at) => createServer('quorum.QuorumPeerMain', port, lines, { myid: `${at + 1}` })),
  );
  await startAll(servers);
  return {
    servers,
    leader: async () => {
      const words = await Promise.all(
        servers.map(async ({ port }) => await ask(port, 'srvr').catch(() => '')),
      );
      const leader = servers[words.findIndex((word) => word.includes('Mode: leader'))];
      if (leader === undefined) throw new Error('none of them leads');
      return leader;
    },
    dispose: async () => {
      await Promise.all(servers.map((server) => server.dispose()));
    },
  };
}

const TICK_MS = 200;

function settings(tickMs: number, sessionTimeoutMsMin = 2 * tickMs): readonly string[] {
  return [
    'clientPortAddress=127.0.0.1',
    `tickTime=${tickMs}`,
    `minSessionTimeout=${sessionTimeoutMsMin}`,
    'maxSessionTimeout=120000',
    'maxClientCnxns=0',
    'admin.enableServer=false',
  ];
}

async function startAll(servers: readonly ZooKeeperServer[]): Promise<void> {
  try {
    await Promise.all(servers.map((server) => server.start()));
  } catch (error) {
    await Promise.all(servers.map((server) => server.dispose()));
    throw error;
  }
}

/** Not started yet. `files` lie in its data directory. */
async function createServer(
  main: string,
  port: number,
  lines: readonly string[],
  files: Readonly<Record<string, string>> = {},
): Promise<ZooKeeperServer> {
  const directory = await mkdtemp(join(tmpdir(), 'etcd-mesos-zookeeper-'));
  const config = join(directory, 'zoo.cfg');
  const data = join(directory, 'data');
  await mkdir(data);
  for (const [name, text] of Object.entries(files)) await writeFile(join(data, name), text);
  await writeFile(config, `${[`dataDir=${data}`, `clientPort=${port}`, ...lines].join('\n')}\n`);
  let child: ChildProcess | null = null;

  const start = async (): Promise<void> => {
    let output = '';
    // A small heap and the quick compiler: it starts in a second and serves a handful of nodes.
    const flags = ['-Xmx96m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
    const program = `org.apache.zookeeper.server.${main}`;
    const started = spawn('java', [...flags, '-cp', ZOOKEEPER_JAR, program, config], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = started;
    for (const stream of [started.stdout, started.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output = (output + chunk.toString()).slice(-OUTPUT_MAX);
      });
    }
    await until('ZooKeeper serves', START_MS, async () => {
      if (started.exitCode !== null) throw new GiveUp(`ZooKeeper ended: ${output}`);
      return (await ask(port, 'srvr')).includes('Mode: ');
    });
  };
  const stop = async (): Promise<void> => {
    const running = child;
    child = null;
    if (running === null || running.exitCode !== null || running.signalCode !== null) return;
    const exit = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await exit;
  };

  return {
    address: `127.0.0.1:${port}`,
    port,
    start,
    stop,
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    wipe: () => rm(data, { recursive: true, force: true }),
    dispose: async () => {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Its answer to one of its four-letter words. */
async function ask(port: number, word: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    let answer = '';
    const socket = createConnection({ host: '127.0.0.1', port }, () => socket.write(word));
    socket.setTimeout(2_000, () => socket.destroy(new Error('it does not answer')));
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}
