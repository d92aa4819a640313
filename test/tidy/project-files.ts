import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

/** A file of the project by its path from the root, with slashes. */
export interface ProjectFile {
  readonly path: string;
  readonly text: string;
}

export const projectRoot = path.resolve(import.meta.dirname, '../..');

const TOP_FOLDERS = ['.ci', 'bench', 'docker', 'docs', 'package', 'scripts', 'src', 'test'];
/** Files at the top that nobody writes; `.git` is one in a worktree. */
const NOT_WRITTEN = ['package-lock.json', '.git'];
/** Recorded by others, byte for byte. */
const RECORDED = 'test/data';
const BINARY = /\.(png|gz|db|snap|wal|bin)$/;

/** Every text file that people write here, sorted by path. */
export function readProject(root = projectRoot): readonly ProjectFile[] {
  const paths = readdirSync(root, { withFileTypes: true })
    .flatMap((entry) => {
      if (entry.isFile()) return NOT_WRITTEN.includes(entry.name) ? [] : [entry.name];
      return TOP_FOLDERS.includes(entry.name) ? filesBelow(root, entry.name) : [];
    })
    .filter((file) => !file.startsWith(`${RECORDED}/`) && !BINARY.test(file) && !file.endsWith('.log'))
    .sort();
  return paths.map((file) => ({ path: file, text: readFileSync(path.join(root, file), 'utf8') }));
}

export function parse(file: ProjectFile): ts.SourceFile {
  return ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true);
}

function filesBelow(root: string, folder: string): readonly string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)));
}
