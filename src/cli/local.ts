import type { Command } from 'commander';
import { register as registerRoles } from './local-roles.ts';
import { registerUp } from './local-up.ts';

/** `etcd-mesos local`: the trial, and the processes that it is made of. */
export function register(command: Command): void {
  registerUp(command);
  registerRoles(command);
}
