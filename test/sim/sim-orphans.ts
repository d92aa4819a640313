import type { Clock } from '../../src/base/ports.ts';
import type { FoundProcess, Orphans } from '../../src/member/orphan-port.ts';
import type { Launch } from '../../src/protocol/launch.ts';
import type { ModelEtcd } from './model-etcd.ts';
import type { RandomStream } from './prng.ts';
import type { SimMember } from './sim-member.ts';

export interface SimOrphansOptions {
  readonly clock: Clock;
  readonly random: RandomStream;
  readonly host: string;
  readonly launch: Launch;
  /** On that host. */
  readonly volumePath: string;
  /** The supervisors of all hosts. */
  readonly members: ReadonlySet<SimMember>;
  readonly etcd: ModelEtcd;
  /** Who sweeps. */
  readonly self: () => SimMember | null;
}

/** The simulation asks nobody for a supervisor by its number. */
const SUPERVISOR_PID = 1;

/** What earlier tasks of a seat left running on a simulated host. */
export function createSimOrphans(options: SimOrphansOptions): Orphans {
  const { host, launch, etcd } = options;
  const ports = [launch.ports.supervisor, launch.ports.client, launch.ports.peer];
  return {
    sweep: async () => {
      await options.clock.sleep(options.random.between(1, 30));
      const killed: FoundProcess[] = [];
      const etcds = [...etcd.running].filter(
        ({ host: at, commandLine }) =>
          at === host && commandLine.dataDirectory.startsWith(`${options.volumePath}/`),
      );
      for (const other of [...options.members]) {
        if (other === options.self() || other.host !== host || other.launch.seat !== launch.seat) continue;
        other.kill({ orphan: false });
        killed.push({ pid: SUPERVISOR_PID, command: `supervisor of ${other.launch.task}` });
      }
      for (const process of etcds) {
        // One that was its supervisor's has died with it.
        if (etcd.running.has(process)) {
          killed.push({ pid: process.pid, command: `etcd on ${process.commandLine.dataDirectory}` });
        }
        process.kill('SIGKILL');
        await process.exit;
      }
      const foreign = [...etcd.running].flatMap(({ host: at, pid, commandLine }) => {
        const port = [commandLine.clientPort, commandLine.peerPort].find((taken) => ports.includes(taken));
        const process = { pid, command: `etcd on ${commandLine.dataDirectory}` };
        return at === host && port !== undefined ? [{ port, process }] : [];
      });
      return { killed, foreign };
    },
  };
}
