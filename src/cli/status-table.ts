import { formatDuration } from '../base/duration.ts';
import type { PublishedMember, PublishedPlan, PublishedView, StoryLine } from '../protocol/view.ts';
import { formatBytes } from './amounts.ts';
import { archiveLine, archiveLines } from './archive-lines.ts';
import type { Colour, Paint } from './style.ts';

/**
 * What `etcd-mesos status` prints: a line on the whole, the members, and what is in progress or in the way.
 * @param options.brief warnings are counted instead of listed, and the archive has its line alone. Default false.
 */
export function renderStatus(view: PublishedView, paint: Paint, options: { brief?: boolean } = {}): string {
  const lines = [
    ...summary(view, paint),
    '',
    ...table(view.members.map(memberRow), paint),
    ...problems(view, paint),
    ...warnings(view, options.brief === true),
    ...(view.archive === null || options.brief === true
      ? []
      : titled('archive', archiveLines(view.archive, view.atMs, paint))),
    ...progress(view),
    '',
    ...endpoints(view),
  ];
  return `${lines.join('\n')}\n`;
}

/** One line of the story, for a pipe. */
export function renderStoryLine(line: StoryLine, paint: Paint): string {
  const time = new Date(line.atMs).toISOString().slice(11, 23);
  const slot = (line.slot ?? '-').padEnd(7);
  return `${paint(time, 'dim')} ${slot} ${line.text} ${paint(`(${line.reason})`, 'dim')}`;
}

const HEALTH_COLOURS: Readonly<Record<PublishedView['health']['state'], Colour>> = {
  healthy: 'green',
  degraded: 'yellow',
  forming: 'yellow',
  'quorum-lost': 'red',
  'needs-user': 'yellow',
  unknown: 'red',
};

function summary(view: PublishedView, paint: Paint): readonly string[] {
  const { framework, health, epoch, mesos, scheduler } = view;
  const state = paint(health.state, HEALTH_COLOURS[health.state]);
  const voters =
    health.voters === 0
      ? `no voters yet, ${view.size} wanted`
      : `${health.healthyVoters} of ${health.voters} voters healthy${view.size === health.voters ? '' : `, ${view.size} wanted`}`;
  const cluster =
    epoch === null
      ? 'not begun'
      : `${epoch.clusterId ?? 'no id yet'}, epoch ${epoch.number} attempt ${epoch.attempt} ${epoch.phase}`;
  const master = mesos.master ?? 'none';
  const link = mesos.subscribed
    ? `subscribed at ${master}`
    : paint(`not subscribed: ${mesos.problem ?? 'no master'}`, 'red');
  return [
    `${paint(framework.name, 'bold')} is ${state}: ${voters}`,
    `cluster    ${cluster}`,
    `framework  ${framework.id ?? 'no id yet'}, generation ${framework.generation}`,
    `scheduler  ${scheduler.url}${scheduler.elected ? ' leads; others may stand by' : ''}`,
    `mesos      ${link}; without a scheduler Mesos ends the members after ${formatDuration(mesos.failoverTimeoutMs)}`,
    `archive    ${archiveLine(view.archive, paint)}`,
  ];
}

const HEADINGS = ['SLOT', 'MEMBER', 'ROLE', 'ETCD', 'REVISION', 'DB', 'AGENT', 'TASK', 'STATE'] as const;

interface Row {
  readonly cells: readonly string[];
  readonly colour: Colour | null;
}

function memberRow(member: PublishedMember): Row {
  return {
    cells: [
      member.slot,
      member.memberId ?? '-',
      member.leader ? 'leader' : member.role === 'none' ? '-' : member.role,
      member.etcdVersion ?? '-',
      member.revision ?? '-',
      member.dbSizeBytes === null ? '-' : formatBytes(member.dbSizeBytes),
      member.hostname ?? '-',
      member.mesosState?.replace(/^TASK_/, '').toLowerCase() ?? '-',
      stateOf(member),
    ],
    colour: member.problem !== null ? 'red' : member.healthy ? 'green' : 'yellow',
  };
}

function stateOf(member: PublishedMember): string {
  if (member.seat === null) return 'waits for a place';
  if (member.healthy) return 'serving';
  return member.phase ?? 'no answer';
}

