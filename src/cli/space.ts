import type { Command } from 'commander';
import { type SpaceAnswer, spaceAnswerSchema } from '../protocol/space-answer.ts';
import { formatBytes } from './amounts.ts';
import { connect } from './operation.ts';
import { schedulerAddress, tokenFile } from './scheduler-address.ts';

interface Flags {
  readonly scheduler: string;
  readonly tokenFile?: string;
  readonly json?: true;
}

/** `etcd-mesos space`: how full etcd's databases are, and with what. */
export function register(command: Command): void {
  command
    .option('--json', 'print what the API answers')
    .addOption(schedulerAddress())
    .addOption(tokenFile())
    .addHelpText(
      'after',
      '\nSizes of prefixes are of keys and values that are live now, read from one member for some seconds; what was' +
        '\nsuperseded and not compacted yet, and free pages, come on top in the file. Names of keys are data: from' +
        '\nanother machine it takes the API token.',
    )
    .action(async (flags: Flags) => {
      const text = await (await connect({ ...flags, wait: false })).text('/v1/space');
      if (flags.json === true) process.stdout.write(text);
      else process.stdout.write(spaceTable(spaceAnswerSchema.parse(JSON.parse(text))));
    });
}

/** For people. Pure. */
export function spaceTable({ members, prefixes }: SpaceAnswer): string {
  const rows = members.map((member) => [
    member.slot + (member.leader ? ' (leads)' : ''),
    formatBytes(member.dbSizeBytes),
    sizeOf(member.dbSizeInUseBytes),
    partOf(member.dbSizeBytes - (member.dbSizeInUseBytes ?? member.dbSizeBytes), member.dbSizeBytes),
    sizeOf(member.quotaBytes),
    partOf(member.dbSizeInUseBytes, member.quotaBytes),
    [
      ...member.alarms.map(({ alarm, memberId }) => `${alarm} of ${memberId}`),
      ...(member.busy === null ? [] : [member.busy]),
    ].join(', ') || '-',
  ]);
  const head = ['member', 'file', 'in use', 'free', 'quota', 'used', 'alarms'];
  return `${columns([head, ...rows])}\n${prefixLines(prefixes)}`;
}

function prefixLines(prefixes: SpaceAnswer['prefixes']): string {
  if ('problem' in prefixes) return `the largest prefixes are not known: ${prefixes.problem}\n`;
  const { report, slot } = prefixes;
  const whole = `${report.keys} live keys, ${formatBytes(report.bytes)} of keys and values, as ${slot} has them`;
  const upTo = report.complete ? '' : `; read up to ${printable(report.lastKey ?? '')} in the time there was`;
  const rows = report.prefixes.map(({ prefix, keys, bytes }) => [
    formatBytes(bytes),
    partOf(bytes, report.bytes),
    String(keys),
    printable(prefix),
  ]);
  return `${whole}${upTo}\n${rows.length === 0 ? '' : columns([['bytes', 'part', 'keys', 'prefix'], ...rows])}`;
}

const sizeOf = (bytes: number | null): string => (bytes === null ? '-' : formatBytes(bytes));
const partOf = (part: number | null, whole: number | null): string =>
  part === null || whole === null || whole === 0 ? '-' : `${Math.round((100 * part) / whole)} %`;
/** A key is any bytes: none of them moves a terminal's cursor. */
const printable = (text: string): string => text.replace(/\p{C}/gu, '�');

function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
