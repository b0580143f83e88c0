// What of a request differs between Node and Hono, so that it is left to Hono: doubled headers and rare forms of hosts.
import type { IncomingMessage } from 'node:http';

/**
 * Whether a header is there twice. Node keeps the first one of some headers and joins others, and Hono joins all.
 */
export function hasDoubledHeader({ rawHeaders, headers }: IncomingMessage): boolean {
  let names = 0;
  for (const _ in headers) names += 1;
  return 2 * names !== rawHeaders.length;
}

/** A host that is the same in every URL: a name or an IPv4 address in lower case, optionally with a port. */
const ORDINARY_HOST = /^[a-z0-9._-]+(?::[1-9]\d{0,4})?$/;

/** Maximum hosts that are kept. Above this limit all are dropped. */
const MAX_KEPT_HOSTS = 100;

/** Maximum length of a host that is kept, in characters. */
const MAX_HOST_LENGTH = 255;

/** Finds out whether a host needs no correction. The answers are kept, because all devices use the same few hosts. */
export function createOrdinaryHosts(): (host: string | undefined) => boolean {
  const kept = new Map<string, boolean>();
  return (host = '') => {
    const known = kept.get(host);
    if (known !== undefined) return known;
    if (host.length > MAX_HOST_LENGTH) return false;
    const url = `http://${host}/`;
    const isOrdinary = ORDINARY_HOST.test(host) && URL.canParse(url) && new URL(url).host === host;
    if (kept.size >= MAX_KEPT_HOSTS) kept.clear();
    kept.set(host, isOrdinary);
    return isOrdinary;
  };
}
