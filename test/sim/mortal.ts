/**
 * The life of a simulated process. What it does goes through ports that die with it: after its death no call
 * has an effect, and nothing that it still waits for ever comes, so its code stands still where it was.
 */
export interface Mortal {
  readonly alive: boolean;
  /** SIGKILL. */
  kill(): void;
  /** SIGSTOP and SIGCONT: what it waits for comes when it goes on, with what it knew and had decided before. */
  pause(): void;
  resume(): void;
  readonly paused: boolean;
  /** Resolves while it is not paused. */
  awake(): Promise<void>;
  /** Aborts at death: for those who hold something open for this process. */
  readonly death: AbortSignal;
  /** What it reads piece by piece. */
  stream<T>(source: AsyncIterable<T>): AsyncGenerator<T, void, undefined>;
  /** The same port, as this process has it. Methods that only tell (`passive`) go on working. */
  port<T extends object>(port: T, passive?: readonly (keyof T)[]): T;
}

export function createMortal(): Mortal {
  const death = new AbortController();
  const never = new Promise<never>(() => {});
  let pause: PromiseWithResolvers<void> | null = null;

  const awake = async (): Promise<void> => {
    while (pause !== null) await pause.promise;
  };

  const guard = async (work: Promise<unknown>): Promise<unknown> => {
    try {
      const value = await work;
      if (pause !== null) await awake();
      return death.signal.aborted ? await never : value;
    } catch (error) {
      if (pause !== null) await awake();
      if (death.signal.aborted) return await never;
      throw error;
    }
  };

  return {
    get alive() {
      return !death.signal.aborted;
    },
    kill: () => death.abort('killed'),
    pause: () => {
      pause ??= Promise.withResolvers();
    },
    resume: () => {
      pause?.resolve();
      pause = null;
    },
    get paused() {
      return pause !== null;
    },
    awake,
    async *stream(source) {
      const pieces = source[Symbol.asyncIterator]();
      try {
        for (;;) {
          const step = (await guard(pieces.next())) as IteratorResult<never>;
          if (step.done === true) return;
          yield step.value;
        }
      } finally {
        await pieces.return?.();
      }
    },
    death: death.signal,
    port: (port, passive = []) =>
      new Proxy(port, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== 'function' || passive.includes(name as never)) return value;
          return (...args: unknown[]) => {
            if (death.signal.aborted) return never;
            const result: unknown = value.apply(target, args);
            return result instanceof Promise ? guard(result) : result;
          };
        },
      }),
  };
}
