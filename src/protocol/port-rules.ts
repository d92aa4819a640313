import { contradiction, type OptionProblem } from './option-problem.ts';
import type { SchedulerOptions } from './options.ts';

/** Ports that are fixed must be different ones; 0 takes any. */
export function portRules({
  peerPort,
  clientPort,
  supervisorPort,
}: Pick<SchedulerOptions, 'peerPort' | 'clientPort' | 'supervisorPort'>): readonly OptionProblem[] {
  const ports = [
    ['--peer-port', peerPort],
    ['--client-port', clientPort],
    ['--supervisor-port', supervisorPort],
  ] as const;
  return ports.flatMap(([name, port], at) => {
    const other = ports.slice(0, at).find(([, taken]) => port !== 0 && taken === port);
    if (other === undefined) return [];
    const hint = 'Give each another port, or 0 for any.';
    return [contradiction(name, `${name} is ${port}, and so is ${other[0]}`, hint)];
  });
}
