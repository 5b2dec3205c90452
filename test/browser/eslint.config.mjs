import js from '@eslint/js';

/** Ways to turn text into markup or code. The page has no use for any of them. */
const markup = ['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'setHTMLUnsafe', 'createContextualFragment', 'srcdoc']
    .map((name) => ({
        selector: `MemberExpression[property.name='${name}']`,
        message: 'Text goes into the page by textContent.',
    }));

const rules = {
    ...js.configs.recommended.rules,
    'no-undef': 'off', // tsc knows better
    'no-var': 'error',
    'prefer-const': 'error',
    'eqeqeq': 'error',
    'curly': 'error',
    'no-shadow': 'error',
    'no-implicit-coercion': 'error',
    'no-restricted-globals': ['error', 'event', 'name', 'status'],
    'max-len': ['error', { code: 120 }],
    'max-lines': ['error', 500],
    'max-lines-per-function': ['error', 60],
};

export default [
    {
        files: ['static/js/**/*.js'],
        languageOptions: { ecmaVersion: 2022, sourceType: 'module' },
        rules: {
            ...rules,
            'no-eval': 'error',
            'no-implied-eval': 'error',
            'no-new-func': 'error',
            'no-console': 'error',
            'no-restricted-syntax': ['error', ...markup],
            'no-restricted-properties': ['error', { object: 'document', property: 'write' }],
        },
    },
    {
        files: ['test/browser/**/*.mjs', 'test/clients/**/*.mjs'],
        languageOptions: { ecmaVersion: 2022, sourceType: 'module' },
        rules: { ...rules, 'max-lines-per-function': 'off' },
    },
];
