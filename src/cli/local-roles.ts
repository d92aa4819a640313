import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseDurationMs } from '../base/duration.ts';
import { isZooKeeperUrl, parseZooKeeperUrl, type ZooKeeperUrl } from '../base/zookeeper-url.ts';

/**
 * The processes of a local Mesos. `etcd-mesos local up` starts them; each can be started by hand too. What a role
 * needs is loaded when it runs: a task waits for the start of its executor.
 */
export function register(command: Command): void {
  registerMaster(command);
  registerAgent(command);
  command
    .command('executor')
    .description('run one command task for an agent of the local Mesos (agents start it)')
    .requiredOption('--directory <path>', 'where its socket and journal are')
    .action(async (options: { directory: string }) => {
      const { runLocalExecutor } = await import('../runtime/local-executor.ts');
      await runLocalExecutor(options);
    });
  command
    .command('reaper')
    .description(
      'end what is left of a local Mesos when the process is gone that started it (it starts this)',
    )
    .requiredOption('--cluster <id>', 'whose processes')
    .action(async (options: { cluster: string }) => {
      const { runLocalReaper } = await import('../runtime/local-reaper.ts');
      await runLocalReaper(options);
    });
}

interface MasterFlags {
  readonly ip: string;
  readonly port: number;
  readonly allocationInterval: number;
  readonly agentPingTimeout: number;
  readonly maxAgentPingTimeouts: number;
  readonly zk?: ZooKeeperUrl;
  readonly zkSessionTimeout: number;
  readonly registryDir?: string;
  readonly credentials?: string;
  readonly tokens?: string;
  readonly authenticateHttpFrameworks?: true;
  readonly authenticateHttpReadonly?: true;
  readonly authenticateHttpReadwrite?: true;
  readonly acls?: string;
  readonly logLevel: 'info';
}

function registerMaster(command: Command): void {
  command
    .command('master')
    .description('serve the v1 API of a Mesos master on this machine')
    .option('--ip <address>', 'a loopback address', '127.0.0.1')
    .option('--port <number>', '0: any free one', integer(0, 65_535), 5050)
    .option('--allocation-interval <duration>', 'between two rounds of offers', duration, 200)
    .option('--agent-ping-timeout <duration>', 'for an agent to answer', duration, 1000)
    .option('--max-agent-ping-timeouts <count>', 'in a row: the agent is unreachable', integer(1, 1000), 3)
    .option('--zk <url>', 'one of several masters: where they elect one, zk://host:port/path', zooKeeperUrl)
    .option(
      '--zk-session-timeout <duration>',
      'how long a dead master is held for the leader',
      duration,
      10_000,
    )
    .option('--registry-dir <path>', 'with --zk: a directory that all masters share')
    .option('--credentials <path>', 'principals and secrets, as in mesos-master')
    .option('--tokens <path>', 'tokens that are good, each with its principal, a line for each')
    .option('--authenticate-http-frameworks', 'schedulers must say who they are')
    .option('--authenticate-http-readonly', 'so must who reads /state, /slaves, /tasks')
    .option('--authenticate-http-readwrite', 'so must who uses the operator API')
    .option('--acls <path>', 'who may do what, as in mesos-master')
    .addOption(logLevel())
    .action(async (flags: MasterFlags) => {
      if ((flags.zk === undefined) !== (flags.registryDir === undefined)) {
        command.error('error: --zk and --registry-dir go together');
      }
      const realms = [
        ...(flags.authenticateHttpFrameworks === true ? (['scheduler'] as const) : []),
        ...(flags.authenticateHttpReadonly === true ? (['readonly'] as const) : []),
        ...(flags.authenticateHttpReadwrite === true ? (['readwrite'] as const) : []),
      ];
      const { runLocalMaster } = await import('../runtime/local.ts');
      await runLocalMaster({
        ip: flags.ip,
        port: flags.port,
        allocationIntervalMs: flags.allocationInterval,
        agentPingTimeoutMs: flags.agentPingTimeout,
        agentPingTimeoutsMax: flags.maxAgentPingTimeouts,
        several:
          flags.zk === undefined || flags.registryDir === undefined
            ? null
            : {
                zookeeper: flags.zk,
                sessionTimeoutMs: flags.zkSessionTimeout,
                registryDirectory: flags.registryDir,
              },
        access: {
          credentialsFile: flags.credentials ?? null,
          tokensFile: flags.tokens ?? null,
          realms,
          aclsFile: flags.acls ?? null,
        },
        logLevel: flags.logLevel,
      });
    });
}

