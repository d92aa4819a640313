import { ARCHIVE_MUTANTS } from './mutants-of-archives.ts';

/**
 * Bugs as people write them, each planted in the real sources by changing their text. The simulation must see every
 * one: it shows that the checkers would see the next.
 */
export interface Mutant {
  readonly name: string;
  /** What is done wrong. */
  readonly about: string;
  /** All are made. The text to be found stands in the file exactly once. */
  readonly edits: readonly Edit[];
  /**
   * Seeds that have shown it soonest, which are tried first: only to be quick. A change to the simulation gives every
   * seed another life; then those from 1 on show it, a little later.
   */
  readonly shownBy: readonly number[];
  /** The first seeds show it, so every check looks for it. */
  readonly isQuick?: true;
}
export interface Edit {
  /** From the project's root. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const REPAIR = 'src/reconcile/repair.ts';
const SUPERVISOR_DECIDE = 'src/member/decide.ts';

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'promote-without-catching-up',
    about: 'a learner is promoted as soon as it is listed',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: 'src/reconcile/membership.ts',
        find: '  if (learner === undefined || leader === undefined) return false;',
        replace:
          '  if (membership.witnesses.length > 0) return true;\n  if (learner === undefined || leader === undefined) return false;',
      },
    ],
  },
  {
    name: 'remove-without-quorum',
    about: 'a voter is removed whoever else is healthy',
    shownBy: [58],
    edits: [
      {
        file: 'src/reconcile/quorum.ts',
        find: '  if (!set.voters.has(memberId)) return null;\n  const voters',
        replace: '  if (set.voters.size > 0) return null;\n  const voters',
      },
    ],
  },
  {
    name: 'quorum-off-by-one',
    about: 'less than half of the voters are taken for a quorum',
    shownBy: [32],
    edits: [
      {
        file: 'src/reconcile/quorum.ts',
        find: 'return Math.floor(voters / 2) + 1;',
        replace: 'return Math.max(1, Math.floor(voters / 2));',
      },
    ],
  },
  {
    name: 'remove-before-successor',
    about:
      'a lost voter is removed before its successor is prepared: it is neither looked at when the change is begun nor before it is made',
    shownBy: [5],
    isQuick: true,
    edits: [
      {
        file: REPAIR,
        find: '      seat.taskEnd === null &&\n      isPrepared(pass, seat) &&\n      memberOf',
        replace: '      seat.taskEnd === null &&\n      memberOf',
      },
      {
        file: REPAIR,
        find: 'if (addSeat !== undefined && !isPrepared(pass, addSeat)) waitForSuccessor(pass, intent);\n      else remove',
        replace: 'remove',
      },
    ],
  },
  {
    name: 'intent-closed-early',
    about: 'a membership change is forgotten while it is under way',
    shownBy: [246],
    edits: [
      {
        file: REPAIR,
        find: '  if (isDone(pass, membership, intent, listed)) pass.record.intent = null;',
        replace:
          '  if (isDone(pass, membership, intent, listed) || intent.committed) pass.record.intent = null;',
      },
    ],
  },
  {
    name: 'act-before-persisting',
    about: 'orders are given before the record that explains them is stored',
    shownBy: [18],
    isQuick: true,
    edits: [
      {
        file: 'src/framework/scheduler.ts',
        find: '    const kept = await keeper.keep(match.record)',
        replace: '    act(decision, match, acks);\n    const kept = await keeper.keep(match.record)',
      },
      {
        file: 'src/framework/scheduler.ts',
        find: '    watch.follow(targetsOf(match.record));\n    act(decision, match, acks);',
        replace: '    watch.follow(targetsOf(match.record));',
      },
    ],
  },
  {
    name: 'promotion-forgotten',
    about: 'a learner is left one, and its promotion reported as done',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: 'src/member/cluster-work.ts',
        find: '  if (!member.isLearner) return;',
        replace: '  if (member.isLearner) return;',
      },
    ],
  },
  {
    name: 'start-removed-data',
    about: 'a member that was removed is started again on its data',
    shownBy: [3],
    isQuick: true,
    edits: [
      {
        file: SUPERVISOR_DECIDE,
        find: "  if (seen.exit.code === 0 || seen.saidRemoved) return { kind: 'removed' };",
        replace: '',
      },
    ],
  },
  {
    name: 'go-not-stored',
    about: 'the founding members are told to start while the stored record still prepares',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: 'src/framework/record-keeper.ts',
        find: '      version = await write(serializeRecord(next));',
        replace:
          "      version = await write(serializeRecord(next.epoch.phase === 'go' ? { ...next, epoch: { ...next.epoch, phase: 'preparing', members: [] } } : next));",
      },
    ],
  },
  {
    name: 'prepare-twice',
    about: 'founding members that were told to start are prepared again until they serve',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: 'src/reconcile/formation.ts',
        find: "  block(pass, 'forming', null, `waits for a quorum of ",
        replace:
          "  for (const seat of alive) if (seat !== undefined && freshStatus(pass, seat)?.phase !== 'prepared') askToPrepare(pass, seat, 'again');\n  block(pass, 'forming', null, `waits for a quorum of ",
      },
      {
        file: SUPERVISOR_DECIDE,
        find: "  if (identity.started) return refuse('already-started', 'etcd was started on this attempt’s data before');\n  if (view.data === 'present')",
        replace:
          "  if (identity.started) return { kind: 'create-data', identity: fresh };\n  if (view.data === 'present')",
      },
    ],
  },
  {
    name: 'destroy-before-replaced',
    about: 'the volume of a lost member is given back as soon as its removal is committed',
    shownBy: [3],
    isQuick: true,
    edits: [
      {
        file: REPAIR,
        find: '    } else if (seat.lost !== null && seatsOf(pass, seat.slot).some((one) => isServing(membership, one))) {',
        replace: '    } else if (seat.lost !== null) {',
      },
      {
        file: REPAIR,
        find: '(intent?.remove?.seat === seat.id && intent.add !== null);',
        replace: 'false;',
      },
    ],
  },
  {
    name: 'replace-the-living',
    about: 'a member whose task is not heard of at once is given up',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: 'src/reconcile/evidence.ts',
        find: '  if (seat.absentMs < spec.unreachableTimeoutMs) return null;',
        replace: '',
      },
    ],
  },
  {
    name: 'stale-task-list',
    about: 'a task that the master has not told of yet is taken to have ended',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: 'src/reconcile/evidence.ts',
        find: '  if (!mesos.subscribed || evidence === undefined || mesos.unanswered.has(seat.task)) return;',
        replace: `  if (!mesos.subscribed) return;
  if (evidence === undefined || mesos.unanswered.has(seat.task)) {
    const atMs = pass.seen.wallMs;
    seat.taskEnd ??= { standing: 'ended', state: 'TASK_LOST', source: '', reason: '', message: '', atMs };
    return;
  }`,
      },
    ],
  },
  {
    name: 'orphans-left',
    about: 'a supervisor does not look for an etcd that outlived the one before it',
    shownBy: [74],
    edits: [
      {
        file: 'src/member/supervisor.ts',
        find: '    const { killed, foreign } = await options.orphans.sweep(signal);',
        replace:
          "    const { killed, foreign } = { killed: [], foreign: [] } as Awaited<ReturnType<Orphans['sweep']>>;",
      },
    ],
  },
  {
    name: 'bootstrap-over-what-runs',
    about: 'without a record a new cluster is begun, whatever the master shows',
    shownBy: [13],
    edits: [
      {
        file: 'src/framework/first-start.ts',
        find: '  if (findings.seats.length === 0) {',
        replace: '  if (findings.seats.length >= 0) {',
      },
    ],
  },
  {
    name: 'strangers-kept',
    about: 'reservations that the record does not know are left',
    shownBy: [254],
    edits: [
      {
        file: 'src/reconcile/strangers.ts',
        find: "  for (const { seat } of idle) pass.wants.push({ kind: 'release', seat, reason });",
        replace: '',
      },
    ],
  },
  {
    name: 'leaving-forgotten',
    about: 'a place on its way out is forgotten as soon as its task is over',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: 'src/reconcile/upkeep.ts',
        find: '  for (const { seat, reason } of pass.record.leaving) {',
        replace:
          "  pass.record.leaving = pass.record.leaving.filter(({ seat }) => evidenceOf(pass, seat.task)?.kind === 'alive');\n  for (const { seat, reason } of pass.record.leaving) {",
      },
      {
        file: 'src/reconcile/strangers.ts',
        find: "  for (const { seat } of idle) pass.wants.push({ kind: 'release', seat, reason });",
        replace: '',
      },
    ],
  },
  {
    name: 'never-suppressed',
    about: 'offers go on when nothing is wanted',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: 'src/framework/offer-interest.ts',
        find: "  if (!state.suppressed) calls.push({ type: 'SUPPRESS' });",
        replace: '',
      },
      {
        file: 'src/framework/offer-interest.ts',
        find: '    state: { ...next, suppressed: true },',
        replace: '    state: next,',
      },
    ],
  },
  {
    name: 'disturb-without-quorum',
    about: 'an operator may have a member restarted or paused whoever else is healthy',
    shownBy: [63],
    edits: [
      {
        file: 'src/reconcile/disruption.ts',
        find: '  const paused = pass.record.seats.find((other) => other.id !== seat.id && other.paused !== null);\n  if (paused',
        replace:
          '  if (pass.seen.wallMs > 0) return null;\n  const paused = pass.record.seats.find((other) => other.id !== seat.id && other.paused !== null);\n  if (paused',
      },
      {
        file: 'src/reconcile/disruption.ts',
        find: '  if (disruption?.seat === seat.id && disruption.forced) return null;',
        replace: '  if (disruption?.seat === seat.id) return null;',
      },
    ],
  },
  {
    name: 'spinning-loop',
    about: 'the loop wakes itself without anything to do',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: 'src/reconcile/pass.ts',
        find: 'const IDLE_WAKE_MS = 5_000;',
        replace: 'const IDLE_WAKE_MS = 5;',
      },
    ],
  },
  {
    name: 'unstarted-member-kept',
    about: 'a member that was added and never started stays listed',
    shownBy: [19],
    edits: [
      {
        file: REPAIR,
        find: '  const leftover = membership.members.find((member) => isUnexplained(pass, membership, member));',
        replace: '  const leftover = undefined as EtcdMember | undefined;',
      },
      {
        file: REPAIR,
        find: '  const joining = learnerOnItsWay(pass, membership);',
        replace: '  const joining = undefined as ReturnType<typeof learnerOnItsWay>;',
      },
    ],
  },
  {
    name: 'name-outlives-member',
    about: 'the name task of a member that is gone is forgotten, and left as a name task that nobody knows',
    shownBy: [17],
    edits: [
      {
        file: 'src/reconcile/upkeep.ts',
        find: 'export function letGo(pass: Pass, membership: Membership | null): void {',
        replace:
          'export function letGo(pass: Pass, membership: Membership | null): void {\n  for (const { seat } of pass.record.leaving) seat.nameTask = null;',
      },
      {
        file: 'src/reconcile/strangers.ts',
        find: '    const mayGo = isNameTaskId(task) ? current : whole;',
        replace: '    const mayGo = isNameTaskId(task) ? false : whole;',
      },
    ],
  },
  {
    name: 'two-changes-at-once',
    about: 'all lost voters are removed at once: the door for one change is open, and the desk gives several',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: REPAIR,
        find: '  if (pass.record.intent !== null) advance(pass, membership, pass.record.intent);',
        replace: `  for (const { seat, member } of lostVoters(pass, membership)) {
    const remove_ = { memberId: member.id, seat: seat.id };
    const intent = { id: seat.id, slot: seat.slot, reason: 'lost', openedAtMs: 0, committed: true, remove: remove_, add: null };
    if (pass.record.intent?.remove?.seat !== seat.id) remove(pass, membership, intent, member, 'lost');
  }
  if (pass.record.intent !== null) advance(pass, membership, pass.record.intent);`,
      },
      {
        file: 'src/reconcile/decide.ts',
        find: '    const first = !taken;',
        replace: '    const first = true;',
      },
      {
        file: 'src/framework/orders.ts',
        find: '    if (isClusterChange(action.body) && [...underWay.values()].some((body) => isClusterChange(body)))\n      return true;',
        replace: '',
      },
    ],
  },
  {
    name: 'asserted-for-ended',
    about: 'a task that is only said to be gone is taken to have ended',
    shownBy: [5],
    edits: [
      {
        file: 'src/framework/task-evidence.ts',
        find: "  const standing = rowOf(status.state, source, reason)?.standing ?? 'ignored';",
        replace: `  const known = rowOf(status.state, source, reason)?.standing ?? 'ignored';
  const standing = known === 'asserted' || known === 'unreachable' ? 'ended' : known;`,
      },
    ],
  },
  {
    name: 'timer-on-wall-clock',
    about: 'the patience with a member out of sight is counted by the wall clock, in steps of any length',
    shownBy: [10],
    edits: [
      {
        file: 'src/framework/scheduler.ts',
        find: 'elapsedMs: observedAtMs === null ? null : startMs - observedAtMs,',
        replace: 'elapsedMs: observedAtMs === null ? null : Math.max(0, wallMs - observedAtMs),',
      },
      {
        file: 'src/framework/scheduler.ts',
        find: '    observedAtMs = startMs;',
        replace: '    observedAtMs = wallMs;',
      },
      {
        file: 'src/framework/observe.ts',
        find: '    elapsedMs: Math.min(ELAPSED_MS_MAX, input.elapsedMs ?? 0),',
        replace: '    elapsedMs: input.elapsedMs ?? 0,',
      },
    ],
  },
  {
    name: 'destroy-while-listed',
    about: 'a place that is given up is given back without a look at the member list',
    shownBy: [1],
    isQuick: true,
    edits: [
      {
        file: REPAIR,
        find: '    if (needed || memberOf(membership, seat) !== undefined) continue;',
        replace: '',
      },
      {
        file: REPAIR,
        find: '    } else if (seat.lost !== null && seatsOf(pass, seat.slot).some((one) => isServing(membership, one))) {',
        replace: '    } else if (seat.lost !== null) {',
      },
    ],
  },
  {
    name: 'leaderless-given-up',
    about: 'a member that knows no leader is taken for broken',
    shownBy: [103],
    edits: [
      {
        file: 'src/reconcile/evidence.ts',
        find: "  if (status.phase === 'removed') {",
        replace: `  if (status.probe !== null && status.probe.leaderId === null) return { cause: 'data', message: 'no leader' };
  if (status.phase === 'removed') {`,
      },
    ],
  },
  {
    name: 'floor-ignored',
    about:
      'a member is started on whatever its volume holds, and nobody compares that with what it has reported',
    shownBy: [25],
    edits: [
      {
        file: SUPERVISOR_DECIDE,
        find: '  if (floor !== null && isBehind(view.floor, floor)) {',
        replace: '  if (floor !== null && view.cluster === view.slot) {',
      },
      {
        file: SUPERVISOR_DECIDE,
        find: '  if (look.confirmed && floor !== null && isBehind(position, floor)) {',
        replace: '  if (look.confirmed && floor !== null && view.cluster === view.slot) {',
      },
    ],
  },
  {
    name: 'generation-ignored',
    about: 'a supervisor carries out the orders of a scheduler after it has heard of a later one',
    shownBy: [286],
    edits: [
      {
        file: 'src/member/admission.ts',
        find: '  if (comparison < 0) {',
        replace: '  if (comparison < 0 && order.counter < 0) {',
      },
    ],
  },
  {
    name: 'compacted-beyond-the-window',
    about: 'a full database is compacted up to its newest revision',
    shownBy: [3],
    edits: [
      {
        file: 'src/reconcile/space.ts',
        find: 'BigInt(speaker.probe.revision) - BigInt(pass.spec.compactKeepRevisions);',
        replace: 'BigInt(speaker.probe.revision);',
      },
    ],
  },
  {
    name: 'disarmed-while-full',
    about: 'the alarm of a full database is let go, whether anything was freed or not',
    shownBy: [11],
    isQuick: true,
    edits: [
      {
        file: 'src/reconcile/space.ts',
        find: '  if (!isEnough || relief.waitedMs >= STEP_MS_MAX) giveUp(relief, fills);',
        replace: '  if (!isEnough && relief.waitedMs >= STEP_MS_MAX) giveUp(relief, fills);',
      },
    ],
  },
  {
    name: 'option-undoes-command',
    about: 'an option that stays the same has the size that an operator asked for taken back',
    shownBy: [13],
    edits: [
      {
        file: 'src/reconcile/scaling.ts',
        find: '  if (option === (record.sizeOption ?? record.size)) return;',
        replace: '  if (option === record.size) return;',
      },
    ],
  },
  ...ARCHIVE_MUTANTS,
];
