import ts from 'typescript';
import { type ProjectFile, parse } from './project-files.ts';

/** One subclass of CodedError as its source tells it. */
export interface ErrorClass {
  readonly name: string;
  /** The file that declares it. */
  readonly path: string;
  /** Its TSDoc, one line; empty without. */
  readonly about: string;
  readonly codes: readonly ErrorCode[];
}
export interface ErrorCode {
  readonly code: string;
  /** The comment above the code, where there is one. */
  readonly about: string;
  /** Messages that are made with it, `…` where something is put in. */
  readonly messages: readonly string[];
  readonly hints: readonly string[];
}

/** Every error class of src/, by name. */
export function collectErrors(files: readonly ProjectFile[]): readonly ErrorClass[] {
  const sources = files.filter((file) => /^src\/.*\.ts$/.test(file.path)).map((file) => parse(file));
  const uses = sources.flatMap(constructionsIn);
  const aliases = new Map(sources.flatMap(unionsIn));
  return sources
    .flatMap((source) => classesIn(source))
    .map(({ node, source }) => describeClass(node, source, aliases, uses))
    .sort((left, right) => (left.name < right.name ? -1 : 1));
}

/** The text of docs/errors.md. */
export function renderErrors(classes: readonly ErrorClass[]): string {
  const head = [
    '# Errors',
    '',
    'Every error that etcd-mesos makes on purpose has a class, a code that stays the same over releases, a message',
    'and mostly a hint. This page is made from the sources by `npm run docs`; `…` stands for what is put in.',
  ];
  return `${[...head, ...classes.flatMap(renderClass)].join('\n')}\n`;
}

function renderClass(error: ErrorClass): readonly string[] {
  const rows = error.codes.map((code) => {
    const meaning = [code.about, ...code.messages.map((message) => `“${message}”`)].filter(Boolean);
    return `| \`${code.code}\` | ${cell(meaning)} | ${cell(code.hints)} |`;
  });
  return [
    '',
    `## ${error.name}`,
    '',
    `${error.about === '' ? '' : `${error.about} `}(\`${error.path}\`)`,
    '',
    '| code | what happened | what to do |',
    '| --- | --- | --- |',
    ...rows,
  ];
}

function cell(parts: readonly string[]): string {
  return parts.join('<br>').replaceAll('|', '\\|').replaceAll('\n', ' ');
}

// --- reading the sources -------------------------------------------------------------------------------------

interface Construction {
  readonly className: string;
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

function classesIn(source: ts.SourceFile): readonly { node: ts.ClassDeclaration; source: ts.SourceFile }[] {
  return source.statements.filter(ts.isClassDeclaration).flatMap((node) => {
    const base = node.heritageClauses?.[0]?.types[0]?.expression.getText(source);
    return base === 'CodedError' ? [{ node, source }] : [];
  });
}

function describeClass(
  node: ts.ClassDeclaration,
  source: ts.SourceFile,
  aliases: ReadonlyMap<string, ts.TypeNode>,
  uses: readonly Construction[],
): ErrorClass {
  const name = node.name?.text ?? '';
  const argument = node.heritageClauses?.[0]?.types[0]?.typeArguments?.[0];
  const codes = argument === undefined ? [] : codesOf(argument, aliases);
  if (codes.length === 0) throw new Error(`the codes of ${name} in ${source.fileName} were not understood`);
  return {
    name,
    path: source.fileName,
    about: docOf(node),
    codes: codes.map(({ code, about }) => {
      const made = uses.filter((use) => use.className === name && use.code === code);
      return {
        code,
        about,
        messages: [...new Set(made.map((use) => use.message))].filter(Boolean),
        hints: [...new Set(made.map((use) => use.hint))].filter(Boolean),
      };
    }),
  };
}

/** The literals of a union, through names and through `Alias['property']`. */
function codesOf(
  node: ts.TypeNode,
  aliases: ReadonlyMap<string, ts.TypeNode>,
): readonly { readonly code: string; readonly about: string }[] {
  if (ts.isUnionTypeNode(node)) return node.types.flatMap((type) => codesOf(type, aliases));
  if (ts.isParenthesizedTypeNode(node)) return codesOf(node.type, aliases);
  if (ts.isLiteralTypeNode(node) && ts.isStringLiteral(node.literal)) {
    return [{ code: node.literal.text, about: commentAbove(node) }];
  }
  const target =
    ts.isIndexedAccessTypeNode(node) || ts.isTypeReferenceNode(node)
      ? aliases.get(node.getText())
      : undefined;
  return target === undefined ? [] : codesOf(target, aliases);
}

/** Named types, and the properties of named interfaces as `Name['property']`. */
function unionsIn(source: ts.SourceFile): readonly (readonly [string, ts.TypeNode])[] {
  return source.statements.flatMap((statement) => {
    if (ts.isTypeAliasDeclaration(statement)) return [[statement.name.text, statement.type] as const];
    if (!ts.isInterfaceDeclaration(statement)) return [];
    return statement.members.flatMap((member) =>
      ts.isPropertySignature(member) && member.type !== undefined
        ? [[`${statement.name.text}['${member.name.getText(source)}']`, member.type] as const]
        : [],
    );
  });
}

function constructionsIn(source: ts.SourceFile): readonly Construction[] {
  const constructions: Construction[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isNewExpression(node) && ts.isIdentifier(node.expression)) {
      const [code, message, options] = node.arguments ?? [];
      if (code !== undefined && ts.isStringLiteral(code) && message !== undefined) {
        constructions.push({
          className: node.expression.text,
          code: code.text,
          message: templateOf(message),
          hint: hintIn(options),
        });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return constructions;
}

function hintIn(options: ts.Expression | undefined): string {
  if (options === undefined || !ts.isObjectLiteralExpression(options)) return '';
  const hint = options.properties.find(
    (property) => ts.isPropertyAssignment(property) && property.name.getText() === 'hint',
  );
  return hint !== undefined && ts.isPropertyAssignment(hint) ? templateOf(hint.initializer) : '';
}

/** Text as far as the source holds it; empty where nothing of it does. */
function templateOf(node: ts.Expression): string {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isTemplateExpression(node)) {
    return node.head.text + node.templateSpans.map((span) => `…${span.literal.text}`).join('');
  }
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
    return templateOf(node.left) + templateOf(node.right);
  }
  return '';
}

function docOf(node: ts.Node): string {
  const [doc] = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  const text = doc === undefined ? '' : (ts.getTextOfJSDocComment(doc.comment) ?? '');
  return text.replace(/\s+/g, ' ').trim();
}

/** The TSDoc before a member of a union, which has no place of its own in the syntax tree. */
function commentAbove(node: ts.Node): string {
  const text = node.getSourceFile().text;
  const start = node.getFullStart();
  // A leading `|` stands between the comment and the literal.
  const before = text.slice(0, start).replace(/\|\s*$/, '');
  const comment = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*$/.exec(before)?.[1] ?? '';
  return comment
    .replace(/^\s*\*/gm, '')
    .replace(/\s+/g, ' ')
    .trim();
}
