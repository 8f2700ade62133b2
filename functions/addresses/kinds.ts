/** The kind of operation by which a gateway gets another address. */
import { kindOf, type KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { noWayBack } from "../../shared/resources/irreversible.ts";
import { askedOf, replacing } from "./replacements.ts";
import type { AddressDoors } from "./world.ts";

export const addressKinds = (world: Pick<AddressDoors, "addressPace" | "plans">) =>
  ({
    addressReplacement: kindOf((request) => replacing(world, askedOf(request)), {
      waits: [],
      rollBackRefused: () => noWayBack.addressReplacement,
    }),
  }) satisfies Record<string, KindOfOperation>;
