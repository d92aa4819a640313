import { unreachable } from '../base/assert.ts';
import { isArchiveWarning, type PublishedView } from '../protocol/view.ts';
import { type ApiRoute, json } from './api-access.ts';

/** How a service's health is told to DC/OS: a code of its SDK, and why it is not 200. */
export interface ServiceHealth {
  /** Clients get their data: the HTTP status is 200, else 503. */
  readonly serving: boolean;
  /** The SDK's word: 318 initializing, 202 deploying, 203 recovering, 200 running, 500 error. */
  readonly value: number;
  readonly reasons: readonly string[];
}

/** `/v1/health`, and what 2015's monitoring asks for. */
export function healthRoutes(view: () => PublishedView | null): readonly ApiRoute[] {
  return [
    open('/v1/health', 'whether clients are served, with the SDK’s code and the reasons', (context) => {
      const health = healthOf(view());
      return json(context, { value: health.value, reasons: health.reasons }, health.serving ? 200 : 503);
    }),
    open('/healthz', 'whether clients are served, as in 2015', (context) =>
      healthOf(view()).serving
        ? context.text('cluster is healthy\n')
        : context.text('500 internal server error: cluster not healthy.\n', 500),
    ),
    open('/members', 'the members that run, as in 2015', (context) => json(context, membersOf(view()))),
    open('/stats', 'counters since the scheduler started, as in 2015', (context) =>
      json(context, statsOf(view())),
    ),
  ];
}

function open(path: string, about: string, handler: ApiRoute['handler']): ApiRoute {
  return { method: 'get', path, access: 'status', about, handler };
}

function healthOf(view: PublishedView | null): ServiceHealth {
  // Nothing is wrong with what was asked for and is done.
  if (view?.uninstall?.done === true) return { serving: true, value: 200, reasons: ['uninstalled'] };
  if (view === null || (view.framework.id === null && !view.mesos.subscribed)) {
    const why = view?.mesos.problem ?? 'the scheduler has only just started';
    return { serving: false, value: 318, reasons: [`not registered with Mesos yet: ${why}`] };
  }
  const { state, voters, healthyVoters } = view.health;
  const reasons = reasonsOf(view);
  const count = `${healthyVoters} of ${voters} voters are healthy`;
  switch (state) {
    case 'healthy':
      return { serving: true, value: view.intent === null ? 200 : 203, reasons };
    case 'degraded':
      return { serving: true, value: 203, reasons: [count, ...reasons] };
    case 'forming':
      return { serving: false, value: 202, reasons: ['the cluster has not formed yet', ...reasons] };
    case 'quorum-lost':
      return { serving: false, value: 500, reasons: [`quorum is lost: ${count}`, ...reasons] };
    case 'needs-user':
      // Who completed a read of a quorum's serves who names a user.
      return {
        serving: healthyVoters > 0,
        value: healthyVoters > 0 ? 203 : 500,
        reasons: [count, ...reasons],
      };
    case 'unknown':
      return { serving: false, value: 500, reasons: ['no member answers', ...reasons] };
    default:
      return unreachable(state);
  }
}

function reasonsOf(view: PublishedView): readonly string[] {
  return [
    ...(view.mesos.subscribed ? [] : [`no Mesos master: ${view.mesos.problem ?? 'not connected'}`]),
    ...(view.intent === null ? [] : [`${view.intent.slot}: ${view.intent.step} (${view.intent.reason})`]),
    ...view.blocked.map((entry) => (entry.slot === null ? '' : `${entry.slot}: `) + entry.message),
    // Clients are served all the same.
    ...view.warnings.filter(isArchiveWarning).map(({ message }) => message),
  ];
}

/** Field names of the 2015 `Node`; `httpPort` was the executor's, and is the supervisor's. */
function membersOf(view: PublishedView | null): readonly unknown[] {
  return (view?.members ?? [])
    .filter((member) => member.mesosState === 'TASK_RUNNING' && member.ports !== null)
    .map((member) => ({
      name: member.slot,
      host: member.host,
      rpcPort: member.ports?.peer,
      clientPort: member.ports?.client,
      httpPort: member.ports?.supervisor,
      type: 'existing',
      slaveID: member.agentId,
    }));
}

/** Field names of the 2015 `Stats`. A reseed was a new cluster from a survivor: today an epoch after the first. */
function statsOf(view: PublishedView | null): unknown {
  return {
    running_servers: membersOf(view).length,
    launched_servers: view?.counters.launches ?? 0,
    failed_servers: view?.counters.tasksFailed ?? 0,
    cluster_livelocks: view?.counters.quorumLosses ?? 0,
    cluster_reseeds: Math.max(0, (view?.epoch?.number ?? 1) - 1),
    healthy: healthOf(view).serving ? 1 : 0,
  };
}
