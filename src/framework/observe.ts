import type { ClusterRecord } from '../protocol/record.ts';
import {
  type ArchiveSight,
  ELAPSED_MS_MAX,
  type MemberView,
  type Observation,
} from '../reconcile/observation.ts';
import type { AgentOffer } from './agent-offers.ts';
import { maintenanceAhead } from './maintenance.ts';
import { agentsGoneOf, type MesosView, taskEvidenceOf, unansweredTasks } from './mesos-view.ts';
import { offeredSeats, straysOf } from './offers.ts';

/** All that is known now, as the one value that the core decides on. Pure. */
export function observe(input: {
  readonly record: ClusterRecord;
  readonly view: MesosView;
  readonly offers: readonly AgentOffer[];
  readonly members: ReadonlyMap<string, MemberView>;
  readonly role: string;
  readonly wallMs: number;
  readonly monotonicMs: number;
  /** Since the previous observation, however long; `null` for the first. */
  readonly elapsedMs: number | null;
  readonly freshId: string;
  readonly archive: ArchiveSight | null;
}): Observation {
  const { record, view, offers } = input;
  return {
    wallMs: input.wallMs,
    elapsedMs: Math.min(ELAPSED_MS_MAX, input.elapsedMs ?? 0),
    freshId: input.freshId,
    mesos: {
      subscribed: view.subscribed,
      unanswered: new Set(unansweredTasks(view, record).map(({ task }) => task)),
      tasks: taskEvidenceOf(view, record, input.wallMs),
      offered: offeredSeats(offers, record, input.role),
      agentsGone: agentsGoneOf(view, record),
      maintenance: maintenanceAhead(view.maintenance, input),
      strays: straysOf(offers, record).ours.map(({ seat, slot }) => ({ seat, slot })),
    },
    members: input.members,
    archive: input.archive,
  };
}
