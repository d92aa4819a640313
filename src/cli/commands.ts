import type { Command } from 'commander';

/** A file of this folder that holds one command: it declares options and arguments and the action. */
export interface CommandModule {
  register(command: Command): void;
}

/** One word after `etcd-mesos`. Its file is loaded only when the word is typed: a member's start stays short. */
export interface CommandEntry {
  readonly name: string;
  /** One line for `etcd-mesos --help`. */
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
}

/** In the order in which `etcd-mesos --help` lists them. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'scheduler',
    summary: 'run the framework’s scheduler: it places, watches and repairs the members',
    load: () => import('./scheduler.ts'),
  },
  {
    name: 'status',
    summary: 'show how the cluster is, its members, and what is in progress or in the way',
    load: () => import('./status.ts'),
  },
  {
    name: 'endpoints',
    summary: 'print where clients and peers reach the cluster',
    load: () => import('./endpoints.ts'),
  },
  {
    name: 'pod',
    summary: 'restart, replace, pause or resume a member, one at a time and never against the quorum',
    load: () => import('./pod.ts'),
  },
  {
    name: 'leader',
    summary: 'hand leadership to another member',
    load: () => import('./leader.ts'),
  },
  {
    name: 'debug',
    summary: 'show what the scheduler sees: offers, and why they were taken or not',
    load: () => import('./debug.ts'),
  },
  {
    name: 'update',
    summary: 'bring members to other options, resources or another etcd, one after the other',
    load: () => import('./update.ts'),
  },
  {
    name: 'plan',
    summary: 'show what is done in phases and steps; hold it, go on, force a step',
    load: () => import('./plan.ts'),
  },
  {
    name: 'scale',
    summary: 'have more members or fewer: 1, 3, 5 or 7',
    load: () => import('./scale.ts'),
  },
  {
    name: 'space',
    summary: 'show how full the databases are, and the largest prefixes of keys',
    load: () => import('./space.ts'),
  },
  {
    name: 'defragment',
    summary: 'give what is free in members’ databases back, one member at a time',
    load: () => import('./defragment.ts'),
  },
  {
    name: 'alarm',
    summary: 'show etcd’s alarms, or let one go',
    load: () => import('./alarm.ts'),
  },
  {
    name: 'backup',
    summary: 'have the scheduler take a backup; look at the archive, and check every byte of it',
    load: () => import('./backup.ts'),
  },
  {
    name: 'restore',
    summary: 'make a snapshot or a data directory of any archived revision or time; needs no scheduler',
    load: () => import('./restore.ts'),
  },
  {
    name: 'uninstall',
    summary: 'give the service up: end its members, destroy their data, leave nothing in Mesos',
    load: () => import('./uninstall.ts'),
  },
  {
    name: 'run-member',
    summary: 'supervise one etcd: what a member’s Mesos task runs, told everything by its launch',
    load: () => import('./run-member.ts'),
  },
  {
    name: 'local',
    summary: 'a Mesos of this machine: a master and agents that run real processes, for trial and tests',
    load: () => import('./local.ts'),
  },
];
