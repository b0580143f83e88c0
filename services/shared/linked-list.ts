// A doubly linked list whose links are two fields of its members, so that moving a member to the end neither allocates
// nor hashes. A member is in a list at most once; with other fields it can be in a second list.

/** The names of the fields of a member that hold its links. Only the list changes them. */
type LinkNames = readonly [previous: string, next: string];

export class LinkedList<Member extends object> {
  readonly #previous: keyof Member;
  readonly #next: keyof Member;
  #first: Member | undefined;
  #last: Member | undefined;
  #size = 0;

  constructor([previous, next]: LinkNames) {
    this.#previous = previous as keyof Member;
    this.#next = next as keyof Member;
  }

  get size(): number {
    return this.#size;
  }

  get first(): Member | undefined {
    return this.#first;
  }

  get last(): Member | undefined {
    return this.#last;
  }

  /** The member before another one of the list. */
  before(member: Member): Member | undefined {
    return member[this.#previous] as Member | undefined;
  }

  /** Adds a member that is not in the list at the end. */
  append(member: Member): void {
    const last = this.#last;
    member[this.#previous] = last as Member[keyof Member];
    member[this.#next] = undefined as Member[keyof Member];
    if (last === undefined) this.#first = member;
    else last[this.#next] = member as Member[keyof Member];
    this.#last = member;
    this.#size += 1;
  }

  /** Removes a member of the list. */
  remove(member: Member): void {
    const previous = member[this.#previous] as Member | undefined;
    const next = member[this.#next] as Member | undefined;
    if (previous === undefined) this.#first = next;
    else previous[this.#next] = next as Member[keyof Member];
    if (next === undefined) this.#last = previous;
    else next[this.#previous] = previous as Member[keyof Member];
    member[this.#previous] = undefined as Member[keyof Member];
    member[this.#next] = undefined as Member[keyof Member];
    this.#size -= 1;
  }

  /** Moves a member of the list to its end. */
  moveToEnd(member: Member): void {
    if (member === this.#last) return;
    this.remove(member);
    this.append(member);
  }
}
