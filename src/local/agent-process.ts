import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, HttpTransport, Ids, Logger, Random } from '../base/ports.ts';
import { openAgentLink } from './agent-link.ts';
import {
  type AgentCheckpoint,
  type AgentInput,
  type AgentOutput,
  createAgentMachine,
} from './agent-machine.ts';
import { createAlarm } from './alarm.ts';
import type { LeaderWatch } from './leadership.ts';
import { LocalMesosError } from './local-error.ts';
import type { AgentDescription } from './messages.ts';
import { createProcessContainerRuntime, type RecoveredContainer } from './process-container-runtime.ts';
import { identify, isAlive, type ProcessIdentity } from './process-table.ts';
import { isTerminal } from './task-status.ts';

/** Files of an agent in its work directory. */
const AGENT_CHECKPOINT = 'agent.json';
const AGENT_IDENTITY = 'agent-process.json';

export interface AgentProcessOptions {
  readonly description: AgentDescription;
  /** Absolute; made where it is not there. An agent that was on it before is gone on with. */
  readonly workDirectory: string;
  readonly leader: LeaderWatch;
  /** See `AgentMachineOptions`. */
  readonly sandboxPathVolumes: boolean;
  /** How an executor is started; `--directory <path>` is added. */
  readonly executorCommand: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly http: HttpTransport;
  readonly logger: Logger;
}

export interface AgentProcess {
  /** Ends the agent alone: its tasks run on, and the next agent on this directory finds them. */
  stop(): Promise<void>;
  /** Ends the agent for good: it unregisters and kills its tasks. {@link ended} tells when it is done. */
  shutDown(): void;
  /** Resolves with why, when the agent has ended by itself. */
  readonly ended: Promise<string>;
}

/** What is on disk: what the machine must remember, and how far each executor's journal was taken with it. */
interface StoredAgent {
  readonly checkpoint: AgentCheckpoint;
  readonly taken: Readonly<Record<string, number>>;
}

/** The agent machine with a link to its master, real containers, volumes and a checkpoint file. */
export function startAgent(options: AgentProcessOptions): AgentProcess {
  const { workDirectory, clock, logger } = options;
  const checkpointPath = join(workDirectory, AGENT_CHECKPOINT);
  mkdirSync(workDirectory, { recursive: true });
  claimDirectory(workDirectory);
  const stored = readStored(checkpointPath);
  let checkpoint = stored?.checkpoint ?? null;
  let stopping: Promise<void> | null = null;
  const isStopping = () => stopping !== null;
  const ending = Promise.withResolvers<string>();

  const machine = createAgentMachine({
    description: options.description,
    workDirectory,
    ids: options.ids,
    recovered: checkpoint,
    sandboxPathVolumes: options.sandboxPathVolumes,
  });
  const runtime = createProcessContainerRuntime({
    ...options,
    onEvent: (containerId, event) => handle({ kind: 'container', containerId, event }),
  });
  const alarm = createAlarm(clock, () => handle({ kind: 'tick' }));
  runtime.recover(livingContainers(stored));
  const link = openAgentLink({
    ...options,
    onUp: () => handle({ kind: 'link-up' }),
    onDown: () => handle({ kind: 'link-down' }),
    onMessage: (message) => handle({ kind: 'message', message }),
  });

  function handle(input: AgentInput): void {
    if (isStopping()) return;
    const outputs = machine.handle(input, { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() });
    // The count of events goes with what they meant, so that a restart takes each exactly once.
    if (input.kind === 'container' && !outputs.some(({ kind }) => kind === 'persist')) store();
    for (const output of outputs) carryOut(output);
    if (!isStopping()) alarm.set(machine.nextWakeMs());
  }

  function carryOut(output: AgentOutput): void {
    switch (output.kind) {
      case 'persist':
        checkpoint = output.checkpoint;
        store();
        break;
      case 'send':
        link.send(output.message);
        break;
      case 'launch':
        runtime.launch(output.spec);
        break;
      case 'launch-group':
        runtime.launchGroup(output.spec);
        break;
      case 'kill':
        runtime.kill(output.containerId, output.graceMs);
        break;
      case 'destroy':
        runtime.destroy(output.containerId);
        break;
      case 'create-volume':
        mkdirSync(output.hostPath, { recursive: true });
        break;
      case 'remove-volume':
        rmSync(output.hostPath, { recursive: true, force: true });
        break;
      case 'exit':
        logger.warn('agent ends', { why: output.message });
        void stop().then(() => ending.resolve(output.message));
        break;
    }
  }

  /** By rename, so that a reader or a successor finds a whole one; not synced: it need not survive the machine. */
  function store(): void {
    if (checkpoint === null) return;
    const content: StoredAgent = { checkpoint, taken: runtime.taken() };
    writeFileSync(`${checkpointPath}.new`, JSON.stringify(content), { mode: 0o600 });
    renameSync(`${checkpointPath}.new`, checkpointPath);
  }

  function stop(): Promise<void> {
    stopping ??= (async () => {
      alarm.stop();
      runtime.close();
      await link.close();
    })();
    return stopping;
  }

  return { stop, shutDown: () => handle({ kind: 'shutdown' }), ended: ending.promise };
}

/** What an agent has on disk; `null` where there is nothing yet. Throws {@link LocalMesosError}. */
export function readAgentCheckpoint(workDirectory: string): AgentCheckpoint | null {
  return readStored(join(workDirectory, AGENT_CHECKPOINT))?.checkpoint ?? null;
}

function readStored(path: string): StoredAgent | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const hint = 'start the agent with an empty work directory: it gets a new id and its tasks are lost';
  let stored: StoredAgent;
  try {
    stored = JSON.parse(text) as StoredAgent;
  } catch (cause) {
    throw new LocalMesosError('checkpoint-unreadable', `'${path}' is no agent's checkpoint`, { cause, hint });
  }
  const version: unknown = (stored as { checkpoint?: { schemaVersion?: unknown } }).checkpoint?.schemaVersion;
  if (version === 1) return stored;
  const message = `'${path}' has the schema version ${String(version)}; this build reads 1`;
  throw new LocalMesosError('checkpoint-unreadable', message, { hint });
}

function livingContainers(stored: StoredAgent | null): readonly RecoveredContainer[] {
  if (stored === null) return [];
  const { tasks, executors = [] } = stored.checkpoint;
  const alone = tasks.filter(({ state, executorId }) => executorId === undefined && !isTerminal(state));
  const recovered =
    (shared: boolean) =>
    ({ containerId }: { readonly containerId: string }) => ({
      containerId,
      taken: stored.taken[containerId] ?? 0,
      shared,
    });
  return [...alone.map(recovered(false)), ...executors.map(recovered(true))];
}

/** Two agents on one directory would take each other's events. */
function claimDirectory(workDirectory: string): void {
  const path = join(workDirectory, AGENT_IDENTITY);
  try {
    const other = JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity;
    if (other.pid !== process.pid && isAlive(other)) {
      throw new LocalMesosError(
        'work-directory-in-use',
        `an agent (pid ${other.pid}) runs on '${workDirectory}'`,
        {
          hint: 'stop it, or give this agent another --work-dir',
        },
      );
    }
  } catch (error) {
    if (error instanceof LocalMesosError) throw error;
    // No file, or half of one: nobody is there.
  }
  writeFileSync(path, JSON.stringify(identify(process.pid)));
}
