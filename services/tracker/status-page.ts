// The status page: the registered devices as plain HTML without scripts. All texts from devices are escaped.
import { createHash } from 'node:crypto';
import { HEARTBEAT_SECONDS, type Peer } from '../shared/contract.ts';
import { MAX_LISTING_BYTES } from './listing.ts';
import { type ListingCut, listingCuts } from './listing-cuts.ts';
import { ACCESS_RULES } from './device-access.ts';
import { type ProblemCode, PROBLEMS } from './problems.ts';
import type { Conflict } from './registry/claims.ts';
import type { ListedPeer, Page } from './registry/registry.ts';

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
.hub { border: 1px solid var(--line); border-radius: 6px; padding: 0 .4rem; color: var(--soft) }
.note { background: var(--back); border-left: 3px solid #bf8700; padding: .5rem .8rem }
`;

/** Headers that forbid the browser to load other resources, run scripts, show the page in a frame, or cache it. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/html; charset=utf-8',
  'Cache-Control': 'no-store',
  'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
};

/** Interval at which the page reloads, in seconds. */
const REFRESH_SECONDS = HEARTBEAT_SECONDS;

/** Maximum devices on the page. Further ones are omitted, with a note. */
const MAX_SHOWN_DEVICES = 1_000;

/** What the page shows besides the devices. */
export interface StatusOptions {
  readonly conflicts: readonly Conflict[];
  readonly nowUnixMs: number;
  /** A sentence about the address at which the page was opened. */
  readonly warning?: string | undefined;
  /** Whether devices of a user with a hub are listed only the hub. */
  readonly isStar: boolean;
}

/** The registered devices, by user. */
export function statusPage({ peers, staleForSeconds }: Page, options: StatusOptions): string {
  const { warning, isStar } = options;
  const shown = peers.slice(0, MAX_SHOWN_DEVICES);
  const users = Map.groupBy(shown, ({ json }) => (JSON.parse(json) as Peer).meta?.user_id ?? undefined);
  const sections = [...users]
    .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))
    .map(([user, devices]) => {
      const name = user === undefined ? '<span class="soft">no user</span>' : bdi(user);
      const rows = devices.map((device) => deviceRow(device, options));
      const star =
        isStar && user !== undefined && devices.some(({ isHub }) => isHub === true) ? STAR_NOTE : '';
      return `<h2>${name} <small>${count(devices.length, 'device')}</small></h2>${star}
<table class="devices"><thead><tr><th>Device<th>Peer id and addresses<th>Last seen</thead><tbody>${rows.join('')}</tbody></table>`;
    });
  const notes = [
    warning === undefined ? '' : note(warning),
    staleForSeconds === undefined
      ? ''
      : note(`The registry does not answer. This list is ${age(staleForSeconds)} old.`),
    peers.length <= MAX_SHOWN_DEVICES
      ? ''
      : note(`Only the ${MAX_SHOWN_DEVICES} devices that registered last are shown.`),
  ];
  const cuts = listingCuts(peers, isStar).map(cutSection).join('');
  const body = sections.length === 0 ? '<p>No device is registered.</p>' : sections.join('');
  return page(
    'rustory tracker',
    `<h1>rustory tracker <small class="soft">${count(peers.length, 'device')}</small></h1>${notes.join('')}${cuts}${body}
<p class="soft">This page reloads every ${REFRESH_SECONDS} seconds. API: <a href="openapi.json">openapi.json</a></p>
<p class="soft">Star: ${isStar ? 'on. Devices of a user with a registered hub are listed only the hub.' : 'off.'}</p>
<p class="soft">${escape(ACCESS_RULES)}</p>`,
    REFRESH_SECONDS,
  );
}

/** The mark of a device whose identity another device uses. */
function conflictMark({ kind, subject, claimants }: Conflict, peerId: string): string {
  if (kind !== 'peer_id') {
    const what = kind === 'device_id' ? 'device ids' : 'hostnames';
    return `<p class="note">This identity is used on two devices: its ${what} alternate between ${claimants.map(bdi).join(' and ')}. Delete the identity key on one of them.</p>`;
  }
  const others = claimants
    .filter((other) => other !== peerId)
    .map((other) => `<code>${escape(other)}</code>`);
  return `<p class="note">Another device has the device id ${bdi(subject)} too: ${others.join(', ')}. These devices never sync with each other. Change the device id of one of them.</p>`;
}

/** The devices that a listing leaves out because of its maximum size. */
function cutSection({ userId, omitted, unnamed }: ListingCut): string {
  const whose = userId === undefined ? 'The listing of all devices' : `The listing of user ${bdi(userId)}`;
  const items = omitted.map((peer) => {
    const { peer_id, meta } = JSON.parse(peer.json) as Peer;
    const name = meta?.hostname ?? meta?.device_id;
    return `<li>${typeof name === 'string' ? `${bdi(name)} ` : ''}<code>${escape(peer_id)}</code>`;
  });
  const more = unnamed === 0 ? '' : `<li>and ${unnamed} more`;
  return `<div class="note">${whose} leaves out the ${count(omitted.length + unnamed, 'device')} that registered longest ago, because clients refuse more than ${MAX_LISTING_BYTES / 1024} KiB. Clients do not find:<ul>${items.join('')}${more}</ul></div>`;
}

/** The page that is shown while the registry is unavailable. */
export function unavailablePage(code: ProblemCode): string {
  return page(
    'rustory tracker',
    `<h1>rustory tracker</h1>${note(`${PROBLEMS[code].title}. Devices register again when this is over.`)}`,
    REFRESH_SECONDS,
  );
}

/** Shown for a user whose devices are listed only the hub. */
const STAR_NOTE = '<p class="soft">Star: these devices are listed only the hub, and sync with it alone.</p>';

/** The mark of a hub, and what keeps a device that calls itself one from being the hub of its user in a star. */
function hubMark(isHub: boolean, meta: Peer['meta'], isStar: boolean): string {
  if (!isHub && meta?.['role'] !== 'hub') return '';
  if (isHub || !isStar) return ' <span class="hub">hub</span>';
  return ` <span class="hub">hub</span><p class="note">This hub registered without a token that is marked hub, so the devices of its user are listed all devices.</p>`;
}

function deviceRow(
  { json, seenUnixMicros, isHub = false }: ListedPeer,
  { conflicts, nowUnixMs, isStar }: StatusOptions,
): string {
  const { peer_id, addrs, meta } = JSON.parse(json) as Peer;
  const seenUnixMs = seenUnixMicros / 1_000;
  const name = meta?.hostname ?? meta?.device_id ?? undefined;
  const details = [meta?.device_id, meta?.version].filter(
    (text) => typeof text === 'string' && text !== name,
  );
  const items = addrs.map((addr) => `<li><code>${escape(addr)}</code>`);
  const marks = conflicts
    .filter(({ kind, subject, claimants }) =>
      kind === 'peer_id' ? claimants.includes(peer_id) : subject === peer_id,
    )
    .map((conflict) => conflictMark(conflict, peer_id));
  const seconds = Math.max(0, (nowUnixMs - seenUnixMs) / 1_000);
  return `<tr><td>${name === undefined ? '<span class="soft">unnamed</span>' : bdi(name)}${hubMark(isHub, meta, isStar)}<br><span class="soft">${details.map((text) => bdi(String(text))).join(' · ')}</span>
<td><code>${escape(peer_id)}</code><ul>${items.length === 0 ? '<li class="soft">no address' : items.join('')}</ul>${marks.join('')}
<td><time datetime="${new Date(seenUnixMs).toISOString()}">${age(seconds)} ago</time><br><span class="soft">${new Date(seenUnixMs).toISOString().replace('T', ' ').slice(0, 19)} UTC</span>`;
}

function page(title: string, body: string, refreshSeconds?: number): string {
  const refresh =
    refreshSeconds === undefined ? '' : `<meta http-equiv="refresh" content="${refreshSeconds}">`;
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">${refresh}
<title>${escape(title)}</title><style>${STYLE}</style></head><body>${body}</body></html>`;
}

function note(text: string): string {
  return `<p class="note">${escape(text)}</p>`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** Formats a duration in its largest whole unit. */
function age(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  return seconds < 3_600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3_600)} h`;
}

/** Escapes a text from a device and isolates its writing direction from the surrounding text. */
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
