import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const scripts = fileURLToPath(new URL('../../../static/js', import.meta.url));

/**
 * The page's modules for node, which takes `.js` for ES modules only where a package.json says so; static/ has none,
 * for all that lies there is served.
 *
 * @returns {Promise<{load: (name: string) => Promise<any>, remove: () => Promise<void>}>}
 */
export async function pageModules() {
    const folder = await mkdtemp(join(tmpdir(), 'carillon-page-'));
    await cp(scripts, folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), '{"type": "module"}');
    return {
        load: (name) => import(pathToFileURL(join(folder, name)).href),
        remove: () => rm(folder, { recursive: true }),
    };
}
