// The Host header in the one form that Hono accepts. Probes and old proxies send other valid forms, or none at all.
import { isIP } from 'node:net';

/** Stands for the host when a request has none, as in HTTP/1.0. */
export const MISSING_HOST = 'localhost';

/** A name or an IPv4 address, optionally with a port: most hosts. Hono accepts it as it is. */
const PLAIN_HOST = /^[a-z0-9._-]+(:\d{1,5})?$/;

/**
 * The host in canonical form: IPv6 abbreviated and in brackets, without a zone and an empty port. A text that is not a
 * host is returned unchanged, and Hono answers it with 400.
 */
export function canonicalHost(host: string | undefined): string {
  const text = host?.trim() ?? '';
  if (text === '') return MISSING_HOST;
  if (PLAIN_HOST.test(text)) return text;
  // A zone (`fe80::1%eth0`) means something only on the machine of the client.
  const withoutZone = text.replace(/%[^\]:]*/, '');
  const bracketed = isIP(withoutZone) === 6 ? `[${withoutZone}]` : withoutZone;
  if (/[/?#@\\]/.test(bracketed)) return text;
  try {
    return new URL(`http://${bracketed}`).host;
  } catch {
    return text;
  }
}
