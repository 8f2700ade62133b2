/** Asks Exchange Online itself whether it can deliver through a connector. */
import { ControlPlaneError } from "../errors.ts";
import type { Exchange } from "./client.ts";

export interface ConnectorValidation {
  succeeded: boolean;
  /** Each test and what came of it. */
  detail: string;
}

/** SMTP to each smart host, and a test mail to the recipient. It proves; it changes nothing on the connector. */
export const validateOutboundConnector =
  (exchange: Exchange) =>
  async (organization: string, identity: string, recipient: string): Promise<ConnectorValidation> => {
    try {
      const tests = await exchange.runAll(organization, "Validate-OutboundConnector", {
        Identity: identity,
        Recipients: [recipient],
      });
      return {
        succeeded: tests.length > 0 && tests.every(({ IsTaskSuccessful }) => IsTaskSuccessful === true),
        detail: tests
          .map(({ TaskName, IsTaskSuccessful, Detail, TaskDetail }) =>
            [`${TaskName ?? "test"} ${IsTaskSuccessful ? "succeeded" : "failed"}`, Detail ?? TaskDetail]
              .filter(Boolean)
              .join(": "),
          )
          .join("; "),
      };
    } catch (error) {
      // A connector that can't be validated is an answer; a validation that can't be had is not.
      if (error instanceof ControlPlaneError && !error.transient && error.code === "ExchangeRefused")
        return { succeeded: false, detail: error.message };
      throw error;
    }
  };
