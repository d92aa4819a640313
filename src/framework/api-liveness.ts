import { type ApiRoute, json } from './api-access.ts';

/** What this process is at the moment, of all that share the cluster's record. */
export interface Liveness {
  readonly role: 'standby' | 'leader';
  /** Base URL of the API of the scheduler that acts, by the newest word; `null` where none is known to. */
  readonly leader: string | null;
  /** How often this process has led since it started. */
  readonly terms: number;
}

/**
 * The one route that every scheduler answers for itself: that its process lives. It says nothing of the cluster, so
 * that whoever watches processes by it ends none because the cluster is ill or because another scheduler leads.
 */
export function livenessRoute(liveness: () => Liveness): ApiRoute {
  return {
    method: 'get',
    path: '/v1/liveness',
    access: 'status',
    about: 'that this process lives, and whether it leads; never forwarded, for health checks of the process',
    handler: (context) => json(context, liveness()),
  };
}
