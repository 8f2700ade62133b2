/** A read that failed is `unknown`: turns the clients' errors into what observation gives, and lets programming errors through. */
import { accessMissing } from "../entra/errors.ts";
import { ControlPlaneError } from "../errors.ts";
import { absent, type Observed, present, unknown } from "./resource.ts";

/** `undefined` means that the cloud answered and there is none. */
export async function observing<Actual>(read: () => Promise<Actual | undefined>): Promise<Observed<Actual>> {
  try {
    const actual = await read();
    return actual === undefined ? absent : present(actual);
  } catch (error) {
    if (!(error instanceof ControlPlaneError)) throw error;
    return unknown(error.code, error.message, accessMissing(error.code));
  }
}
