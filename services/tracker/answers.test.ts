import { EventEmitter } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { createAnswers } from './answers.ts';

/** A connection that the test closes, and whether it was destroyed. */
function connection() {
  const state = { destroyed: false };
  const outgoing = new EventEmitter<{ close: [] }>();
  return {
    state,
    close: () => outgoing.emit('close'),
    bindings: { incoming: { socket: { destroy: () => void (state.destroyed = true) } }, outgoing },
  };
}

describe('the answers that are being sent', () => {
  test('count a buffer once for all connections that share it, until the last one has it', () => {
    const answers = createAnswers(() => {}, 1_000);
    const shared = Buffer.alloc(600);
    const [a, b] = [connection(), connection()];
    answers.send(shared, a.bindings);
    answers.send(shared, b.bindings);
    expect(answers.bytes()).toBe(600);
    a.close();
    expect(answers.bytes()).toBe(600);
    b.close();
    b.close();
    expect(answers.bytes()).toBe(0);
    expect([a.state.destroyed, b.state.destroyed]).toEqual([false, false]);
  });

  test('abort the connections that have been reading longest above the limit, and never the new one', () => {
    let aborted = 0;
    const answers = createAnswers(() => (aborted += 1), 1_000);
    const connections = Array.from({ length: 5 }, connection);
    for (const { bindings } of connections) answers.send(Buffer.alloc(400), bindings);
    expect(connections.map(({ state }) => state.destroyed)).toEqual([true, true, true, false, false]);
    expect(answers.bytes()).toBe(800);
    expect(aborted).toBe(3);
    const large = connection();
    answers.send(Buffer.alloc(5_000), large.bindings);
    expect(large.state.destroyed).toBe(false);
    expect(answers.bytes()).toBe(5_000);
  });

  test('are complete in pieces', async () => {
    const body = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251));
    const sent = createAnswers(() => {}).send(body, undefined);
    expect(Buffer.from(await new Response(sent).arrayBuffer()).equals(body)).toBe(true);
  });
});
