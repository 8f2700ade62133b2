/** Snapshots of all clouds, for whoever wants to try many things from the same beginning. */

export interface Snapshots {
  /** Everything that the clouds hold, and where their record is; kept with their state. */
  snapshot(): number;
  /** Everything as it was then, as if the clouds had been started on it; to be asked when nothing is under way. */
  restore(snapshot: number): Promise<void>;
}

export class NoSuchSnapshot extends Error {
  constructor(snapshot: number) {
    super(`there is no snapshot ${snapshot}`);
    this.name = "NoSuchSnapshot";
  }
}
