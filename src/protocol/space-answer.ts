import * as z from 'zod';
import { prefixReportSchema } from './orders.ts';

/** `GET /v1/space`. */
export const spaceAnswerSchema = z.object({
  members: z.array(
    z.object({
      slot: z.string(),
      leader: z.boolean(),
      dbSizeBytes: z.number(),
      dbSizeInUseBytes: z.number().nullable(),
      quotaBytes: z.number().nullable(),
      alarms: z.array(z.object({ memberId: z.string(), alarm: z.string() })),
      busy: z.string().nullable(),
    }),
  ),
  prefixes: z.union([
    z.object({ slot: z.string(), report: prefixReportSchema }),
    z.object({ slot: z.string().nullable(), problem: z.string() }),
  ]),
});
export type SpaceAnswer = z.infer<typeof spaceAnswerSchema>;

/** `GET /v1/alarms`. */
export const alarmsAnswerSchema = z.array(
  z.object({ memberId: z.string(), alarm: z.string(), slot: z.string().nullable() }),
);
