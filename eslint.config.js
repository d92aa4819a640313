import tseslint from 'typescript-eslint';

// Biome holds the style; what needs types (promises above all) is held here. `no-unnecessary-condition` is not among
// it: to look at `signal.aborted` again after an await is necessary, and it takes that for a repetition.
export default tseslint.config(
  { ignores: ['dist', 'node_modules', '.cache', 'test/data', 'coverage'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.base],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
);