interface AgentFlags {
  readonly master: string | ZooKeeperUrl;
  readonly workDir: string;
  readonly hostname: string;
  readonly ip: string;
  readonly port: number;
  readonly cpus: number;
  readonly mem: number;
  readonly disk: number;
  readonly ports: readonly [number, number];
  readonly attribute: readonly (readonly [string, string])[];
  readonly zone?: string;
  readonly isolation?: 'volume/sandbox_path';
  readonly logLevel: 'info';
}

function registerAgent(command: Command): void {
  command
    .command('agent')
    .description('offer a part of this machine to a local master and run tasks as its processes')
    .requiredOption(
      '--master <url>',
      'http://127.0.0.1:<port>, or zk://host:port/path of several',
      masterPlace,
    )
    .requiredOption('--work-dir <path>', 'checkpoint, sandboxes, volumes; kept between starts')
    .option('--hostname <name>', 'as offers show it', 'localhost')
    .option('--ip <address>', 'as offers show it', '127.0.0.1')
    .option('--port <number>', 'with the address, the identity of this host', integer(1, 65_535), 5051)
    .option('--cpus <number>', 'to offer', amount, 4)
    .option('--mem <MiB>', 'to offer', amount, 4096)
    .option('--disk <MiB>', 'to offer', amount, 10_240)
    .option('--ports <begin-end>', 'to offer', portRange, [31_000, 31_099] as const)
    .option('--attribute <name:value>', 'repeatable', attribute, [])
    .option('--zone <name>', 'fault domain')
    .addOption(
      new Option('--isolation <isolator>', 'tasks of groups find their persistent volumes by it').choices([
        'volume/sandbox_path',
      ]),
    )
    .addOption(logLevel())
    .action(async (flags: AgentFlags) => {
      const { runLocalAgent } = await import('../runtime/local.ts');
      await runLocalAgent({
        hostname: flags.hostname,
        ip: flags.ip,
        port: flags.port,
        size: { cpus: flags.cpus, memMb: flags.mem, diskMb: flags.disk, ports: flags.ports },
        attributes: flags.attribute,
        zone: flags.zone ?? null,
        sandboxPathVolumes: flags.isolation === 'volume/sandbox_path',
        workDirectory: flags.workDir,
        master: flags.master,
        logLevel: flags.logLevel,
      });
    });
}

function logLevel(): Option {
  return new Option('--log-level <level>', 'what is logged')
    .choices(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info');
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

function amount(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value > 0) return value;
  throw new InvalidArgumentError('It must be a number above 0.');
}

function duration(text: string): number {
  const durationMs = parseDurationMs(text);
  if (durationMs !== null && durationMs >= 1) return durationMs;
  throw new InvalidArgumentError('It must be a duration above 0, such as 200ms or 1s.');
}

function masterPlace(text: string): string | ZooKeeperUrl {
  if (isZooKeeperUrl(text)) return zooKeeperUrl(text);
  if (/^http:\/\/127\.\d+\.\d+\.\d+:\d+$/.test(text)) return text;
  throw new InvalidArgumentError(
    'A local agent joins local masters only: http://127.0.0.1:<port>, or zk://host:port/path.',
  );
}

function zooKeeperUrl(text: string): ZooKeeperUrl {
  const url = parseZooKeeperUrl(text);
  if (url !== null && url.path !== '/') return url;
  throw new InvalidArgumentError('It must name ZooKeeper and a path, such as zk://127.0.0.1:2181/mesos.');
}

function portRange(text: string): readonly [number, number] {
  const match = /^(\d+)-(\d+)$/.exec(text);
  const begin = Number(match?.[1]);
  const end = Number(match?.[2]);
  if (begin >= 1 && end >= begin && end <= 65_535) return [begin, end];
  throw new InvalidArgumentError('It must be two ports, the lower first, such as 31000-31099.');
}

function attribute(
  text: string,
  earlier: readonly (readonly [string, string])[],
): readonly (readonly [string, string])[] {
  const match = /^([^:]+):(.+)$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new InvalidArgumentError('It must be a name and a value, such as rack:r1.');
  }
  return [...earlier, [match[1], match[2]]];
}
