import * as z from 'zod';

/** What of etcd's own settings an operator chooses; the same for every member of a cluster. */
export const etcdOptions = z.strictObject({
  /** Milliseconds between a leader's heartbeats, about the largest round trip between members. Default 100. */
  heartbeatIntervalMs: z.number().int().min(10).max(5000).default(100),
  /** Milliseconds without a heartbeat until an election, 5 to 50 times the heartbeat. Default 1000. */
  electionTimeoutMs: z.number().int().min(50).max(50_000).default(1000),
  /** Bytes that the backend may grow to before etcd raises NOSPACE. Default 2 GiB, etcd's own. */
  quotaBytes: z
    .number()
    .int()
    .min(16 * 1024 * 1024)
    .max(64 * 1024 ** 3)
    .default(2 * 1024 ** 3),
  /** Applied entries between two snapshots of the raft log. Default 10000, as etcd 3.6. */
  snapshotCount: z.number().int().min(10).max(1_000_000).default(10_000),
});
export type EtcdOptions = z.infer<typeof etcdOptions>;
