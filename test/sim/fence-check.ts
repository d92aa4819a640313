import type { Fence } from '../../src/member/volume.ts';
import { orderSchema, type SignedOrder } from '../../src/protocol/orders.ts';

/** Who was told by a later scheduler does nothing for an earlier one: checked by what orders came to. */
export interface FenceCheck {
  /** A supervisor's task has carried out an order. Answers with what is wrong about that; `null`: nothing is. */
  done(task: string, signed: SignedOrder): string | null;
}

export function createFenceCheck(): FenceCheck {
  /** By task: the highest (epoch, generation) for which it has done something. */
  const highest = new Map<string, Fence>();
  /** The same order may be answered again, whoever leads by then. */
  const answered = new Set<string>();
  return {
    done(task, signed) {
      const { id, epoch, generation, kind } = orderSchema.parse(JSON.parse(signed.order));
      if (answered.has(id)) return null;
      answered.add(id);
      const before = highest.get(task);
      const isLower =
        before !== undefined &&
        (epoch < before.epoch || (epoch === before.epoch && generation < before.generation));
      if (!isLower) {
        highest.set(task, { epoch, generation });
        return null;
      }
      const [was, now] = [before, { epoch, generation }].map((fence) => `${fence.epoch}.${fence.generation}`);
      return `fence violated: ${task} has carried out ${kind} of generation ${now} after one of ${was}`;
    },
  };
}