/** Columns as wide as their widest cell; the last one is coloured. */
function table(rows: readonly Row[], paint: Paint): readonly string[] {
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row.cells[column]?.length ?? 0)),
  );
  const pad = (cells: readonly string[]): readonly string[] =>
    cells.map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)));
  return [
    paint(pad(HEADINGS).join('  '), 'dim'),
    ...rows.map(({ cells, colour }) => {
      const padded = pad(cells);
      const last = padded.at(-1) ?? '';
      return [...padded.slice(0, -1), colour === null ? last : paint(last, colour)].join('  ');
    }),
  ];
}

function problems(view: PublishedView, paint: Paint): readonly string[] {
  const lines = view.members.flatMap((member) => [
    ...(member.problem === null ? [] : [`  ${member.slot}  ${paint(member.problem, 'red')}`]),
    ...(member.restarts === 0 ? [] : [`  ${member.slot}  etcd was started again ${member.restarts} times`]),
  ]);
  return titled('problems', lines);
}

/** Known defects of an etcd are the same for all that run it: each is said once. */
function warnings(view: PublishedView, isBrief: boolean): readonly string[] {
  const slotsOf = new Map<string, Set<string>>();
  for (const member of view.members) {
    for (const warning of member.warnings) {
      slotsOf.set(warning, (slotsOf.get(warning) ?? new Set()).add(member.slot));
    }
  }
  const count = view.warnings.length + slotsOf.size;
  if (isBrief && count > 0) return ['', `${count} warnings, which status lists`];
  const lines = [...slotsOf].map(([warning, slots]) => `  ${[...slots].join(', ')}  ${warning}`);
  return titled('warnings', [
    ...view.warnings.map(({ code, message }) => `  -  ${code}: ${message}`),
    ...lines,
  ]);
}

function progress(view: PublishedView): readonly string[] {
  const { intent, scaling, size, disruption, space, blocked } = view;
  return [
    ...titled('in progress', [
      ...(scaling === null ? [] : [`  -  the cluster is to have ${size} members (${scaling.by})`]),
      ...(space?.defragment == null
        ? []
        : [
            `  -  to be defragmented: ${space.defragment.slots.join(', ')} (${space.defragment.reason}, by ${space.defragment.by})`,
          ]),
      ...(space?.relief == null ? [] : [`  -  NOSPACE is dealt with: ${space.relief.stage}`]),
      ...(intent === null ? [] : [`  ${intent.slot}  ${intent.step} (${intent.reason})`]),
      ...(disruption === null
        ? []
        : [
            `  ${disruption.slot}  ${disruption.kind}: ${disruption.step} (${disruption.reason}, by ${disruption.by})`,
          ]),
    ]),
    ...titled('plans', view.plans.filter(isWorthTelling).map(planLine)),
    ...titled(
      'blocked',
      blocked.map((entry) => `  ${entry.slot ?? '-'}  ${entry.code}: ${entry.message}`),
    ),
  ];
}

function titled(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ['', `${title}:`, ...lines];
}

function endpoints(view: PublishedView): readonly string[] {
  const { client } = view.endpoints;
  return [
    client.length === 0 ? 'endpoints: none before the cluster has formed' : `endpoints: ${client.join(',')}`,
  ];
}

/** What is held, failed or waits for a word; what goes on by itself shows in the lines above. */
function isWorthTelling({ name, status, paused }: PublishedPlan): boolean {
  return paused !== undefined || (name === 'update' && status !== 'COMPLETE') || status === 'ERROR';
}

function planLine({ name, status, phases, paused, errors }: PublishedPlan): string {
  const steps = phases.flatMap((phase) => phase.steps);
  const done = steps.filter((step) => step.status === 'COMPLETE').length;
  const why =
    errors[0] ??
    (paused === undefined
      ? steps.find((step) => step.status !== 'COMPLETE')?.message
      : `paused by ${paused.by} since ${new Date(paused.atMs).toISOString()}`);
  const count = steps.length === 0 ? '' : `, ${done} of ${steps.length} steps complete`;
  return `  ${name}  ${status}${count}${why === undefined ? '' : `: ${why}`}`;
}
