import * as z from 'zod';

/**
 * The supervisor protocol in version 1 as the release read it that spoke it: what it refuses in a newer one's words.
 * It stays as it is for as long as a scheduler or a supervisor of that release may meet one of ours.
 */
export const statusOf1 = z.object({
  protocol: z.literal(1),
  phase: z.enum(['idle', 'prepared', 'stopped', 'running', 'backing-off', 'removed', 'failed']),
  dataProblem: z
    .enum(['data-missing', 'data-foreign', 'data-rolled-back', 'volume-missing', 'corrupt'])
    .nullable(),
});

const port = z.number().int().min(1).max(65535);
const volume = z.strictObject({ path: z.string().min(1), id: z.string().min(1) });

export const launchOf1 = z.strictObject({
  protocol: z.literal(1),
  framework: z.string().min(1),
  cluster: z.string().min(1),
  slot: z.string(),
  seat: z.string().min(1),
  task: z.string().min(1),
  schedulerKey: z.string().min(1),
  volume,
  wal: volume.optional(),
  storage: z.literal('sandbox').optional(),
  host: z.string().min(1),
  ports: z.strictObject({ peer: port, client: port, supervisor: port }),
  etcdBinary: z.string().min(1),
  etcd: z.strictObject({
    heartbeatIntervalMs: z.number(),
    electionTimeoutMs: z.number(),
    quotaBytes: z.number(),
    snapshotCount: z.number(),
  }),
});
