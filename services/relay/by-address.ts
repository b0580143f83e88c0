// What each client address holds on this relay, to find the address that holds the most when the relay is full.

export interface ByAddress<Item> {
  add(address: string, item: Item): void;
  remove(address: string, item: Item): void;
  count(address: string): number;
  /** What the address with the most items holds, in the order in which it was added. Empty if no address holds several. */
  largest(): ReadonlySet<Item>;
}

export function createByAddress<Item>(): ByAddress<Item> {
  const items = new Map<string, Set<Item>>();
  return {
    add(address, item) {
      items.set(address, (items.get(address) ?? new Set()).add(item));
    },
    remove(address, item) {
      const ofAddress = items.get(address);
      ofAddress?.delete(item);
      if (ofAddress?.size === 0) items.delete(address);
    },
    count: (address) => items.get(address)?.size ?? 0,
    largest() {
      let largest: ReadonlySet<Item> = new Set();
      for (const ofAddress of items.values()) if (ofAddress.size > largest.size) largest = ofAddress;
      // If every address holds one, each has as much right to it as the new one.
      return largest.size > 1 ? largest : new Set();
    },
  };
}
