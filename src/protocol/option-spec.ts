import type { OptionKind } from './option-kinds.ts';

/** One row of the table of options, and how rows are written. */
export interface OptionSpec<T> {
  /** The flag without its dashes, and the key in a file. */
  readonly name: string;
  readonly kind: OptionKind<T>;
  /** `null`: there is none, and {@link otherwise} says what happens without a value. */
  readonly initial: T | null;
  readonly otherwise?: string;
  readonly about: string;
  readonly changes: Changes;
  /** Names that the packages of 2015 and later used for the same thing. */
  readonly aliases: readonly OptionAlias[];
}

/**
 * When a new value takes effect. `restart`: when the scheduler is started again. `new places`: for members that
 * are placed after that; those that run keep theirs. `update`: for these, and it is rolled out to those that run.
 * `never`: it is part of what the cluster is.
 */
export type Changes = 'restart' | 'new places' | 'update' | 'never';

export interface OptionAlias {
  readonly in: 'flag' | 'environment' | 'file';
  readonly name: string;
  /** Rewrites the text of a name whose values had another meaning. */
  readonly reading?: AliasReading;
  /** Set by platforms whether wanted or not: gives way without a word to the option's own name. */
  readonly weak?: boolean;
}
export type AliasReading = 'seconds' | 'milliseconds' | 'verbosity' | 'auto-reseed-2015';

export const flag = (name: string, reading?: AliasReading): OptionAlias => alias('flag', name, reading);
export const variable = (name: string, reading?: AliasReading): OptionAlias =>
  alias('environment', name, reading);
export const key = (name: string, reading?: AliasReading): OptionAlias => alias('file', name, reading);
export const platform = (name: string): OptionAlias => ({ in: 'environment', name, weak: true });

function alias(source: OptionAlias['in'], name: string, reading?: AliasReading): OptionAlias {
  return reading === undefined ? { in: source, name } : { in: source, name, reading };
}

type OptionRow<T> = Omit<OptionSpec<T>, 'kind' | 'initial' | 'aliases'> & {
  readonly kind: OptionKind<T>;
  readonly initial: NoInfer<T> | null;
  readonly aliases?: readonly OptionAlias[];
};

export function option<T>(row: OptionRow<T>): OptionSpec<T> {
  return { aliases: [], ...row };
}
