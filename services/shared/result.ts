// The result of an operation that may be refused. Refusals are values, because refusals by a policy and invalid input
// are part of normal operation. Exceptions are for faults.

/** An expected refusal. `reason` comes from a declared list, so that it can be a metric label and a log field. */
export interface Refused<Reason extends string> {
  readonly ok: false;
  readonly reason: Reason;
}

/**
 * Success with `Value`, or a refusal with a `Reason`. `Details` are further fields of a refusal.
 */
export type Result<Value extends object, Reason extends string, Details extends object = object> =
  | ({ readonly ok: true } & Value)
  | (Refused<Reason> & Details);

/** Creates a refusal. */
export function refused<Reason extends string>(reason: Reason): Refused<Reason> {
  return { ok: false, reason };
}
