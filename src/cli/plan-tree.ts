import type { PublishedPlan } from '../protocol/view.ts';

/** A plan as the command line of DC/OS shows it: its phases and their steps as a tree, then what went wrong. */
export function planTree(plan: PublishedPlan): string {
  const { phases, errors, paused } = plan;
  const lines = [`${plan.name} (${plan.strategy} strategy) (${plan.status})`];
  for (const [at, phase] of phases.entries()) {
    const isLast = at === phases.length - 1;
    lines.push(`${isLast ? '└─' : '├─'} ${phase.name} (${phase.strategy} strategy) (${phase.status})`);
    for (const [index, { name, status, message }] of phase.steps.entries()) {
      const branch = index === phase.steps.length - 1 ? '└─' : '├─';
      const isPlain = status === 'COMPLETE' && name.startsWith(message);
      lines.push(`${isLast ? ' ' : '│'}  ${branch} ${name} (${status})${isPlain ? '' : `: ${message}`}`);
    }
  }
  if (paused !== undefined) {
    lines.push('', `Paused by ${paused.by} since ${new Date(paused.atMs).toISOString()}`);
  }
  if (errors.length > 0) lines.push('', 'Errors:', ...errors.map((error) => `- ${error}`));
  return lines.map((line) => `${line}\n`).join('');
}
