import { describeError } from '../base/errors.ts';
import {
  type Clock,
  ProcessError,
  type ProcessExit,
  type Processes,
  type RunningProcess,
} from '../base/ports.ts';
import { createLastWords, saysRemoved, saysServesPeers } from '../etcd/log-line.ts';
import { type ExitDecision, judgeExit } from './decide.ts';

/** Holds one etcd up: starts it, starts it again when it ends (L0), and ends it when told. */
export interface Runner {
  readonly state: 'down' | 'running' | 'backing-off';
  /** 0 while none runs. */
  readonly pid: number;
  /** Starts since the first, of this session. */
  readonly restarts: number;
  readonly lastExit: LastExit | null;
  /** Its peers can reach the process that runs: it said so, or has had {@link PEERS_MS_MAX} to. */
  readonly servesPeers: boolean;
  /** Resolves when the process runs. Rejects with a `ProcessError` when it could not; then it is tried again. */
  start(plan: StartPlan): Promise<void>;
  /** Cuts a pause before the next try short. No effect otherwise. */
  retryNow(): void;
  /** SIGTERM, SIGKILL after `graceMs`; resolves when it has ended. */
  stop(graceMs: number): Promise<void>;
  /** etcd answers now: what is asked to know how long it served without a break. */
  noteServing(): void;
}
export interface StartPlan {
  readonly command: string;
  readonly args: readonly string[];
  /** Instead of `args` once it has served: a command line that can form no cluster. */
  readonly laterArgs: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}
export interface LastExit {
  readonly code: number | null;
  readonly signal: string | null;
  readonly line: string;
}

export interface RunnerOptions {
  readonly clock: Clock;
  readonly processes: Processes;
  /** Every line of etcd's own log. */
  readonly onLine: (line: string) => void;
  /** It runs; `ended` aborts when it does not any more. */
  readonly onStarted: (pid: number, ended: AbortSignal) => void;
  /** It ended, or could not be started. */
  readonly onEnded: (exit: LastExit, decision: ExitDecision) => Promise<void>;
  /** Asked before every restart. `false`: it must stay down. */
  readonly mayRestart: () => Promise<boolean>;
  readonly onChange: () => void;
}

/** How long a process may take to vanish after SIGKILL; one that hangs in the kernel may never. */
const KILL_MS_MAX = 10_000;

/** An etcd whose log does not tell when peers can reach it is taken to serve them after this long. */
const PEERS_MS_MAX = 1_500;

export class RunnerError extends Error {
  override readonly name = 'RunnerError';
}

export function createRunner(options: RunnerOptions): Runner {
  const { clock } = options;
  let session: Promise<void> | null = null;
  let process: RunningProcess | null = null;
  let state: Runner['state'] = 'down';
  let restarts = 0;
  let lastExit: LastExit | null = null;
  let stopping = false;
  let pause = new AbortController();
  let served = false;
  let servingSinceMs: number | null = null;
  let startedAtMs = 0;
  let saidServesPeers = false;

  const set = (next: Runner['state'], running: RunningProcess | null) => {
    state = next;
    process = running;
    options.onChange();
  };

  /** One run, from start to end. Rejects when there was no start. */
  const runOnce = async (
    plan: StartPlan,
    onRunning: () => void,
  ): Promise<LastExit & { removed: boolean }> => {
    const words = createLastWords();
    let removed = false;
    servingSinceMs = null;
    startedAtMs = clock.monotonicMs();
    saidServesPeers = false;
    const running = await options.processes.start({
      ...plan,
      args: served ? plan.laterArgs : plan.args,
      onLine: (line) => {
        words.add(line);
        removed ||= saysRemoved(line);
        if (!saidServesPeers && saysServesPeers(line)) {
          saidServesPeers = true;
          options.onChange();
        }
        options.onLine(line);
      },
    });
    set('running', running);
    const ended = new AbortController();
    options.onStarted(running.pid, ended.signal);
    onRunning();
    // A stop that came while it was being started has had nothing to signal.
    if (stopping) running.signal('SIGTERM');
    const exit: ProcessExit = await running.exit;
    ended.abort();
    return { code: exit.code, signal: exit.signal, line: words.text(), removed };
  };

  const holdUp = async (plan: StartPlan, first: PromiseWithResolvers<void>): Promise<void> => {
    let failures = 0;
    for (;;) {
      let end: LastExit & { removed: boolean };
      try {
        end = await runOnce(plan, () => first.resolve());
      } catch (error) {
        if (!(error instanceof ProcessError)) throw error;
        first.reject(error);
        end = { code: null, signal: null, line: describeError(error), removed: false };
      }
      const servedMs = servingSinceMs === null ? 0 : clock.monotonicMs() - servingSinceMs;
      lastExit = { code: end.code, signal: end.signal, line: end.line };
      const decision = judgeExit({ exit: end, saidRemoved: end.removed, stopping, servedMs, failures });
      state = decision.kind === 'restart' ? 'backing-off' : 'down';
      process = null;
      await options.onEnded(lastExit, decision);
      options.onChange();
      if (decision.kind !== 'restart') return;
      failures = decision.failures;
      pause = new AbortController();
      if (!isStopping()) await clock.sleep(decision.afterMs, pause.signal);
      if (isStopping() || !(await options.mayRestart()) || isStopping()) return;
      restarts += 1;
    }
  };
  const isStopping = () => stopping;

  return {
    get state() {
      return state;
    },
    get pid() {
      return process?.pid ?? 0;
    },
    get restarts() {
      return restarts;
    },
    get lastExit() {
      return lastExit;
    },
    get servesPeers() {
      if (state !== 'running') return false;
      return saidServesPeers || clock.monotonicMs() - startedAtMs >= PEERS_MS_MAX;
    },
    async start(plan) {
      if (session !== null) throw new RunnerError('etcd is held up already');
      const first = Promise.withResolvers<void>();
      stopping = false;
      served = false;
      session = holdUp(plan, first).finally(() => {
        session = null;
        set('down', null);
      });
      session.catch(first.reject);
      await first.promise;
    },
    retryNow: () => pause.abort(),
    async stop(graceMs) {
      if (session === null) return;
      const ended = session;
      stopping = true;
      pause.abort();
      process?.signal('SIGTERM');
      if (await within(clock, graceMs, ended)) return;
      process?.signal('SIGKILL');
      if (await within(clock, KILL_MS_MAX, ended)) return;
      throw new RunnerError(`etcd (pid ${process?.pid ?? 0}) did not end after SIGKILL`);
    },
    noteServing() {
      served = true;
      servingSinceMs ??= clock.monotonicMs();
    },
  };
}

/** Whether `promise` was fulfilled in time. */
async function within(clock: Clock, durationMs: number, promise: Promise<void>): Promise<boolean> {
  const timer = new AbortController();
  try {
    return await Promise.race([
      promise.then(() => true),
      clock.sleep(durationMs, timer.signal).then(() => false),
    ]);
  } finally {
    timer.abort();
  }
}
