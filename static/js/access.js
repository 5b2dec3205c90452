/**
 * By what the page is let in. `name`: the tenant's name alone (`open`); `key`: an API key; `token`: a user's token;
 * `bearer`: a JSON Web Token.
 *
 * @typedef {{tenant: string, kind: 'name' | 'key' | 'token' | 'bearer', secret: string}} Access
 */

/** @typedef {Exclude<Access['kind'], 'name'>} SecretKind */

/** @typedef {'open' | 'token' | 'key'} Auth the server's mode */

/**
 * What is asked for where a tenant's name is not enough: in the field, and where nothing was pasted.
 *
 * @param {Auth} [auth] where that is known
 */
export function askingFor(auth) {
    return auth === 'token' ? { placeholder: 'Token', empty: 'Paste a token.' }
        : { placeholder: 'API key or token', empty: 'Paste a key or a token.' };
}

/** @type {Record<SecretKind, (secret: string) => [string, string]>} */
const HEADER = {
    key: (secret) => ['X-API-Key', secret],
    token: (secret) => ['X-User-Token', secret],
    bearer: (secret) => ['Authorization', `Bearer ${secret}`],
};

/**
 * What a request shows.
 *
 * @param {Access} access an empty `tenant` leaves it to the credential
 * @returns {Record<string, string>}
 */
export function headersOf({ tenant, kind, secret }) {
    /** @type {Record<string, string>} */
    const headers = tenant === '' ? {} : { 'X-Tenant-ID': tenant };
    if (kind !== 'name') {
        const [name, value] = HEADER[kind](secret);
        headers[name] = value;
    }
    return headers;
}

/**
 * What a WebSocket's handshake shows, which can't have headers of the page's own.
 *
 * @param {Access} access
 * @returns {[string, string][]}
 */
export function parametersOf({ tenant, kind, secret }) {
    /** @type {[string, string][]} */
    const parameters = [['tenant', tenant]];
    if (kind !== 'name') {
        parameters.push([kind === 'key' ? 'api_key' : 'token', secret]);
    }
    return parameters;
}

/**
 * The kinds that a pasted credential may be of, likeliest first: its form suggests one, the server decides.
 *
 * @param {string} secret
 * @param {Auth} [auth] where that is known
 * @returns {SecretKind[]}
 */
export function kindsOf(secret, auth) {
    if (auth === 'token') {
        return ['token'];
    }
    if (auth === 'key') {
        return secret.startsWith('car_') ? ['key'] : ['bearer', 'key'];
    }
    if (secret.startsWith('car_')) {
        return ['key', 'token', 'bearer'];
    }
    return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(secret) ? ['bearer', 'token', 'key'] : ['token', 'key', 'bearer'];
}
