import type { DebugOffers } from '../protocol/view.ts';
import type { Paint } from './style.ts';

/** Offers that are listed for each slot: the newest. All of them are in the JSON. */
const LISTED_MAX = 20;

/** What `etcd-mesos debug offers` prints: what failed most, slot by slot, then each offer and what it lacks. */
export function renderOffers({ summary, offers }: DebugOffers, paint: Paint): string {
  if (summary.length === 0) {
    return 'no member has looked for a place lately, so no offer was judged\n';
  }
  return summary
    .map((entry) => {
      const slot = entry['pod-instance-name'];
      const judged = offers.filter((offer) => offer['pod-instance-name'] === slot);
      const shown = judged.slice(-LISTED_MAX);
      const more = judged.length - shown.length;
      return [
        ...summaryOf(entry, paint),
        ...shown.flatMap((offer) => offerLines(offer, paint)),
        ...(more === 0 ? [] : [`  … and ${more} before these, which --json lists`]),
      ]
        .map((line) => `${line}\n`)
        .join('');
    })
    .join('\n');
}

function summaryOf(entry: DebugOffers['summary'][number], paint: Paint): readonly string[] {
  const { looked, fitted, failed, since, last } = entry;
  const verdict = fitted === 0 ? paint('none fits', 'red') : paint(`${fitted} fit`, 'green');
  return [
    `${paint(entry['pod-instance-name'], 'bold')}: ${looked} ${looked === 1 ? 'offer' : 'offers'} looked at ` +
      `from ${timeOf(since)} to ${timeOf(last)}, ${verdict}`,
    ...failed.map(({ requirement, offers }) => `  ${offers} of ${looked} fail on ${requirement}`),
  ];
}

function offerLines(entry: DebugOffers['offers'][number], paint: Paint): readonly string[] {
  const { outcome, offer, explanation, timestamp } = entry;
  const mark = outcome === 'pass' ? paint('pass', 'green') : paint('fail', 'red');
  const zone = offer.zone === null ? '' : ` in ${offer.zone}`;
  return [
    `  ${paint(timeOf(timestamp), 'dim')} ${mark} ${offer.hostname}${zone} ${paint(offer.id, 'dim')}`,
    `    ${explanation}`,
  ];
}

const timeOf = (timestamp: string): string => timestamp.slice(11, 19);
