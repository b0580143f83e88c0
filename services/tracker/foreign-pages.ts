// Protects the tracker from web pages of others, which can make the browser of a visitor send requests to a tracker in
// the network of the visitor.
import { isIP } from 'node:net';
import { quote } from '../shared/variables.ts';

/** What is read of a request. */
interface BrowserRequest {
  /** With the host of its `Host` header. */
  readonly url: string;
  header(name: string): string | undefined;
}

/**
 * Whether a request is from a web page of another origin. Browsers send `Origin` with every POST, and the current ones
 * `Sec-Fetch-Site` too; devices send neither.
 */
export function isFromForeignPage(request: BrowserRequest): boolean {
  const site = request.header('sec-fetch-site')?.trim().toLowerCase();
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  const origin = request.header('origin');
  if (origin === undefined) return false;
  // The scheme is not compared, because a proxy in front of the tracker may have ended TLS.
  return !URL.canParse(origin) || new URL(origin).host !== new URL(request.url).host;
}

/** @throws Error that is a whole sentence */
export function parseHostName(text: string): string {
  const name = withoutLastDot(text.toLowerCase());
  if (!/^[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?$/.test(name))
    throw new Error(`${quote(text)} is not a host name without a port, such as tracker.example.org.`);
  return name;
}

/**
 * Whether the host of a request is one of the tracker. IP addresses and localhost are always permitted: in a request from a
 * web page with another address in DNS, the host is the name of that page.
 *
 * @param allowed empty: every host
 */
export function isAllowedHost(request: Pick<BrowserRequest, 'url'>, allowed: readonly string[]): boolean {
  if (allowed.length === 0) return true;
  const host = withoutLastDot(new URL(request.url).hostname);
  return host === 'localhost' || isIP(host.replace(/^\[(.*)\]$/, '$1')) !== 0 || allowed.includes(host);
}

function withoutLastDot(name: string): string {
  return name.replace(/\.$/, '');
}
