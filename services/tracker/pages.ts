// The pages people read: who is registered, and the API. Plain HTML without scripts; every text from a device is escaped.
import { createHash } from 'node:crypto';
import type { Peer } from '../shared/contract.ts';
import type { Page } from './registry/registry.ts';

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d8dee4, #3d444d); --soft: light-dark(#59636e, #9198a1); --back: light-dark(#f6f8fa, #151b23) }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1.5rem; max-width: 70rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
h2 small, .soft { color: var(--soft); font-weight: normal }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line) }
th { color: var(--soft); font-weight: 600 }
code, pre { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere }
pre { background: var(--back); padding: .8rem; border-radius: 6px; overflow-x: auto }
td:first-child, th:first-child { width: 11rem; overflow-wrap: anywhere }
.devices { table-layout: fixed } .devices :is(td, th):last-child { width: 13.5rem }
@media (max-width: 45rem) {
  .devices thead { display: none } .devices tr { display: block; padding: .6rem 0; border-bottom: 1px solid var(--line) }
  .devices td { display: block; width: auto !important; padding: 0; border: 0 }
}
ul { margin: 0; padding: 0; list-style: none }
.note { background: var(--back); border-left: 3px solid #bf8700; padding: .5rem .8rem }
`;

/** Headers of every page: nothing is loaded, run, framed or kept. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/html; charset=utf-8',
  'Cache-Control': 'no-store',
  'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
};

/** The status page loads itself again after so many seconds, which is how often devices register. */
const REFRESH_SECONDS = 30;

/** Devices shown at most: somebody reads this page. */
const MAX_SHOWN = 1_000;

/** The registered devices, by user. */
export function statusPage({ peers, staleForSeconds }: Page, nowMs: number): string {
  const shown = peers.slice(0, MAX_SHOWN);
  const users = Map.groupBy(shown, ({ json }) => (JSON.parse(json) as Peer).meta?.user_id ?? undefined);
  const sections = [...users]
    .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))
    .map(([user, devices]) => {
      const name = user === undefined ? '<span class="soft">no user</span>' : bdi(user);
      const rows = devices.map(({ json, seen }) => deviceRow(JSON.parse(json) as Peer, seen / 1_000, nowMs));
      return `<h2>${name} <small>${count(devices.length, 'device')}</small></h2>
<table class="devices"><thead><tr><th>Device<th>Peer id and addresses<th>Last seen</thead><tbody>${rows.join('')}</tbody></table>`;
    });
  const notes = [
    staleForSeconds === undefined
      ? ''
      : note(`The registry does not answer; this is from ${age(staleForSeconds)} ago.`),
    peers.length <= MAX_SHOWN ? '' : note(`Only the ${MAX_SHOWN} that registered last are shown.`),
  ];
  const body = sections.length === 0 ? '<p>No device is registered.</p>' : sections.join('');
  return page(
    'rustory tracker',
    `<h1>rustory tracker <small class="soft">${count(peers.length, 'device')}</small></h1>${notes.join('')}${body}
<p class="soft">Loads itself again every ${REFRESH_SECONDS} seconds. <a href="/docs">API</a></p>`,
    REFRESH_SECONDS,
  );
}

/** The status page while there is nothing to show. */
export function awayPage(): string {
  return page(
    'rustory tracker',
    `<h1>rustory tracker</h1>${note('The registry does not answer. Devices register again by themselves when it does.')}`,
    REFRESH_SECONDS,
  );
}

function deviceRow({ peer_id, addrs, meta }: Peer, seenMs: number, nowMs: number): string {
  const name = meta?.hostname ?? meta?.device_id ?? undefined;
  const details = [meta?.device_id, meta?.version].filter(
    (text) => typeof text === 'string' && text !== name,
  );
  const items = addrs.map((addr) => `<li><code>${escape(addr)}</code>`);
  const seconds = Math.max(0, (nowMs - seenMs) / 1_000);
  return `<tr><td>${name === undefined ? '<span class="soft">unnamed</span>' : bdi(name)}<br><span class="soft">${details.map((text) => bdi(String(text))).join(' · ')}</span>
<td><code>${escape(peer_id)}</code><ul>${items.length === 0 ? '<li class="soft">no address' : items.join('')}</ul>
<td><time datetime="${new Date(seenMs).toISOString()}">${age(seconds)} ago</time><br><span class="soft">${new Date(seenMs).toISOString().replace('T', ' ').slice(0, 19)} UTC</span>`;
}

/** What this page needs of an OpenAPI document. */
export interface ApiDocument {
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly paths?: Record<string, Record<string, Operation>>;
  readonly components?: { readonly schemas?: Record<string, unknown> };
}

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly description?: string;
  }[];
  readonly requestBody?: unknown;
  readonly responses?: Record<string, { readonly description?: string }>;
}

/** The API, from the same document that machines read. */
export function docsPage({ info, paths = {}, components }: ApiDocument): string {
  const calls = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => operationSection(method, path, operation)),
  );
  const schemas = Object.entries(components?.schemas ?? {}).map(
    ([name, schema]) =>
      `<h2 id="${escape(name)}">${escape(name)}</h2><pre>${escape(JSON.stringify(schema, undefined, 2))}</pre>`,
  );
  return page(
    info.title,
    `<h1>${escape(info.title)} <small class="soft">${escape(info.version)}</small></h1>
<p>${prose(info.description ?? '')} For machines: <a href="/openapi.json">openapi.json</a>.</p>${calls.join('')}${schemas.join('')}`,
  );
}

function operationSection(method: string, path: string, operation: Operation): string {
  const rows = [
    ...(operation.parameters ?? []).map((parameter) => [
      `${parameter.in} ${parameter.name}`,
      parameter.description ?? '',
    ]),
    ...Object.entries(operation.responses ?? {}).map(([status, answer]) => [
      status,
      answer.description ?? '',
    ]),
  ].map(([name = '', text = '']) => `<tr><td><code>${escape(name)}</code><td>${prose(text)}`);
  const schema = /"#\/components\/schemas\/(\w+)"/.exec(JSON.stringify(operation.requestBody ?? null))?.[1];
  const body = schema === undefined ? '' : `<p>Body: <a href="#${schema}">${schema}</a></p>`;
  return `<h2><code>${method.toUpperCase()} ${escape(path)}</code> <small>${escape(operation.summary ?? '')}</small></h2>
<p>${prose(operation.description ?? '')}</p>${body}<table><tbody>${rows.join('')}</tbody></table>`;
}

function page(title: string, body: string, refreshSeconds?: number): string {
  const refresh =
    refreshSeconds === undefined ? '' : `<meta http-equiv="refresh" content="${refreshSeconds}">`;
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">${refresh}
<title>${escape(title)}</title><style>${STYLE}</style></head><body>${body}</body></html>`;
}

/** Our own text with its code in backquotes. */
function prose(text: string): string {
  return escape(text).replaceAll(/`([^`]*)`/g, '<code>$1</code>');
}

function note(text: string): string {
  return `<p class="note">${escape(text)}</p>`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** Seconds in the largest unit that fits. */
function age(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  return seconds < 3_600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3_600)} h`;
}

/** A device's own text, which may be written in either direction and must not turn what stands around it. */
function bdi(text: string): string {
  return `<bdi>${escape(text)}</bdi>`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ESCAPES[character] ?? character);
}
