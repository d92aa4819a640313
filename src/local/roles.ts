/** Why `role` is no role for Mesos; `null` when it is one. `a/b` is a role below `a`. */
export function roleProblem(role: string): string | null {
  if (role === '*') return null;
  if (role === '') return 'Empty role name is invalid';
  if (role.startsWith('/')) return `Role '${role}' cannot start with a slash`;
  if (role.endsWith('/')) return `Role '${role}' cannot end with a slash`;
  if (role.includes('//')) return `Role '${role}' cannot contain two adjacent slashes`;
  for (const part of role.split('/')) {
    if (part === '.' || part === '..' || part === '*')
      return `Role '${role}' cannot include '${part}' as a component`;
    if (part.startsWith('-')) return `Role component '${part}' is invalid because it begins with a dash`;
    if (/[\s\\]/.test(part))
      return `Role component '${part}' is invalid: it contains white space or a backslash`;
  }
  return null;
}
