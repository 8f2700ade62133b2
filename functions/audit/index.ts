/** Audit: who changed what; the log is written where things are changed, here it is read. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerHttp } from "../../shared/api/register.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { registerTimer } from "../../shared/triggers.ts";
import { listAudit, listOperatorAudit, listPartnerAudit } from "./http.ts";
import { anchorAudit } from "./timer.ts";

export function registerAudit(world: ApiWorld): void {
  registerHttp("listAudit", endpoint("listAudit", world, listAudit(world)));
  registerHttp("listPartnerAudit", endpoint("listPartnerAudit", world, listPartnerAudit(world)));
  registerHttp("listOperatorAudit", endpoint("listOperatorAudit", world, listOperatorAudit(world)));
  registerTimer("anchorAudit", "%AUDIT_ANCHORS_SCHEDULE%", anchorAudit(world));
}
