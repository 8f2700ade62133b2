/** Mission D6: Exchange Online's own reference of our application's service principal, to which management roles can be given. */
import type { Exchange } from "../exchange/client.ts";
import { observing } from "./observing.ts";
import { changesBetween } from "./property-changes.ts";
import { done, type Resource } from "./resource.ts";

export interface ExchangePrincipal {
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
}

export interface ExchangePrincipalActual {
  applicationId: string;
  /** What the reference leads to. */
  objectId: string;
  /** What our token says: another one where our service principal was made anew. */
  ours: string;
}

const KIND = "exchangePrincipal";

export const exchangePrincipal = ({ exchange }: { exchange: Exchange }): Resource<ExchangePrincipal, ExchangePrincipalActual> => {
  const make = async ({ organization }: ExchangePrincipal): Promise<void> => {
    const { applicationId, objectId } = await exchange.ourselves(organization);
    await exchange.run(organization, "New-ServicePrincipal", {
      AppId: applicationId,
      ObjectId: objectId,
      DisplayName: "Gatehouse",
    });
  };

  return {
    kind: KIND,
    // An application's id is nobody else's, so no mark is needed.
    observe: ({ organization }) =>
      observing(async () => {
        const { applicationId, objectId: ours } = await exchange.ourselves(organization);
        const [found] = await exchange.list(organization, "Get-ServicePrincipal", { Identity: applicationId });
        return found && { applicationId, objectId: found.ObjectId.toLowerCase(), ours };
      }),
    diff: (_, { objectId, ours }) => changesBetween({ objectId: ours }, { objectId }),
    async create(desired) {
      await make(desired);
      return done;
    },
    // What a reference leads to can't be changed.
    async update(desired, _, { applicationId }) {
      await exchange.run(desired.organization, "Remove-ServicePrincipal", { Identity: applicationId });
      await make(desired);
      return done;
    },
    async remove({ organization }) {
      const { applicationId } = await exchange.ourselves(organization);
      const [found] = await exchange.list(organization, "Get-ServicePrincipal", { Identity: applicationId });
      if (found) await exchange.run(organization, "Remove-ServicePrincipal", { Identity: applicationId });
      return done;
    },
  };
};
