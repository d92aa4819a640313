import path from 'node:path';
import ts from 'typescript';
import type { FolderRule, Touch } from './folder-table.ts';
import { type ProjectFile, parse } from './project-files.ts';

/** A place that breaks a rule. */
export interface Finding {
  readonly path: string;
  /** 1 is the first. */
  readonly line: number;
  readonly message: string;
}

/** Lines of the longest file that src/ may have: a reader wants a second name long before that. */
export const FILE_LINES_MAX = 600;

/** Everything that is wrong with the files, in their order. */
export function findViolations(
  files: readonly ProjectFile[],
  folders: readonly FolderRule[],
): readonly Finding[] {
  return files.flatMap((file) => [
    ...inText(file),
    ...(file.path.endsWith('.ts') ? inCode(file, folders) : []),
  ]);
}

// --- any text ----------------------------------------------------------------------------------------------

/** Written in two halves, so that this file does not find itself. */
const UNFINISHED = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`);
/** Somebody's home, or where a build machine keeps its work. */
const MACHINE_PATH = new RegExp(`(^|[\\s'"\`(=:])/(${['home/', 'Users/', 'root/', 'work/'].join('|')})\\w`);
const MUTED = new RegExp(`\\b(it|test|describe)\\.(${['on' + 'ly', 'to' + 'do'].join('|')})\\b`);

function inText(file: ProjectFile): readonly Finding[] {
  return file.text.split('\n').flatMap((text, index) => {
    const found = (message: string): Finding => ({ path: file.path, line: index + 1, message });
    const findings: Finding[] = [];
    const unfinished = UNFINISHED.exec(text)?.[1];
    if (unfinished !== undefined) findings.push(found(`${unfinished}: finish it`));
    if (MACHINE_PATH.test(text)) findings.push(found('a path of somebody’s machine'));
    if (file.path.startsWith('test/') && MUTED.test(text)) findings.push(found('a muted test'));
    return findings;
  });
}

// --- code --------------------------------------------------------------------------------------------------

function inCode(file: ProjectFile, folders: readonly FolderRule[]): readonly Finding[] {
  const source = parse(file);
  const found = (node: ts.Node, message: string): Finding => ({
    path: file.path,
    line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1,
    message,
  });
  const findings: Finding[] = [];
  const isOurs = file.path.startsWith('src/');
  const rule = folders.find(({ folder }) => file.path.startsWith(`${folder}/`));
  if (isOurs && rule === undefined) {
    findings.push(found(source, 'lies in no folder that docs/architecture.md knows'));
  }
  if (isOurs && file.text.split('\n').length > FILE_LINES_MAX + 1) {
    findings.push(found(source, `has more than ${FILE_LINES_MAX} lines`));
  }
  const declared = declaredNames(source);
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node);
    if (specifier !== null && rule !== undefined) {
      for (const message of importProblems(file.path, specifier, rule)) findings.push(found(node, message));
    }
    if (isOurs && isWholeZod(node)) {
      findings.push(found(node, "import * as z from 'zod': by name it brings every language to each start"));
    }
    if (isDefaultExport(node) && !/\.config\.[jt]s$/.test(file.path)) {
      findings.push(found(node, 'a default export: give it a name'));
    }
    if (isOurs) {
      if (rule?.folder !== 'src/runtime') {
        const ambient = ambientOf(node, declared);
        if (ambient !== null) findings.push(found(node, `${ambient}: take a port instead`));
      }
      if (rule?.folder !== 'src/cli' && textOfAccess(node)?.startsWith('console.') === true) {
        findings.push(found(node, 'console: take a Logger instead'));
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return findings;
}

/** The module that an import, an export or a dynamic import names. */
function specifierOf(node: ts.Node): string | null {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
    return node.moduleSpecifier !== undefined && ts.isStringLiteral(node.moduleSpecifier)
      ? node.moduleSpecifier.text
      : null;
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments;
    return argument !== undefined && ts.isStringLiteral(argument) ? argument.text : null;
  }
  return null;
}

const TOUCHING: Readonly<Record<string, Touch>> = {
  'node:fs': 'files',
  'node:fs/promises': 'files',
  'node:os': 'files',
  'node:child_process': 'processes',
  'node:cluster': 'processes',
  'node:worker_threads': 'processes',
  'node:net': 'sockets',
  'node:tls': 'sockets',
  'node:http': 'sockets',
  'node:https': 'sockets',
  'node:http2': 'sockets',
  'node:dgram': 'sockets',
  'node:dns': 'sockets',
  'node:dns/promises': 'sockets',
};
/** Decisions and what all else stands on: not even node itself or a package. */
const BARE_FOLDERS = ['src/base', 'src/reconcile'];

function importProblems(importer: string, specifier: string, rule: FolderRule): readonly string[] {
  if (!specifier.startsWith('.')) {
    if (BARE_FOLDERS.includes(rule.folder))
      return [`${rule.folder} imports no modules from outside: ${specifier}`];
    const touch = TOUCHING[specifier];
    if (touch === undefined || rule.mayTouch === 'everything' || rule.mayTouch.has(touch)) return [];
    return [`${rule.folder} may not touch ${touch}: ${specifier}`];
  }
  const target = path.posix.join(path.posix.dirname(importer), specifier);
  const [top = '', folder = ''] = target.split('/');
  if (top !== 'src') return [`src imports ${target}, which is not shipped`];
  const own = `src/${folder}` === rule.folder;
  if (own || (folder === 'base' && rule.folder !== 'src/base')) return [];
  const allowed = rule.mayImport === 'anything' ? folder !== rule.except : rule.mayImport.has(folder);
  return allowed ? [] : [`${rule.folder} may not import src/${folder}`];
}

/** `import { z } from 'zod'` keeps in a bundle all that zod has. */
function isWholeZod(node: ts.Node): boolean {
  if (!ts.isImportDeclaration(node) || specifierOf(node) !== 'zod') return false;
  const bindings = node.importClause?.namedBindings;
  return bindings !== undefined && ts.isNamedImports(bindings);
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true;
  const modifiers = ts.canHaveModifiers(node) ? (ts.getModifiers(node) ?? []) : [];
  return modifiers.some((modifier) => modifier.kind === ts.SyntaxKind.DefaultKeyword);
}

// --- what is taken from around, not from an argument ---------------------------------------------------------

const AMBIENT_NAMES = new Set(['setTimeout', 'setInterval', 'fetch', 'randomUUID', 'performance']);
const AMBIENT_MEMBERS = new Set([
  'Date.now',
  'Math.random',
  'AbortSignal.timeout',
  'crypto.randomUUID',
  'crypto.getRandomValues',
  'process.hrtime',
]);
const AMBIENT_MODULES = new Set(['node:timers', 'node:timers/promises', 'node:perf_hooks']);

function ambientOf(node: ts.Node, declared: ReadonlySet<string>): string | null {
  const access = textOfAccess(node);
  if (access !== null) {
    const text = access.replace(/^globalThis\./, '');
    if (AMBIENT_MEMBERS.has(text) || (access !== text && AMBIENT_NAMES.has(text))) return text;
  }
  if (ts.isNewExpression(node) && node.expression.getText() === 'Date' && !node.arguments?.length) {
    return 'new Date()';
  }
  if (ts.isImportSpecifier(node) && (node.propertyName ?? node.name).text === 'randomUUID')
    return 'randomUUID';
  const specifier = specifierOf(node);
  if (specifier !== null && AMBIENT_MODULES.has(specifier)) return specifier;
  if (
    ts.isIdentifier(node) &&
    AMBIENT_NAMES.has(node.text) &&
    isReference(node) &&
    !declared.has(node.text)
  ) {
    return node.text;
  }
  return null;
}

/** `a.b.c` where it is nothing but names. */
function textOfAccess(node: ts.Node): string | null {
  if (!ts.isPropertyAccessExpression(node)) return null;
  const text = node.getText().replace(/\s/g, '');
  return /^[\w.]+$/.test(text) ? text : null;
}

/** A name that stands for a value, not for a member of something or for a key. */
function isReference(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isPropertyAssignment(parent)) return parent.initializer === node;
  return !(
    ts.isMethodDeclaration(parent) ||
    ts.isMethodSignature(parent) ||
    ts.isPropertySignature(parent) ||
    ts.isPropertyDeclaration(parent) ||
    ts.isQualifiedName(parent) ||
    ts.isTypeReferenceNode(parent)
  );
}

/** Names that the file gives a meaning of its own. */
function declaredNames(source: ts.SourceFile): ReadonlySet<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    const declares =
      ts.isVariableDeclaration(node) ||
      ts.isParameter(node) ||
      ts.isBindingElement(node) ||
      ts.isFunctionDeclaration(node);
    if (declares && node.name !== undefined && ts.isIdentifier(node.name)) names.add(node.name.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return names;
}
