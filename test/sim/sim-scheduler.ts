import type {
  Clock,
  HttpTransport,
  Ids,
  Leadership,
  Logger,
  Random,
  StateStore,
} from '../../src/base/ports.ts';
import type { ArchiveAccess } from '../../src/framework/archive-access.ts';
import type { SchedulerConfig } from '../../src/framework/config.ts';
import {
  createScheduler,
  type Scheduler,
  type SchedulerEnd,
  type SchedulerPorts,
} from '../../src/framework/scheduler.ts';
import { actInTerms } from '../../src/framework/terms.ts';
import { createFixedMasterSource } from '../../src/mesos/master-source.ts';
import type { MemberStatus } from '../../src/protocol/member-status.ts';
import type { Members } from '../../src/protocol/members-port.ts';
import type { OrderKey } from '../../src/protocol/signature.ts';
import { createActiveScheduler } from '../../src/runtime/active-scheduler.ts';
import { type CrashPlan, type CrashPoint, createCrashPoint } from './crash-point.ts';
import { createMortal, type Mortal } from './mortal.ts';
import { archiveOf } from './process-archive.ts';
import { MASTER_URL } from './sim-mesos.ts';
import type { OpenState, SimState } from './sim-state.ts';
import type { Story } from './story.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** One scheduler as a process of a simulated host: the real one, on simulated ports. */
export interface SimScheduler {
  readonly name: string;
  readonly host: string;
  readonly alive: boolean;
  readonly paused: boolean;
  /** What acts in it; `null` while it stands by. */
  acting(): Pick<Scheduler, 'snapshot' | 'tell' | 'fullNow'> | null;
  readonly crash: CrashPoint;
  /** SIGKILL. */
  kill(): void;
  /** SIGSTOP, SIGCONT. */
  pause(): void;
  resume(): void;
  /** Its session with ZooKeeper is over, and it does not know yet. */
  expire(): void;
  /** It is told to stop, as at the end of the world. */
  stop(): void;
}

export interface SimSchedulerOptions {
  readonly name: string;
  readonly host: string;
  readonly config: SchedulerConfig;
  readonly state: SimState;
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly ids: Ids;
  readonly story: Story;
  readonly orderKey: OrderKey;
  /** Of this process alone. */
  readonly link: { readonly transport: HttpTransport; readonly end: () => void };
  readonly members: Members;
  /** By the clock of the process; `null`: nowhere. */
  readonly archive: ((clock: Clock) => ArchiveAccess) | null;
  /** It has heard this of a supervisor. */
  readonly onStatus: (status: MemberStatus) => void;
  /** Breaks its store on purpose. */
  readonly wrapStore?: ((store: StateStore) => StateStore) | undefined;
  readonly plan: CrashPlan | null;
  /** A planned crash is due. */
  readonly onCrash: (why: string) => void;
  /** It is due to stand still: {@link SimScheduler.pause}. */
  readonly onHold: (why: string) => void;
  /** It has ended by itself. */
  readonly onEnd: (end: SchedulerEnd) => void;
  readonly onFailure: (error: unknown) => void;
}

export function startSimScheduler(options: SimSchedulerOptions): SimScheduler {
  const { name, host, config, story, ids, random, orderKey } = options;
  const mortal = createMortal();
  const stop = new AbortController();
  const held: (() => void)[] = [];
  const crash = createCrashPoint(options.onCrash, (why, call) => {
    held.push(call);
    options.onHold(why);
  });
  crash.plan(options.plan);
  mortal.death.addEventListener('abort', options.link.end);
  const clock = mortal.port(options.clock, ['wallMs', 'monotonicMs']);
  const transport = mortal.port(crash.transport(awakening(options.link.transport, mortal)));
  const members = listening(mortal.port(crash.members(options.members)), options.onStatus);
  const masters = createFixedMasterSource(MASTER_URL);
  const log = loggerOf(story, name);
  const archive = options.archive === null ? null : archiveOf(options.archive(clock), mortal, crash);
  const world = { transport, masters, clock, random, ids, log, members, archive };
  let state: OpenState | null = null;
  let acting: SimScheduler['acting'] = () => null;

  const actAlone = async (ports: SchedulerPorts): Promise<SchedulerEnd> => {
    const scheduler = createScheduler({
      config,
      ports,
      onStory: ({ slot, text, reason }) => story.tell(name, `${slot ?? 'cluster'}: ${text}`, reason),
    });
    acting = () => scheduler;
    return await scheduler.run(stop.signal);
  };

  const actWhenElected = async (ports: SchedulerPorts, leadership: Leadership): Promise<SchedulerEnd> => {
    const active = createActiveScheduler({
      config,
      ports: world,
      state: {
        store: ports.store,
        orderKey: () => Promise.resolve(orderKey),
        learnOrderKey: () => Promise.resolve(),
      },
      board: null,
      wrapPorts: (inner) => inner,
    });
    acting = active.current;
    const onTerm = (term: unknown) => story.tell(name, term === null ? 'stands by' : 'leads');
    return await actInTerms({ ...active, leadership, clock, log, onTerm }, stop.signal);
  };

  const run = async (): Promise<SchedulerEnd> => {
    const opened = await options.state.open({ host, clock, ids, log });
    state = opened;
    const store = mortal.port(crash.store(options.wrapStore?.(opened.store) ?? opened.store));
    const ports = { ...world, store, orderKey };
    return opened.leadership === null
      ? await actAlone(ports)
      : await actWhenElected(ports, opened.leadership);
  };

  run().then(
    (end) => {
      if (mortal.alive && !stop.signal.aborted) options.onEnd(end);
    },
    (error: unknown) => {
      if (mortal.alive && !stop.signal.aborted) options.onFailure(error);
    },
  );

  return {
    name,
    host,
    crash,
    get alive() {
      return mortal.alive;
    },
    get paused() {
      return mortal.paused;
    },
    acting: () => acting(),
    kill: () => {
      mortal.kill();
      state?.freeze();
    },
    pause: () => {
      mortal.pause();
      state?.freeze();
    },
    resume: () => {
      for (const call of held.splice(0)) if (mortal.alive) call();
      mortal.resume();
      if (mortal.alive) state?.thaw();
    },
    expire: () => state?.expire(),
    stop: () => {
      mortal.kill();
      stop.abort();
    },
  };
}

function listening(members: Members, onStatus: (status: MemberStatus) => void): Members {
  return {
    ...members,
    status: async (...question) => {
      const status = await members.status(...question);
      onStatus(status);
      return status;
    },
  };
}

/** What arrives while the process stands still is read when it goes on. */
function awakening(transport: HttpTransport, mortal: Mortal): HttpTransport {
  return {
    request: async (request) => {
      const response = await transport.request(request);
      return { ...response, body: read(response.body, mortal) };
    },
  };
}

async function* read(body: AsyncIterable<Uint8Array>, mortal: Mortal): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body) {
      await mortal.awake();
      yield chunk;
    }
  } finally {
    await mortal.awake();
  }
}

/** Of what is logged, its story is told as such, and the rest from warnings on. */
function loggerOf(story: Story, name: string): Logger {
  const plain = story.logger(name, { from: 'warn' });
  return {
    ...plain,
    info: (event, fields = {}) => {
      if (event !== 'story') plain.info(event, fields);
      else story.tell(name, `${fields['slot'] ?? 'cluster'}: ${fields['text']}`, String(fields['reason']));
    },
  };
}
