/**
 * Seeds that once showed a fault, and what it was. They are run for ever.
 * Note that a change to the simulation gives a seed another life: then its name says what was found, no more.
 */
export const SEEDS_THAT_FAILED: readonly { readonly seed: number; readonly showed: string }[] = [
  { seed: 6, showed: 'the only voter of a cluster of one could not be replaced while it served' },
  { seed: 36, showed: 'a member list from before a promotion had the new voter removed' },
  { seed: 63, showed: 'an only voter that died before its removal was not fetched back' },
  {
    seed: 165,
    showed: 'a serving voter whose successor was ready could not go while another voter was dead',
  },
  { seed: 22, showed: 'a record put back from before its cluster had formed began a second one' },
  {
    seed: 32,
    showed: 'members had taken a later generation than that of a record put back, and refused all',
  },
  { seed: 175, showed: 'a task that a record put back did not know of kept its place from it' },
  {
    seed: 3,
    showed: 'a database was called full for good, as a place given up for maintenance was not rewritten',
  },
  {
    seed: 1360,
    showed:
      'a member whose data differed kept a sound one from starting, and could not be removed without it',
  },
  { seed: 2691, showed: 'one voter whose data differed kept the others from starting and being a quorum' },
  {
    seed: 3478,
    showed: 'a log held an add that was committed after the record whose intent had ordered it was lost',
  },
  { seed: 4245, showed: 'a position passed for known that a disk and a record put back had both forgotten' },
  { seed: 5136, showed: 'the same, where the record was lost' },
  { seed: 4290, showed: 'of a removed framework nothing was to be seen while all hosts were down' },
  { seed: 1013, showed: 'a place that a record put back gives up passed for one given up at that moment' },
  {
    seed: 1578,
    showed: 'a member that was removed while its etcd was down kept its slot, after the record was lost',
  },
  { seed: 1717553428, showed: 'a position passed for known that had arrived at a scheduler after its death' },
  {
    seed: 16,
    showed: 'a full database was the operator’s for good, though the archive that was behind had caught up',
  },
  {
    seed: 99,
    showed:
      'what later generations had archived kept one whose record was put back from archiving for its term',
  },
  {
    seed: 831,
    showed:
      'a full that a disk had altered after nobody was to read it again passed for one that was badly made',
  },
];
