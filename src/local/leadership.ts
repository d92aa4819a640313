import type { LocalMasterInfo } from './master-info.ts';

/** How one of several masters comes to lead: ZooKeeper in use, whatever a test says in a test. */
export interface MasterElection {
  /**
   * Stands for election until it is closed. `onLeader` is told who leads as soon as that is known and at every
   * change: `self` where this one was elected, `null` where nobody is known to lead.
   */
  stand(self: LocalMasterInfo, onLeader: (leader: LocalMasterInfo | null) => void): void;
  /** Resigns. */
  close(): Promise<void>;
}

/** How agents find the master. */
export interface LeaderWatch {
  /** `onLeader` is told the leader's URL, `http://127.0.0.1:<port>`, at once or soon and at every change. */
  follow(onLeader: (url: string | null) => void): void;
  close(): Promise<void>;
}

/** There is one master, and it is at `url`. */
export function createFixedLeader(url: string): LeaderWatch {
  return { follow: (onLeader) => onLeader(url), close: () => Promise.resolve() };
}
