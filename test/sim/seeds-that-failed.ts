/**
 * Seeds that once showed a fault, and what it was. They are run for ever.
 * Note that a change to the simulation gives a seed another life: then its name says what was found, no more.
 */
export const SEEDS_THAT_FAILED: readonly { readonly seed: number; readonly showed: string }[] = [];
