import type { RandomStream } from './prng.ts';
import type { SimStorage } from './sim-config.ts';
import type { World } from './world.ts';

/** Something that is done to a world in the middle of its life: by nature, by operators, by whoever else may. */
export interface Fault {
  /** What a scenario picks it by; unique. */
  readonly name: string;
  /** Worlds that it is done to, by where their data lies. Default all. */
  readonly on?: readonly SimStorage[];
  /** It can happen in this world now. Default: always. */
  readonly possible?: (world: World) => boolean;
  /** Worlds in which it costs a voter its data for good. At most a minority is spent at a time. Default none. */
  readonly final?: readonly SimStorage[];
  /** Resolves when it is done; time may pass meanwhile. */
  inject(at: Injection): Promise<void>;
}

export interface Injection {
  readonly world: World;
  readonly random: RandomStream;
  readonly storage: SimStorage;
  /** Whom it hits, where it hits one: a seat's host, while there are seats. */
  readonly host: string;
  /** Hosts of all seats. */
  readonly seats: readonly string[];
  /** What is done, in words. */
  say(text: string): void;
  /** Lets it last for a time and undoes it then: now, or while the scenario goes on with what comes next. */
  lasting(durationMs: number, undo: () => void): Promise<void>;
}

export const ON_VOLUMES: readonly SimStorage[] = ['persistent', 'mount'];
export const ANYWHERE: readonly SimStorage[] = [...ON_VOLUMES, 'sandbox'];
