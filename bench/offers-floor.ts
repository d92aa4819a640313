import { createRecordDecoder } from '../src/mesos/record-io.ts';

/**
 * The least that takes an offer: reads the stream, parses each event whole, takes the first offer with room for a
 * member, declines all others. Told where the master is by its first argument.
 */
const [, , master = ''] = process.argv;

interface Offer {
  readonly id: unknown;
  readonly resources: readonly { readonly name: string; readonly scalar?: { readonly value: number } }[];
}

const response = await post({ type: 'SUBSCRIBE', subscribe: { framework_info: {} } });
const decoder = createRecordDecoder();
for await (const chunk of response.body ?? []) {
  const records: Uint8Array[] = [];
  decoder.push(chunk, (record) => records.push(record));
  for (const record of records) await take(JSON.parse(new TextDecoder().decode(record)));
}

async function take(event: { type: string; offers?: { offers: readonly Offer[] } }): Promise<void> {
  const offers = event.offers?.offers ?? [];
  const fitting = offers.find(hasRoom);
  if (fitting === undefined) return;
  await post({ type: 'ACCEPT', accept: { offer_ids: [fitting.id] } });
  const rest = offers.filter((offer) => offer !== fitting).map((offer) => offer.id);
  await post({ type: 'DECLINE', decline: { offer_ids: rest } });
}

function hasRoom({ resources }: Offer): boolean {
  return resources.some(({ name, scalar }) => name === 'cpus' && (scalar?.value ?? 0) >= 1);
}

async function post(call: unknown): Promise<Response> {
  return await fetch(`${master}/api/v1/scheduler`, { method: 'POST', body: JSON.stringify(call) });
}
