// Claims in the memory of one process, in columns of numbers: a hundred thousand devices have three hundred thousand claims,
// and a map of maps, with keys as texts and an object and two numbers for each claim, used about half of the memory of a tracker.
import {
  CLAIM_SECONDS,
  type Claim,
  type ClaimTimes,
  CONFLICT_KINDS,
  type ConflictKind,
  DIGEST_LENGTH,
  groupOf,
  MAX_CLAIMS_PER_KEY,
} from './claims.ts';

/**
 * Claims of a block of columns. A table grows by a block at a time, up to the maximum of its keys: columns that are replaced by
 * longer ones would be garbage that takes as much memory as all claims, until the next collection of the whole heap.
 */
const BLOCK_BITS = 12;
const BLOCK_CLAIMS = 1 << BLOCK_BITS;

/** The end of a chain of claims. */
const NONE = -1;

/** Hexadecimal digits of a digest in each word of 32 bits. */
const WORD_DIGITS = 8;
const WORDS = DIGEST_LENGTH / WORD_DIGITS;

const KINDS = Object.keys(CONFLICT_KINDS) as ConflictKind[];

/** The columns of some claims. */
class Block {
  /** The next claim with the same key, or the next unused one. */
  readonly nexts = new Int32Array(BLOCK_CLAIMS);
  readonly firstMicros = new Float64Array(BLOCK_CLAIMS);
  readonly lastMicros = new Float64Array(BLOCK_CLAIMS);
  readonly digests = new Uint32Array(BLOCK_CLAIMS * WORDS);
  readonly kinds = new Uint8Array(BLOCK_CLAIMS);
  readonly texts: string[] = Array.from({ length: BLOCK_CLAIMS }, () => '');
}

/**
 * The claims with each of a fixed number of keys. A key has at most `MAX_CLAIMS_PER_KEY`, which bounds the table. A claim uses
 * 41 bytes, and shares its text with the registration in most cases.
 */
export class ClaimTable {
  /** The first claim of each key. */
  readonly #heads: Int32Array;
  readonly #blocks: Block[] = [];
  /** The number of claims that were ever used at the same time. */
  #used = 0;
  /** The claim that was removed last, and is unused. */
  #unused = NONE;

  constructor(keys: number) {
    this.#heads = new Int32Array(keys).fill(NONE);
  }

  /**
   * Stores claims with a key, and forgets old ones of the key.
   *
   * @returns whether another claim with the key excludes one of these
   */
  store(key: number, claims: readonly Claim[], nowMicros: number): boolean {
    let size = this.#removeOld(key, nowMicros - CLAIM_SECONDS * 1_000_000);
    let hasRivals = false;
    for (const claim of claims) {
      const group = groupNumbers(claim);
      let own = NONE;
      for (let each = this.#heads[key] as number; each !== NONE; each = this.#next(each)) {
        if (!this.#isInGroup(each, group)) continue;
        if (this.#block(each).texts[each % BLOCK_CLAIMS] === claim.text) own = each;
        else hasRivals = true;
      }
      if (own !== NONE) {
        this.#block(own).lastMicros[own % BLOCK_CLAIMS] = nowMicros;
      } else if (size < MAX_CLAIMS_PER_KEY) {
        this.#add(key, group, claim.text, nowMicros);
        size += 1;
      }
    }
    return hasRivals;
  }

  /** The claims with a key that are or exclude one of these, by field. */
  find(key: number, claims: readonly Claim[]): Map<string, ClaimTimes> {
    const found = new Map<string, ClaimTimes>();
    for (const claim of claims) {
      const group = groupNumbers(claim);
      for (let each = this.#heads[key] as number; each !== NONE; each = this.#next(each)) {
        if (!this.#isInGroup(each, group)) continue;
        const { texts, firstMicros, lastMicros } = this.#block(each);
        const place = each % BLOCK_CLAIMS;
        found.set(`${groupOf(claim.field)}${texts[place]}`, {
          firstUnixMicros: firstMicros[place] as number,
          lastUnixMicros: lastMicros[place] as number,
        });
      }
    }
    return found;
  }

  #block(entry: number): Block {
    return this.#blocks[entry >> BLOCK_BITS] as Block;
  }

  #next(entry: number): number {
    return this.#block(entry).nexts[entry % BLOCK_CLAIMS] as number;
  }

  #isInGroup(entry: number, { kind, words }: GroupNumbers): boolean {
    const { kinds, digests } = this.#block(entry);
    const place = entry % BLOCK_CLAIMS;
    if (kinds[place] !== kind) return false;
    for (let word = 0; word < WORDS; word += 1)
      if (digests[place * WORDS + word] !== words[word]) return false;
    return true;
  }

  /** Removes the claims with a key that were not repeated since a time. Returns the number of the others. */
  #removeOld(key: number, sinceMicros: number): number {
    let size = 0;
    let previous = NONE;
    for (let each = this.#heads[key] as number; each !== NONE;) {
      const next = this.#next(each);
      const { nexts, lastMicros, texts } = this.#block(each);
      const place = each % BLOCK_CLAIMS;
      if ((lastMicros[place] as number) > sinceMicros) {
        size += 1;
        previous = each;
      } else {
        if (previous === NONE) this.#heads[key] = next;
        else this.#block(previous).nexts[previous % BLOCK_CLAIMS] = next;
        texts[place] = '';
        nexts[place] = this.#unused;
        this.#unused = each;
      }
      each = next;
    }
    return size;
  }

  #add(key: number, { kind, words }: GroupNumbers, text: string, nowMicros: number): void {
    const entry = this.#take();
    const block = this.#block(entry);
    const place = entry % BLOCK_CLAIMS;
    block.firstMicros[place] = nowMicros;
    block.lastMicros[place] = nowMicros;
    block.kinds[place] = kind;
    block.digests.set(words, place * WORDS);
    block.texts[place] = text;
    block.nexts[place] = this.#heads[key] as number;
    this.#heads[key] = entry;
  }

  /** The index of an unused claim. */
  #take(): number {
    const removed = this.#unused;
    if (removed !== NONE) {
      this.#unused = this.#next(removed);
      return removed;
    }
    if (this.#used === this.#blocks.length * BLOCK_CLAIMS) this.#blocks.push(new Block());
    this.#used += 1;
    return this.#used - 1;
  }
}

/** What claims have in common that exclude each other. */
interface GroupNumbers {
  readonly kind: number;
  readonly words: readonly number[];
}

function groupNumbers({ kind, digest }: Claim): GroupNumbers {
  const words = Array.from({ length: WORDS }, (_, word) =>
    Number.parseInt(digest.slice(word * WORD_DIGITS, (word + 1) * WORD_DIGITS), 16),
  );
  return { kind: KINDS.indexOf(kind), words };
}
