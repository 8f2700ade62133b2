/** Futures that are settled at once, and generators that wait for them: what the replay of an orchestration is made of. */

/** A promise whose callbacks run at once, because a replay has to be over when its events are. */
export class Future {
  state: "open" | "completed" | "failed" = "open";
  value: unknown;
  error: unknown;
  private callbacks: (() => void)[] = [];

  complete(value?: unknown): void {
    this.value = value;
    this.settle("completed");
  }

  fail(error: unknown): void {
    this.error = error;
    this.settle("failed");
  }

  whenSettled(callback: () => void): void {
    if (this.state === "open") this.callbacks.push(callback);
    else callback();
  }

  private settle(state: "completed" | "failed"): void {
    if (this.state !== "open") return;
    this.state = state;
    const callbacks = this.callbacks;
    this.callbacks = [];
    for (const callback of callbacks) callback();
  }
}

/** Its steps yield what they wait for, and go on with the value that comes of it. */
export type Steps = Generator<Future, void, unknown>;

/** Runs a generator whose steps wait for futures. */
export function drive(steps: Steps): Future {
  const ended = new Future();
  const resume = (step: () => IteratorResult<Future, void>): void => {
    try {
      const { done, value } = step();
      if (done) ended.complete();
      else
        value.whenSettled(() => resume(() => (value.state === "completed" ? steps.next(value.value) : steps.throw(value.error))));
    } catch (error) {
      ended.fail(error);
    }
  };
  resume(() => steps.next());
  return ended;
}

export function completed(): Future {
  const future = new Future();
  future.complete();
  return future;
}

export function whenAny(futures: Future[]): Future {
  const any = new Future();
  for (const future of futures) future.whenSettled(() => any.complete());
  return any;
}

/** As .NET's Task.WhenAll: waits for every child, also after a failure, unlike the library's Task.all. */
export function whenAll(futures: Future[]): Future {
  const all = new Future();
  let left = futures.length;
  if (left === 0) all.complete();
  for (const future of futures) {
    future.whenSettled(() => {
      left -= 1;
      if (left === 0) all.complete();
    });
  }
  return all;
}
