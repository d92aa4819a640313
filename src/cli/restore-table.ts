import type { Synthesis } from '../runtime/archive-place.ts';
import { disagreementText, type RestoreOutcome, timeText } from '../runtime/archive-restore.ts';
import { formatBytes } from './amounts.ts';
import type { Paint } from './style.ts';

/** What `etcd-mesos restore` prints. */
export function renderRestore(outcome: RestoreOutcome, paint: Paint): string {
  const { full, passedOver, revision, headRevision, atMs, unknownLeases } = outcome;
  const when = atMs === null ? '' : `, of ${timeText(atMs)}`;
  const lines: readonly (readonly [string, string])[] = [
    [
      'restored',
      `${paint(`revision ${revision}`, 'bold')}${when}, of epoch ${outcome.epoch}, cluster ${outcome.clusterId}`,
    ],
    ['from', `archive ${outcome.archiveId} in ${outcome.place}`],
    ['full', `${full.name} at revision ${full.revision}`],
    ...passedOver.map(({ full: name, why }) => ['passed by', paint(`${name}: ${why}`, 'yellow')] as const),
    ['log', `${counted(outcome.events, 'event')} from ${counted(outcome.segments, 'segment')}`],
    ...(outcome.method === 'splice'
      ? []
      : [['replayed', paint('revision by revision through a private etcd', 'yellow')] as const]),
    ...proofLines(outcome, paint),
    ...(headRevision === revision
      ? []
      : [['goes on', `after revision ${headRevision}; all before is compacted`] as const]),
    ...(unknownLeases.length === 0
      ? []
      : [
          [
            'leases',
            `${unknownLeases.length} whose time is not known got 300 s: ${unknownLeases.join(', ')}`,
          ] as const,
        ]),
    ['written', `${outcome.output} (${formatBytes(outcome.sizeBytes)})`],
  ];
  const { program } = outcome;
  const by = program === null ? [] : [['by', `${program.kind} ${program.version}, ${program.path}`] as const];
  return [...lines, ...by].map(([name, text]) => `${name.padEnd(10)} ${text}\n`).join('');
}

/** What `etcd-mesos backup synthesize` prints. */
export function renderSynthesis({ full, report }: Synthesis, paint: Paint): string {
  const { revision, sizeBytes, madeFrom } = full.document;
  const lines: readonly (readonly [string, string])[] =
    report === null
      ? [
          [
            'full',
            `${full.name} has all that the archive has, up to revision ${revision}: nothing is to be made`,
          ],
        ]
      : [
          ['full', `${paint(full.name, 'bold')} at revision ${revision} (${formatBytes(sizeBytes)})`],
          ['made of', `${madeFrom} and ${counted(report.events, 'event')}`],
          ...proofLines(report, paint),
        ];
  return lines.map(([name, text]) => `${name.padEnd(10)} ${text}\n`).join('');
}

function proofLines(
  { proofs }: Pick<RestoreOutcome, 'proofs'>,
  paint: Paint,
): readonly (readonly [string, string])[] {
  const { agreeing, newestAgreeing, disagreeing, notComparable, leftOut } = proofs;
  const proven =
    newestAgreeing === null
      ? paint('by no hash: none that a member told can be compared', 'yellow')
      : paint(
          `by ${agreeing} ${agreeing === 1 ? 'hash' : 'hashes'} that members told, up to revision ${newestAgreeing}`,
          'green',
        );
  return [
    ...(disagreeing.length === 0 || agreeing > 0 ? [['proven', proven] as const] : []),
    ...disagreeing.map((each) => ['DISPROVED', paint(disagreementText(each), 'red')] as const),
    ...(notComparable.length === 0
      ? []
      : [['left out', `${notComparable.length} hashes that were told before a compaction`] as const]),
    ...(leftOut === 0 ? [] : [['left out', `${leftOut} more hashes: --all-hashes compares them`] as const]),
  ];
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
