/** 3: the outbound connector concerns only mail that a rule sends to it, from birth. */
import type { Exchange } from "../../../infra/local/clouds/record.ts";
import { cmdletsOf, tookEffect, type Violation, type Watched } from "./record.ts";

export const unscopedConnector = (record: Exchange[], { organization }: Watched): Violation[] =>
  cmdletsOf(record, organization).flatMap(({ seq, name, parameters, exchange }): Violation[] => {
    if (!tookEffect(exchange)) return [];
    const scoped = parameters["IsTransportRuleScoped"];
    const wrong = name === "New-OutboundConnector" ? scoped !== true : name === "Set-OutboundConnector" && scoped === false;
    return wrong ? [{ invariant: 3, seq, what: "the outbound connector was not scoped to rules" }] : [];
  });
