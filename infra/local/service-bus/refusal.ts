/** What the broker refuses to do, with the AMQP condition by which a client knows the reason. */
export type Condition =
  | "amqp:not-found"
  | "amqp:not-allowed"
  | "amqp:not-implemented"
  | "amqp:unauthorized-access"
  | "amqp:link:message-size-exceeded"
  | "amqp:internal-error"
  | "com.microsoft:argument-error"
  | "com.microsoft:entity-already-exists"
  | "com.microsoft:message-lock-lost"
  | "com.microsoft:message-not-found"
  | "com.microsoft:session-cannot-be-locked"
  | "com.microsoft:session-lock-lost"
  | "com.microsoft:timeout";

export class Refusal extends Error {
  readonly condition: Condition;

  constructor(condition: Condition, message: string) {
    super(message);
    this.condition = condition;
  }
}

/** Status codes of answers on `$cbs` and `$management`. */
export const statusOf = (condition: Condition): number => STATUS[condition] ?? 500;

const STATUS: Partial<Record<Condition, number>> = {
  "amqp:not-found": 404,
  "amqp:not-allowed": 400,
  "amqp:not-implemented": 501,
  "amqp:unauthorized-access": 401,
  "com.microsoft:argument-error": 400,
  "com.microsoft:entity-already-exists": 409,
  "com.microsoft:message-lock-lost": 410,
  "com.microsoft:message-not-found": 404,
  "com.microsoft:session-lock-lost": 410,
};
