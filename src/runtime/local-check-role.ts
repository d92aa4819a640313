import { createSystemClock } from './clock.ts';
import { createHttpTransport } from './http-transport.ts';
import { checkLocal, type LocalCheckReport } from './local-check.ts';
import type { LocalTrial } from './local-up.ts';
import { createMembersHttp } from './members-http.ts';

/** `etcd-mesos local up --check`: waits until the trial is whole, then breaks it step by step. */
export async function runLocalCheck(
  trial: LocalTrial,
  options: { readonly note: (line: string) => void; readonly signal: AbortSignal },
): Promise<LocalCheckReport> {
  const { note, signal } = options;
  const transport = createHttpTransport();
  try {
    note('waits for a whole cluster');
    await trial.follow(
      ({ health, size }) => health.state === 'healthy' && health.healthyVoters === size,
      signal,
    );
    signal.throwIfAborted();
    return await checkLocal(
      {
        cluster: trial.cluster,
        clock: createSystemClock(),
        members: createMembersHttp(transport),
        view: () => trial.api.view(),
        note,
      },
      signal,
    );
  } finally {
    await transport.close();
  }
}
