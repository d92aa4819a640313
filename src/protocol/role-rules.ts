import { contradiction, type OptionProblem } from './option-problem.ts';
import type { GivenOptions } from './options.ts';

/**
 * The role that the members' places are reserved for. DC/OS passes what its groups ask for to every task of
 * Marathon: where a group enforces its role, nothing else counts to its quota.
 */
export function roleOf(given: GivenOptions, foldedName: string): string {
  const base = given.role ?? groupRoleOf(given) ?? `${foldedName}-role`;
  const above = given.preReservedRole;
  return above === null || base.startsWith(`${above}/`) ? base : `${above}/${base}`;
}

/** Roles that say nothing of a group: everybody's, and the one of DC/OS' public agents. */
const NO_GROUP: ReadonlySet<string> = new Set(['*', 'slave_public']);

function groupRoleOf({ groupRole, enforceGroupRole }: GivenOptions): string | null {
  if (groupRole === null || groupRole === '*') return null;
  return enforceGroupRole === 'true' || !NO_GROUP.has(groupRole) ? groupRole : null;
}

export function roleRules(given: GivenOptions): readonly OptionProblem[] {
  const { role, groupRole, enforceGroupRole } = given;
  if (enforceGroupRole !== 'true') return [];
  const group = groupRoleOf(given);
  if (group === null) {
    return [
      contradiction(
        '--enforce-group-role',
        `--enforce-group-role is true, and --group-role is ${groupRole === null ? 'not given' : `"${groupRole}"`}`,
        'Name the group’s role: DC/OS does so in MESOS_ALLOCATION_ROLE. Or leave --enforce-group-role out.',
      ),
    ];
  }
  if (role === null || role === group) return [];
  return [
    contradiction(
      '--role',
      `--role is "${role}", but the group enforces its own role, "${group}": other roles do not count to its quota`,
      `Leave --role out or give --role ${group}; or have the group not enforce its role.`,
    ),
  ];
}
