// The modules that decide for the hop side when something has taken too long: one clock, what is known about the silence
// of connections, probes, and late answers.
import { createLoopClock, type LoopClock } from '../shared/loop-clock.ts';
import { createLateAnswers, type LateAnswers } from './late-answers.ts';
import { createLiveness, type Liveness } from './liveness.ts';
import { createProbe, type Probe } from './ping.ts';

export interface HopTiming {
  readonly clock: LoopClock;
  readonly liveness: Liveness;
  readonly probe: Probe;
  readonly lateAnswers: LateAnswers;
}

export function createHopTiming(clock: LoopClock = createLoopClock()): HopTiming {
  const liveness = createLiveness(clock);
  return { clock, liveness, probe: createProbe(clock, liveness), lateAnswers: createLateAnswers(clock) };
}
