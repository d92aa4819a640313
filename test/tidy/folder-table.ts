/** What docs/architecture.md allows a folder of src/. */
export interface FolderRule {
  /** `src/mesos` */
  readonly folder: string;
  /** Folders of src/ by name, besides base. */
  readonly mayImport: 'anything' | ReadonlySet<string>;
  /** The one folder that is excepted from `anything`. */
  readonly except: string | null;
  readonly mayTouch: 'everything' | ReadonlySet<Touch>;
}
export type Touch = 'files' | 'processes' | 'sockets';

/** Reads the table under the heading "Folders". Throws when a row is not understood. */
export function parseFolderTable(markdown: string): readonly FolderRule[] {
  const section = /^## Folders$([\s\S]*?)^## /m.exec(markdown)?.[1];
  if (section === undefined) throw new Error('docs/architecture.md has no section "Folders"');
  const rows = section.split('\n').filter((line) => line.startsWith('| `src/'));
  if (rows.length === 0) throw new Error('docs/architecture.md has no row for any folder of src/');
  return rows.map(parseRow);
}

function parseRow(row: string): FolderRule {
  const cells = row.split('|').map((cell) => cell.trim());
  const [, folder = '', , imports = '', touches = ''] = cells;
  if (cells.length !== 6) throw new Error(`a row of four cells was expected: ${row}`);
  const except = /^all but (\w+)$/.exec(imports)?.[1] ?? null;
  return {
    folder: folder.replaceAll('`', '').replace(/\/$/, ''),
    mayImport: except === null ? new Set(namesIn(imports)) : 'anything',
    except,
    mayTouch: touches === 'everything' ? 'everything' : new Set(namesIn(touches).map(touchOf)),
  };
}

function namesIn(cell: string): readonly string[] {
  return cell === 'nothing' ? [] : cell.split(',').map((name) => name.trim());
}

function touchOf(name: string): Touch {
  if (name === 'files' || name === 'processes' || name === 'sockets') return name;
  throw new Error(`"${name}" is none of files, processes, sockets`);
}
