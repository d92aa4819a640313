import type { ArchiveSurvey, FullSurvey, Verification } from '../runtime/archive-place.ts';
import type { StartCheck } from '../runtime/archive-start.ts';
import { formatBytes } from './amounts.ts';
import type { Paint } from './style.ts';

type EpochSurvey = ArchiveSurvey['epochs'][number];
type VerifiedEpoch = Verification['epochs'][number];

/** What `etcd-mesos backup list` prints. */
export function renderSurvey(survey: ArchiveSurvey, paint: Paint): string {
  const head = `archive ${paint(survey.archiveId, 'bold')} of ${survey.owner} in ${survey.place}`;
  const epochs = survey.epochs.flatMap((epoch) => ['', ...epochLines(epoch, paint)]);
  const damaged = survey.damaged.flatMap(({ object, problem }) => [
    '',
    `${object} ${paint(`cannot be used: ${problem}`, 'red')}`,
  ]);
  const lines = [...epochs, ...damaged];
  return `${[head, ...(lines.length === 0 ? ['', 'nothing was archived yet'] : lines)].join('\n')}\n`;
}

function epochLines(
  { document, fulls, damaged, log, restorable }: EpochSurvey,
  paint: Paint,
): readonly string[] {
  const { epoch, clusterId, parent, createdAtMs } = document;
  const origin = parent === null ? '' : `, from epoch ${parent.epoch} at revision ${parent.forkRevision}`;
  return [
    `${paint(`epoch ${epoch}`, 'bold')} cluster ${clusterId} since ${timeOf(createdAtMs)}${origin}`,
    ...(fulls.length === 0 ? [`  ${paint('no full backup', 'red')}`] : []),
    ...fulls.map(
      ({ name, document: full }) =>
        `  full ${name}  revision ${revisionOf(full)}  ${formatBytes(full.sizeBytes)}  ${timeOf(full.startedAtMs)}  ` +
        paint(full.reason, 'dim'),
    ),
    ...damaged.map(({ name, problem }) => `  full ${name}  ${paint(`cannot be used: ${problem}`, 'red')}`),
    ...(log === null
      ? [`  ${paint('no log', 'yellow')}`]
      : [`  log from revision ${BigInt(log.base) + 1n} to ${log.lastRevision}, segment ${log.segments}`]),
    ...(restorable.length === 0 ? [`  ${paint('nothing of it can be restored', 'red')}`] : []),
    ...restorable.map(({ from, to, fromMs, toMs }) =>
      from === to
        ? `  can be restored: revision ${from}${atText(fromMs)}`
        : `  can be restored: revision ${from}${atText(fromMs)} to ${to}${atText(toMs)}`,
    ),
  ];
}

const atText = (ms: number | null): string => (ms === null ? '' : ` (${timeOf(ms)})`);

/** What `etcd-mesos backup show` prints. */
export function renderFull({ name, document }: FullSurvey, paint: Paint): string {
  const { startedAtMs, finishedAtMs } = document;
  return [
    paint(name, 'bold'),
    `revision   ${revisionOf(document)}`,
    `size       ${formatBytes(document.sizeBytes)} (${document.sizeBytes} bytes)`,
    `taken      ${timeOf(startedAtMs)}, in ${((finishedAtMs - startedAtMs) / 1000).toFixed(1)} s`,
    `because    ${document.reason}`,
    `from       member ${document.memberId} of cluster ${document.clusterId}, etcd ${document.etcdVersion}`,
    ...(document.madeFrom === null ? [] : [`made of    full ${document.madeFrom} and the log`]),
    `sha256     ${document.sha256}`,
  ]
    .map((line) => `${line}\n`)
    .join('');
}

/** What `etcd-mesos backup verify` prints. */
export function renderVerification(
  verification: Verification,
  start: StartCheck | null,
  paint: Paint,
): string {
  const { epochs } = verification;
  const problems = [
    ...verification.problems,
    ...(start?.problems ?? []).map((problem) => ({ object: 'the etcd that was started', problem })),
  ];
  const isRestored = epochs.some(({ restorable }) => restorable.some(({ proofs }) => proofs !== null));
  const sound = `every byte is as it was written${isRestored ? ', and can be restored' : ''}`;
  const verdict =
    problems.length === 0
      ? paint(sound, 'green')
      : paint(`${problems.length} ${problems.length === 1 ? 'thing is' : 'things are'} wrong`, 'red');
  return [
    ...epochs.flatMap((epoch) => verifiedLines(epoch, paint)),
    ...(start === null
      ? []
      : [
          `etcd ${start.etcdVersion} was started on revision ${start.revision}: ${start.keys} keys, hash ${start.hash}`,
        ]),
    ...problems.map(({ object, problem }) => `${paint(object, 'red')}: ${problem}`),
    verdict,
  ]
    .map((line) => `${line}\n`)
    .join('');
}

function verifiedLines(verified: VerifiedEpoch, paint: Paint): readonly string[] {
  const { epoch, revisions, events, proofs, gaps, restorable } = verified;
  const gapLines = gaps.map(
    ({ from, to, reason }) =>
      `  ${paint(`not in the log: revisions ${from} to ${to}`, 'yellow')} (${reason})`,
  );
  return [
    `${paint(`epoch ${epoch}`, 'bold')} ${revisions} revisions, ${events} events, ${proofs} proofs`,
    ...gapLines,
    ...restorable.map(
      ({ full, fromRevision, toRevision, proofs: compared }) =>
        `  full ${full} and its log: any revision from ${fromRevision} to ${toRevision}${provenText(compared)}`,
    ),
  ];
}

function provenText(proofs: VerifiedEpoch['restorable'][number]['proofs']): string {
  if (proofs === null) return '';
  const { agreeing, newestAgreeing } = proofs;
  if (newestAgreeing === null) return '; no hash to compare';
  return `; ${agreeing} ${agreeing === 1 ? 'hash agrees' : 'hashes agree'}, up to ${newestAgreeing}`;
}

/** As `restore --to` takes it. */
const timeOf = (ms: number): string => new Date(ms).toISOString();

function revisionOf(full: FullSurvey['document']): string {
  return full.revision ?? `${full.revisionAtLeast} or later`;
}
