import type { ProcessExit } from '../../src/base/ports.ts';
import type { Launch } from '../../src/protocol/launch.ts';
import type { MemberStatus } from '../../src/protocol/member-status.ts';
import type { Receipt, SignedOrder } from '../../src/protocol/orders.ts';
import type { TaskProcess } from './sim-containers.ts';

/** A member's supervisor as a process of a simulated host. */
export interface SimMember extends TaskProcess {
  readonly host: string;
  readonly launch: Launch;
  readonly alive: boolean;
  /** It answers on its port. */
  readonly listening: boolean;
  status(wait: { after: number; waitMs: number } | null, signal: AbortSignal): Promise<MemberStatus>;
  order(order: SignedOrder): Promise<Receipt>;
  /** SIGKILL of the supervisor alone. Its etcd dies with it, unless it is `orphaned`. */
  kill(options: { readonly orphan: boolean }): void;
  readonly exit: Promise<ProcessExit>;
}
