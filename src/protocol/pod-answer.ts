import * as z from 'zod';

/** What the scheduler answers to a command about members: `POST /v1/pod/<slot>/<verb>`, `POST /v1/leader/move`. */
export const commandReceiptSchema = z.object({
  /** `already`: it was asked for before, or there is nothing to do. */
  outcome: z.enum(['done', 'already']),
  /** For people. */
  message: z.string(),
  /** Names the disruption that does it: it is over when the view shows it no more. `null`: none is needed. */
  disruption: z.string().nullable(),
});
export type CommandReceipt = z.infer<typeof commandReceiptSchema>;

const podInstanceSchema = z.object({
  name: z.string(),
  tasks: z.array(z.object({ id: z.string(), name: z.string(), status: z.string() })),
});
export type PodInstance = z.infer<typeof podInstanceSchema>;

/** `GET /v1/pod/status`. */
export const podStatusSchema = z.object({
  service: z.string(),
  pods: z.array(z.object({ name: z.string(), instances: z.array(podInstanceSchema) })),
});
export type PodStatus = z.infer<typeof podStatusSchema>;
