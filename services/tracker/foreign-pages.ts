// Protects the tracker from web pages of others, which can make the browser of a visitor send requests to a tracker in
// the network of the visitor.
import { isIP } from 'node:net';
import { quote } from '../shared/variables.ts';

type Header = (name: string) => string | undefined;

/**
 * Whether a request is from a web page of another origin. Browsers send `Origin` with every POST, and the current ones
 * `Sec-Fetch-Site` too; devices send neither.
 *
 * @param url the URL of the request, with the host of its `Host` header
 */
export function isFromForeignPage(url: string, header: Header): boolean {
  const site = header('sec-fetch-site')?.trim().toLowerCase();
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  const origin = header('origin');
  if (origin === undefined) return false;
  // The scheme is not compared, because a proxy in front of the tracker may have ended TLS.
  return !URL.canParse(origin) || new URL(origin).host !== new URL(url).host;
}

/** @throws Error that is a whole sentence */
export function parseHostName(text: string): string {
  const name = withoutLastDot(text.toLowerCase());
  if (!/^[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?$/.test(name))
    throw new Error(`${quote(text)} is not a host name without a port, such as tracker.example.org.`);
  return name;
}

/**
 * Whether the host of a URL is one of the tracker. IP addresses and localhost are always permitted: in a request from a
 * web page with another address in DNS, the host is the name of that page.
 *
 * @param allowed empty: every host
 */
export function isAllowedHost(url: string, allowed: readonly string[]): boolean {
  if (allowed.length === 0) return true;
  const host = withoutLastDot(new URL(url).hostname);
  return host === 'localhost' || isIP(host.replace(/^\[(.*)\]$/, '$1')) !== 0 || allowed.includes(host);
}

function withoutLastDot(name: string): string {
  return name.replace(/\.$/, '');
}
