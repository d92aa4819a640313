import { Hono } from 'hono';
import type { Logger } from '../base/ports.ts';
import type {
  DebugOffers,
  OfferExplanation,
  OfferReport,
  OfferSummary,
  PublishedMember,
  PublishedView,
} from '../protocol/view.ts';
import {
  type ApiContext,
  type ApiEnvironment,
  type ApiRoute,
  json,
  mountRoutes,
  problem,
} from './api-access.ts';
import { artifactRoute, type ServedArtifact } from './api-artifact.ts';
import { type BackupSource, backupRoutes } from './api-backup.ts';
import { healthRoutes } from './api-health.ts';
import { type Liveness, livenessRoute } from './api-liveness.ts';
import { type PlanSource, planRoutes } from './api-plans.ts';
import { podRoutes } from './api-pods.ts';
import { status, withView } from './api-routes.ts';
import { scaleRoutes } from './api-scale.ts';
import { type SpaceSource, spaceRoutes } from './api-space.ts';
import { DISCOVERY, discoveryDomainOf, vipOf } from './dns-names.ts';
import type { Metrics } from './metrics.ts';

export interface ApiOptions {
  /** The newest view; `null` before the first. */
  readonly view: () => PublishedView | null;
  /** How offers were judged lately. */
  readonly offers: () => OfferReport;
  readonly metrics: Metrics;
  /** See {@link PlanSource}. */
  readonly tell: PlanSource['tell'];
  /** See {@link SpaceSource}. */
  readonly measure: SpaceSource['measure'];
  /** See {@link BackupSource}. */
  readonly fulls: BackupSource['fulls'];
  readonly liveness: () => Liveness;
  /** The tarballs that the scheduler serves. */
  readonly artifacts: readonly ServedArtifact[];
  /** The bearer token; `null`: off loopback only status is served. */
  readonly token: string | null;
  readonly logger: Logger;
}

/** The scheduler's HTTP API. Its routes and answers are described in `docs/http-api.md`. */
export function createApi(options: ApiOptions): Hono<ApiEnvironment> {
  const app = new Hono<ApiEnvironment>();
  const routes: readonly ApiRoute[] = [
    status('/', 'this list', (context) => json(context, { routes: routes.map(describeRoute) })),
    ...endpointRoutes(options),
    ...podRoutes(options),
    ...healthRoutes(options.view),
    ...planRoutes(options),
    ...scaleRoutes(options),
    ...spaceRoutes(options),
    ...backupRoutes(options),
    livenessRoute(options.liveness),
    ...viewRoutes(options),
    artifactRoute(options.artifacts),
  ];
  mountRoutes(app, routes, options.token);
  app.onError((error, context) => {
    options.logger.error('api request failed', { path: context.req.path, error });
    return problem(context, 500, 'the request could not be answered', 'The scheduler’s log says why.');
  });
  return app;
}

const describeRoute = (route: ApiRoute): unknown => ({
  method: route.method.toUpperCase(),
  path: route.path,
  about: route.about,
});

/** Names under `/v1/endpoints`. The last is plain text for kube-apiserver's `--etcd-servers`. */
const ENDPOINT_NAMES = ['client', 'etcd-servers', 'peer'] as const;

function endpointRoutes({ view }: ApiOptions): readonly ApiRoute[] {
  return [
    status(
      '/v1/endpoints',
      'names of endpoints; none before the cluster has formed',
      withView(view, (context, current) =>
        json(context, current.endpoints.client.length > 0 ? ENDPOINT_NAMES : []),
      ),
    ),
    status(
      '/v1/endpoints/:name',
      'addresses of the endpoint; etcd-servers is text for kube-apiserver’s --etcd-servers',
      withView(view, (context, current) => {
        const name = context.req.param('name') ?? '';
        if (!ENDPOINT_NAMES.some((known) => known === name)) {
          const hint = `There are ${ENDPOINT_NAMES.join(', ')}.`;
          return problem(context, 404, `Endpoint ${name} not found`, hint);
        }
        if (current.endpoints.client.length === 0) return notFormed(context, current);
        if (name === 'etcd-servers') return context.text(`${current.endpoints.client.join(',')}\n`);
        const urls = name === 'peer' ? current.endpoints.peer : current.endpoints.client;
        return json(context, {
          address: urls.map(hostAndPort),
          dns: urls.map((url) => dnsName(url, current.members)),
          url: urls,
          ...discoveryOf(name, current.framework.name),
        });
      }),
    ),
  ];
}

/** Where DNS tells of the endpoint; the clients' VIP is there on DC/OS. */
function discoveryOf(name: string, frameworkName: string): { readonly srv: string; readonly vip?: string } {
  const domain = discoveryDomainOf(frameworkName);
  if (name === 'peer') return { srv: `_${DISCOVERY.server}._tcp.${domain}` };
  return { srv: `_${DISCOVERY.client}._tcp.${domain}`, vip: vipOf(frameworkName) };
}

function notFormed(context: ApiContext, view: PublishedView): Response {
  const [blocked] = view.blocked;
  const why = blocked === undefined ? '' : `: ${blocked.message}`;
  return problem(
    context,
    503,
    `the cluster has not formed yet, so it has no endpoints${why}`,
    'Ask again later; /v1/health says how far it is.',
  );
}

const hostAndPort = (url: string): string => new URL(url).host;

/** The agent's host name instead of its address, where one is known. */
function dnsName(url: string, members: readonly PublishedMember[]): string {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  // Agents may share an address; a port of a seat is nobody else's.
  const member = members.find(
    (entry) => entry.host === host && Object.values(entry.ports ?? {}).includes(Number(port)),
  );
  return `${member?.hostname ?? hostname}:${port}`;
}

function viewRoutes({ view, offers, metrics }: ApiOptions): readonly ApiRoute[] {
  const debugOffers = withView(view, (context) => {
    const { summaries, explanations } = offers();
    return json(context, { summary: summaries.map(summaryOf), offers: explanations.map(offerOf) });
  });
  return [
    status(
      '/v1/state/frameworkId',
      'the framework’s id, in an array',
      withView(view, (context, current) =>
        current.framework.id === null
          ? problem(context, 404, 'no master has given the framework an id yet', 'Ask again later.')
          : json(context, [current.framework.id]),
      ),
    ),
    status('/v1/metrics/prometheus', 'metrics in the text format of Prometheus', async (context) => {
      const text = await metrics.render(view());
      return context.body(text, 200, { 'content-type': metrics.contentType });
    }),
    status(
      '/v1/debug/offers',
      'why offers were taken or not: a summary for each slot, then the offers, newest last',
      debugOffers,
    ),
    status('/v2/debug/offers', 'the same', debugOffers),
    status('/v1/view', 'everything that status shows', withView(view, json)),
  ];
}

/** The parts of an answer that `debugOffersSchema` reads. */
const summaryOf = ({ slot, sinceMs, lastMs, ...counts }: OfferSummary): DebugOffers['summary'][number] => ({
  'pod-instance-name': slot,
  since: new Date(sinceMs).toISOString(),
  last: new Date(lastMs).toISOString(),
  ...counts,
});

const offerOf = (entry: OfferExplanation): DebugOffers['offers'][number] => ({
  timestamp: new Date(entry.atMs).toISOString(),
  'pod-instance-name': entry.slot,
  outcome: entry.outcome,
  explanation: entry.explanation,
  requirements: entry.requirements,
  offer: { id: entry.offerId, agent_id: entry.agentId, hostname: entry.hostname, zone: entry.zone },
});
