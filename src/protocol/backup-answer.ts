import * as z from 'zod';

/** `POST /v1/backup`, and `GET /v1/backup/requests/<id>`. */
export const backupAnswerSchema = z.discriminatedUnion('outcome', [
  /** It is in the archive and was read back whole. */
  z.object({
    outcome: z.literal('taken'),
    name: z.string(),
    /** Decimal text; at least this one where etcd's schema is not known. */
    revision: z.string(),
    sizeBytes: z.number().min(0),
    /** Milliseconds since 1970. */
    startedAtMs: z.number(),
  }),
  /** It takes longer than one answer is waited for: ask again for what became of `id`. */
  z.object({ outcome: z.literal('under-way'), id: z.string(), message: z.string() }),
]);
export type BackupAnswer = z.infer<typeof backupAnswerSchema>;
