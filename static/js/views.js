import { byId, make } from './dom.js';

/**
 * What the script of a view exports. The feed is index.html's own and goes on whichever view is shown; the others come
 * from js/FOLDER/main.js with css/FOLDER.css, fetched when they are first shown.
 *
 * @typedef {object} ViewModule
 * @property {(host: HTMLElement) => void} show it is shown from now on. `host` is its own <main>, the same each time:
 *     empty at first, and then as it left it. The host may have the focus; what is in it must not take that by itself.
 * @property {() => void} hide another one is shown from now on
 */

/** @typedef {{host: HTMLElement, module: ViewModule | null}} View */

/** The folders of the views that are fetched, by name: the address's part after `#`. @type {Record<string, string>} */
const FOLDERS = { isolation: 'isolation', administration: 'admin' };
const FEED = 'feed';

/** Which of the views is shown: the one that the address names, the feed where it names none. */
export class Views {
    #links = byId('views', HTMLElement).querySelectorAll('a');
    #feed = byId('main', HTMLElement);
    #panes = byId('panes', HTMLElement);
    #current = FEED;
    /** Those that have been shown. @type {Map<string, View>} */
    #views = new Map();

    constructor() {
        window.addEventListener('hashchange', () => {
            if (this.#turnTo(nameIn(location.hash, this.#current))) {
                this.#main.focus();
            }
        });
        byId('skip', HTMLAnchorElement).addEventListener('click', (event) => {
            if (this.#current !== FEED) {
                event.preventDefault();
                this.#main.focus();
            }
        });
        this.#turnTo(nameIn(location.hash, FEED));
    }

    get current() {
        return this.#current;
    }

    /** @param {string} name */
    show(name) {
        if (this.#turnTo(name)) {
            history.pushState(null, '', `#${name}`);
        }
    }

    get #main() {
        return this.#views.get(this.#current)?.host ?? this.#feed;
    }

    /** @param {string} name of a view; whether it is another than before */
    #turnTo(name) {
        if (name === this.#current) {
            return false;
        }
        const before = this.#views.get(this.#current);
        if (before) {
            before.host.hidden = true;
            before.module?.hide();
        }
        this.#current = name;
        this.#feed.hidden = name !== FEED;
        this.#panes.hidden = name !== FEED;
        for (const link of this.#links) {
            if (link.hash === `#${name}`) {
                link.setAttribute('aria-current', 'page');
            } else {
                link.removeAttribute('aria-current');
            }
        }
        if (name !== FEED) {
            this.#open(name);
        }
        return true;
    }

    /** @param {string} name */
    #open(name) {
        const view = this.#views.get(name) ?? this.#make(name);
        view.host.hidden = false;
        if (view.module) {
            view.module.show(view.host);
        } else {
            this.#load(name, view);
        }
    }

    /** @param {string} name */
    #make(name) {
        const host = make('main', 'view');
        host.id = `view-${name}`;
        host.tabIndex = -1;
        this.#feed.after(host);
        /** @type {View} */
        const view = { host, module: null };
        this.#views.set(name, view);
        return view;
    }

    /**
     * @param {string} name
     * @param {View} view
     */
    async #load(name, view) {
        const { host } = view;
        host.replaceChildren(make('p', 'empty', 'Loading…'));
        host.ariaBusy = 'true';
        try {
            const folder = FOLDERS[name];
            const [module] = await Promise.all([import(`./${folder}/main.js`), dress(`css/${folder}.css`)]);
            if (view.module === null) { // else it was asked for once more meanwhile, and that was quicker
                view.module = module;
                host.replaceChildren();
                if (this.#current === name) {
                    module.show(host);
                }
            }
        } catch {
            const again = make('button', 'plain', 'Try again');
            again.type = 'button';
            again.addEventListener('click', () => {
                host.focus();
                this.#load(name, view);
            });
            const text = make('p', 'empty', 'This part of the page can’t be loaded. ');
            text.role = 'alert';
            text.append(again);
            host.replaceChildren(text);
        }
        host.ariaBusy = null;
    }
}

/**
 * @param {string} hash
 * @param {string} otherwise where it names no view, as that of a link within the page
 */
function nameIn(hash, otherwise) {
    const name = hash.slice(1);
    return name === '' || name === FEED ? FEED : Object.hasOwn(FOLDERS, name) ? name : otherwise;
}

/**
 * Fetches a style sheet, once.
 *
 * @param {string} href
 * @returns {Promise<void>} when it is there
 */
function dress(href) {
    if (document.head.querySelector(`link[href="${href}"]`)) {
        return Promise.resolve();
    }
    const link = make('link');
    link.rel = 'stylesheet';
    link.href = href;
    return new Promise((resolve, reject) => {
        link.addEventListener('load', () => resolve());
        link.addEventListener('error', () => {
            link.remove();
            reject(new Error(`${href} can't be loaded`));
        });
        document.head.append(link);
    });
}
