// What the first page makes a browser load, compressed as it is sent, and the bound on it.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const MOST_JAVASCRIPT = 120_000;

const index = readFileSync('dist/index.html', 'utf8');
const sum = (ending) =>
  [...index.matchAll(/(?:src|href)="(\/[^"]+)"/g)]
    .map((match) => match[1])
    .filter((path) => path.endsWith(ending))
    .reduce((all, path) => all + gzipSync(readFileSync(`dist${path}`)).length, 0);

const javascript = sum('.js');
console.log(`First page: ${javascript} B of JavaScript gzipped (at most ${MOST_JAVASCRIPT}), ${sum('.css')} B of CSS`);
if (javascript > MOST_JAVASCRIPT) process.exit(1);
