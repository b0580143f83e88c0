// Selects one page of a listing in order of peer id. Both registries use it.

interface WithPeerId {
  readonly peerId: string;
}

/** At most `limit` entries after a peer id, and the last id of the page if further entries follow. */
export function pageById<Entry extends WithPeerId>(
  entries: readonly Entry[],
  limit: number,
  after: string | undefined,
): { readonly shown: readonly Entry[]; readonly next: string | undefined } {
  // By code units, in which every replica sorts alike, whatever its locale.
  const sorted = entries
    .filter(({ peerId }) => after === undefined || peerId > after)
    .toSorted((a, b) => (a.peerId < b.peerId ? -1 : 1));
  const shown = sorted.slice(0, limit);
  return { shown, next: sorted.length > limit ? shown.at(-1)?.peerId : undefined };
}
