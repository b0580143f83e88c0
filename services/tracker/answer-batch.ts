// Sends the answers to all requests that were read in one turn of the event loop together, after the last of them. Clients
// on the same machine are then woken once per turn, and not by each answer, which costs more than the rest of a request.

/** Answers that were given in this turn. */
export interface AnswerBatch<Item> {
  /** Sends an item at the end of this turn, in order. */
  add(item: Item): void;
}

/** @param send does not throw */
export function createAnswerBatch<Item>(send: (item: Item) => void): AnswerBatch<Item> {
  let items: Item[] = [];
  let spare: Item[] = [];

  function sendAll(): void {
    const due = items;
    items = spare;
    for (const item of due) send(item);
    due.length = 0;
    spare = due;
  }

  return {
    add(item) {
      // Immediates run after all sockets were read that were readable.
      if (items.push(item) === 1) setImmediate(sendAll);
    },
  };
}
