/** UCM's doors: scripts for an Exchange on the customer's premises, and where the check script posts what it found. */
import { randomUUID } from "node:crypto";
import { endpoint } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import type { Signer } from "../../shared/api/signing.ts";
import { parseReport, verifiedLines } from "../../shared/ucm/report.ts";
import { checkScript, setScript } from "../../shared/ucm/scripts.ts";
import { premisesChecks } from "./ucm-exchange.ts";
import { followUcmReport, type KeptReport, keptReport } from "./ucm-report.ts";
import type { OnboardingWorld } from "./world.ts";

const PURPOSE = "ucm-report";
const KEY_PURPOSE = "ucm-report-key";
const LIFETIME_IN_SECONDS = 7 * 24 * 3600;

interface ReportState {
  partnerId: string;
  tenantId: string;
  nonce: string;
  expiresAt: string;
}

/** Derived from the state, so that nobody keeps it: the signature of a token that is never given out. */
async function keyOf(signer: Signer, { nonce, expiresAt }: ReportState, now: number): Promise<string> {
  const lifetime = Date.parse(expiresAt) / 1000 - Math.floor(now / 1000);
  return (await signer.sign({ nonce }, KEY_PURPOSE, lifetime)).split(".")[2] ?? "";
}

/** GET …/ucm: fresh scripts each time, and what the last report said. */
export const getUcm = (world: OnboardingWorld) =>
  endpoint("getUcm", world, async ({ caller, params }) => {
    const { clock, signer, settings, stores } = world;
    const tenant = await stores.tenants.get(caller.partnerId, params.tenantId);
    const { ucm } = tenant.spec;
    if (ucm?.exchange?.kind !== "onPremises")
      throw refusal("InvalidRequest", "the tenant's spec has no UCM with an Exchange on the customer's premises", {
        target: "spec.ucm.exchange",
      });
    const expires = (Math.floor(clock.now() / 1000) + LIFETIME_IN_SECONDS) * 1000;
    const expiresAt = new Date(expires).toISOString();
    const answer: ReportState = { partnerId: caller.partnerId, tenantId: tenant.id, nonce: randomUUID(), expiresAt };
    const state = await signer.sign({ ...answer }, PURPOSE, LIFETIME_IN_SECONDS);
    const key = await keyOf(signer, answer, clock.now());
    const { serviceAccount: account } = ucm;
    const { version } = ucm.exchange;
    const report = keptReport(tenant);
    return {
      body: {
        checkScript: checkScript({ account, version, url: `${settings.publicUrl}/api/ucm-reports`, state, key }),
        setScript: setScript({ account, version }),
        expiresAt,
        ...(report ? { report: { at: report.at, checks: premisesChecks(account, version, report.found) } } : {}),
      },
    };
  });

/** POST /api/ucm-reports: believes what is signed with the key that went out with the state, once. */
export const postUcmReport = (world: OnboardingWorld) =>
  endpoint("postUcmReport", world, async ({ body }) => {
    const { clock, signer, stores } = world;
    const state = (await signer.verify(body.state, PURPOSE)) as ReportState | undefined;
    if (!state) throw refused("state", "the script is not ours or no longer good");
    const lines = verifiedLines(body, await keyOf(signer, state, clock.now()));
    if (lines === undefined) throw refused("signature", "the report was not signed with the script's own key");
    const found = parseReport(lines);
    if (!found) throw refused("report", "the report is not what a check script sends");
    if (!(await stores.usedStates.use(state.nonce, new Date(state.expiresAt))))
      throw refused("state", "the script has reported already");
    const at = new Date(clock.now()).toISOString();
    const kept: KeptReport = { at, found };
    const tenant = await stores.tenants.change(state.partnerId, state.tenantId, ({ facts }) => ({
      facts: { ...facts, ucmReport: kept },
    }));
    await followUcmReport(world, tenant);
    return { body: { tenantId: state.tenantId, at } };
  });

const refused = (target: string, message: string) =>
  refusal("InvalidRequest", `${message}; nothing was changed, and GET /api/tenants/{tenantId}/ucm gives a new one`, { target });
