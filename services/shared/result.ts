// How the services express an outcome that may be an expected refusal: as a value, because policy that says no and
// input that is invalid are part of normal work. Exceptions are for faults.

/** An expected refusal. `reason` comes from a declared list, so that it can be a metric label and a log field. */
export interface Refused<Reason extends string> {
  readonly ok: false;
  readonly reason: Reason;
}

/**
 * Work that succeeded with `Value`, or that was refused for a `Reason`. A refusal that carries more than its reason
 * adds fields through `Details`.
 */
export type Result<Value extends object, Reason extends string, Details extends object = object> =
  | ({ readonly ok: true } & Value)
  | (Refused<Reason> & Details);

/** A refusal for this reason. */
export function refused<Reason extends string>(reason: Reason): Refused<Reason> {
  return { ok: false, reason };
}
