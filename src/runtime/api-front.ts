import type { Hono } from 'hono';
import { collectDefaultMetrics } from 'prom-client';
import { ArchiveError } from '../backup/errors.ts';
import type { Clock, Leadership, LeadershipTerm, Logger } from '../base/ports.ts';
import { createApi } from '../framework/api.ts';
import type { ApiEnvironment } from '../framework/api-access.ts';
import type { ServedArtifact } from '../framework/api-artifact.ts';
import type { Liveness } from '../framework/api-liveness.ts';
import { createStandbyApi, type Relay } from '../framework/api-standby.ts';
import { type SchedulerConfig, SchedulerError } from '../framework/config.ts';
import { createFullRequests } from '../framework/full-requests.ts';
import { createMetrics } from '../framework/metrics.ts';
import { publishedViewOf } from '../framework/publish.ts';
import type { ActiveScheduler } from './active-scheduler.ts';

/** Who answers the API's requests: this process while it leads, whoever leads while it stands by. */
export interface ApiFront {
  /** The API as it is to be served at this moment. */
  readonly app: () => Hono<ApiEnvironment>;
  /** The server listens; others reach it at `baseUrl`. */
  listens(baseUrl: string, leadership: Leadership | null): void;
  /** All that the API needs of the scheduler is there. */
  canAct(source: ApiSource): void;
  /** A term has begun, or `null`: has ended. */
  readonly leads: (term: LeadershipTerm | null) => void;
  /** There is no election any more: from now on this process answers itself. */
  staysAlone(): void;
}

export interface ApiSource {
  readonly config: SchedulerConfig;
  readonly artifacts: readonly ServedArtifact[];
  /** The scheduler that acts; `null` while none does. */
  readonly scheduler: ActiveScheduler['current'];
}

export interface ApiFrontOptions {
  /** An election settles which of several schedulers acts; else this one does, always. */
  readonly isElected: boolean;
  readonly relay: Relay;
  readonly clock: Clock;
  readonly log: Logger;
  readonly token: string | null;
  readonly build: string;
}

export function createApiFront(options: ApiFrontOptions): ApiFront {
  const { isElected, log } = options;
  const metrics = createMetrics();
  collectDefaultMetrics({ register: metrics.registry });
  let baseUrl: string | null = null;
  let leadership: Leadership | null = null;
  let term: LeadershipTerm | null = null;
  let isAlone = !isElected;
  let terms = isElected ? 0 : 1;

  /** Not a moment longer than the term, however long the work of it takes to end. */
  const leads = (): boolean => isAlone || term?.over.aborted === false;
  const liveness = (): Liveness => ({
    role: leads() ? 'leader' : 'standby',
    leader: leads() ? baseUrl : (leadership?.leaderUrl() ?? null),
    terms,
  });
  const apiOf = (source: ApiSource | null): Hono<ApiEnvironment> =>
    createApi({
      view: () => {
        const snapshot = source?.scheduler()?.snapshot();
        if (source === null || snapshot === undefined) return null;
        const scheduler = { url: baseUrl ?? '', elected: isElected, terms };
        return publishedViewOf(snapshot, source.config, { build: options.build, scheduler });
      },
      offers: () => source?.scheduler()?.snapshot().offers ?? { summaries: [], explanations: [] },
      tell: async (command) => {
        const scheduler = source?.scheduler();
        if (scheduler != null) return await scheduler.tell(command);
        throw new SchedulerError('command-not-stored', 'the scheduler has only just started', {
          hint: 'Ask again in a moment.',
        });
      },
      measure: async () =>
        (await source?.scheduler()?.measure()) ?? {
          slot: null,
          problem: 'the scheduler has only just started',
        },
      fulls: createFullRequests({
        clock: options.clock,
        fullNow: async (reason) => {
          const scheduler = source?.scheduler();
          if (scheduler != null) return await scheduler.fullNow(reason);
          throw new ArchiveError('missing', 'the scheduler has only just started');
        },
      }),
      metrics,
      liveness,
      artifacts: source?.artifacts ?? [],
      token: options.token,
      logger: log,
    });
  const standby = createStandbyApi({ ...options, liveness, ownUrl: () => baseUrl });
  let api = apiOf(null);

  return {
    app: () => (leads() ? api : standby),
    listens(url, next) {
      baseUrl = url;
      leadership = next;
    },
    canAct(source) {
      api = apiOf(source);
    },
    staysAlone() {
      isAlone = true;
    },
    leads(next) {
      term = next;
      if (next !== null) terms += 1;
    },
  };
}
