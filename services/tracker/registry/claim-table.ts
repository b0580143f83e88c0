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

/** Maximum claims of the first table. It grows by half when it is full, up to the maximum of its keys. */
const FIRST_CAPACITY = 1_024;

/** The end of a chain of claims. */
const NONE = -1;

/** Hexadecimal digits of a digest in each word of 32 bits. */
const WORD_DIGITS = 8;
const WORDS = DIGEST_LENGTH / WORD_DIGITS;

const KINDS = Object.keys(CONFLICT_KINDS) as ConflictKind[];

/**
 * The claims with each of a fixed number of keys. A key has at most `MAX_CLAIMS_PER_KEY`, which bounds the table. A claim uses
 * 41 bytes, and shares its text with the registration in most cases.
 */
export class ClaimTable {
  /** The first claim of each key. */
  readonly #heads: Int32Array;
  #capacity = FIRST_CAPACITY;
  /** The next claim with the same key, or the next unused one. */
  #nexts = new Int32Array(FIRST_CAPACITY);
  #firstMicros = new Float64Array(FIRST_CAPACITY);
  #lastMicros = new Float64Array(FIRST_CAPACITY);
  #digests = new Uint32Array(FIRST_CAPACITY * WORDS);
  #kinds = new Uint8Array(FIRST_CAPACITY);
  readonly #texts: string[] = [];
  /** The first claim that was removed. */
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
      for (let each = this.#heads[key] as number; each !== NONE; each = this.#nexts[each] as number) {
        if (!this.#isInGroup(each, group)) continue;
        if (this.#texts[each] === claim.text) own = each;
        else hasRivals = true;
      }
      if (own !== NONE) {
        this.#lastMicros[own] = nowMicros;
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
      for (let each = this.#heads[key] as number; each !== NONE; each = this.#nexts[each] as number)
        if (this.#isInGroup(each, group))
          found.set(`${groupOf(claim.field)}${this.#texts[each]}`, {
            firstUnixMicros: this.#firstMicros[each] as number,
            lastUnixMicros: this.#lastMicros[each] as number,
          });
    }
    return found;
  }

  #isInGroup(entry: number, { kind, words }: GroupNumbers): boolean {
    if (this.#kinds[entry] !== kind) return false;
    for (let word = 0; word < WORDS; word += 1)
      if (this.#digests[entry * WORDS + word] !== words[word]) return false;
    return true;
  }

  /** Removes the claims with a key that were not repeated since a time. Returns the number of the others. */
  #removeOld(key: number, sinceMicros: number): number {
    let size = 0;
    let previous = NONE;
    for (let each = this.#heads[key] as number; each !== NONE;) {
      const next = this.#nexts[each] as number;
      if ((this.#lastMicros[each] as number) > sinceMicros) {
        size += 1;
        previous = each;
      } else {
        if (previous === NONE) this.#heads[key] = next;
        else this.#nexts[previous] = next;
        this.#texts[each] = '';
        this.#nexts[each] = this.#unused;
        this.#unused = each;
      }
      each = next;
    }
    return size;
  }

  #add(key: number, { kind, words }: GroupNumbers, text: string, nowMicros: number): void {
    const entry = this.#take();
    this.#firstMicros[entry] = nowMicros;
    this.#lastMicros[entry] = nowMicros;
    this.#kinds[entry] = kind;
    this.#digests.set(words, entry * WORDS);
    this.#texts[entry] = text;
    this.#nexts[entry] = this.#heads[key] as number;
    this.#heads[key] = entry;
  }

  /** The index of an unused claim. */
  #take(): number {
    const removed = this.#unused;
    if (removed !== NONE) {
      this.#unused = this.#nexts[removed] as number;
      return removed;
    }
    if (this.#texts.length === this.#capacity) this.#grow();
    return this.#texts.push('') - 1;
  }

  #grow(): void {
    this.#capacity = Math.ceil(this.#capacity * 1.5);
    this.#nexts = copyOf(this.#nexts, new Int32Array(this.#capacity));
    this.#firstMicros = copyOf(this.#firstMicros, new Float64Array(this.#capacity));
    this.#lastMicros = copyOf(this.#lastMicros, new Float64Array(this.#capacity));
    this.#digests = copyOf(this.#digests, new Uint32Array(this.#capacity * WORDS));
    this.#kinds = copyOf(this.#kinds, new Uint8Array(this.#capacity));
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

function copyOf<Column extends { set(values: Column): void }>(values: Column, larger: Column): Column {
  larger.set(values);
  return larger;
}
