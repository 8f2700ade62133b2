/** The closed catalogue of the error codes that the API answers with: docs/error-codes.md is this table in words. */
import { ControlPlaneError, type ControlPlaneErrorOptions } from "../errors.ts";

interface CatalogueEntry {
  status: number;
  meaning: string;
  remedy: string;
  /** The same request may succeed later without any change. */
  transient?: boolean;
}

export const errorCodes = {
  MissingApiVersionParameter: {
    status: 400,
    meaning: "The query parameter api-version is missing.",
    remedy: "Add api-version with one of the versions that the message lists.",
  },
  UnsupportedApiVersionValue: {
    status: 400,
    meaning: "This API version does not exist here.",
    remedy: "Use one of the versions that the message lists.",
  },
  InvalidRequest: {
    status: 400,
    meaning: "A path segment, query parameter, header or the body is not as the API reference says.",
    remedy: "Correct each field that details names; target is its path.",
  },
  ConfirmationMissing: {
    status: 400,
    meaning: "What was asked for can't be undone, and the body does not say that it is meant.",
    remedy: "Send the field that the message names, if it is meant.",
  },
  OperationIdReused: {
    status: 400,
    meaning: "The Operation-Id belongs to an operation that was asked for with another request.",
    remedy: "Send a new Operation-Id, or the same request as before.",
  },
  TokenInvalid: {
    status: 401,
    meaning: "The bearer token is missing, expired, for another audience, or not one of Entra's.",
    remedy: "Ask Entra for a new token with the scope {applicationId}/.default and send it as Authorization: Bearer.",
  },
  PartnerUnknown: {
    status: 403,
    meaning: "The token is genuine, but no partner is registered with its tenant and client.",
    remedy: "Have an operator register the pair in the message: PUT /api/partners/{partnerId}.",
  },
  RoleRequired: {
    status: 403,
    meaning: "The caller's role does not allow this call.",
    remedy: "Call with the role that the message names; app roles are assigned in Entra.",
  },
  ConsentRequired: {
    status: 403,
    meaning: "The customer's administrator has not consented to our application yet.",
    remedy: "Send the link of GET /api/tenants/{tenantId}/consent to the customer's administrator.",
  },
  ConsentStateInvalid: {
    status: 400,
    meaning: "A consent link's state is forged, expired or was used already.",
    remedy: "Make a new link with GET /api/tenants/{tenantId}/consent.",
  },
  PartnerNotFound: {
    status: 404,
    meaning: "There is no such partner.",
    remedy: "Check the id; GET /api/partners lists those that exist.",
  },
  ExportNotFound: {
    status: 404,
    meaning: "Nothing was kept of this tenant: its offboarding was not asked to, or has not come that far.",
    remedy: 'Offboard with "export": true.',
  },
  TenantNotFound: {
    status: 404,
    meaning: "There is no such tenant among those of the caller.",
    remedy: "Check the id; GET /api/tenants lists those that exist.",
  },
  DirectoryNotServed: {
    status: 409,
    meaning: "The tenant's spec names no directory, or nobody's mail runs through its gateway yet.",
    remedy: "Register the tenant with a directory in its spec, and onboard it.",
  },
  DirectoryNotPublished: {
    status: 404,
    meaning: "There is no directory for this machine: its tenant has none published yet, or is to have none.",
    remedy: "Nothing: the machine asks again. GET /api/tenants/{tenantId}/directory says how it stands.",
  },
  RangeNotSatisfiable: {
    status: 416,
    meaning: "The document ends before the range that was asked for.",
    remedy: "Ask from the first byte again; Content-Range says how long the document is.",
  },
  NothingStands: {
    status: 409,
    meaning: "The tenant has no pilot yet, or is gone: nothing stands that could have drifted or be restarted.",
    remedy: "Onboard the tenant.",
  },
  NothingToRepair: {
    status: 409,
    meaning: "Nothing that a repair could bring back differed when the tenant was last looked at.",
    remedy: "Look with POST /api/tenants/{tenantId}/drift, then repair what it names.",
  },
  RepairImpossible: {
    status: 409,
    meaning: "What differs would have to be made anew, or is somebody else's object under our name.",
    remedy: "Onboard the tenant again where the message says so; else rename or remove that object.",
  },
  OperationNotFound: {
    status: 404,
    meaning: "There is no such operation among those of the caller.",
    remedy: "Check the id; GET /api/operations lists those that exist.",
  },
  OperationEnded: {
    status: 409,
    meaning: "The operation has ended, so that there is nothing to cancel.",
    remedy: "Look at its result; ask for another operation, if that is what is wanted.",
  },
  RollBackRefused: {
    status: 409,
    meaning: "What this operation did can't be taken back.",
    remedy: "Do what the message says; cancel it without rollBack, if it still runs.",
  },
  StepNotFound: {
    status: 404,
    meaning: "The operation has no such step.",
    remedy: "Take the step's name from the operation.",
  },
  StepNotSkippable: {
    status: 409,
    meaning: "The step waits for nothing that an operator may do without.",
    remedy: "Do what the message says, or cancel the operation.",
  },
  NothingToRetry: {
    status: 409,
    meaning: "The operation has succeeded, or it was rolled back: there is nothing to try again.",
    remedy: "Ask for another operation, if one is wanted.",
  },
  RetryOutdated: {
    status: 409,
    meaning: "Something else has succeeded since, so that trying this operation again would undo it.",
    remedy: "Look at the operation that the message names; ask for another one, if it is still wanted.",
  },
  NothingToGoBackTo: {
    status: 409,
    meaning: "The gateways keep no earlier one of this credential that they could use again.",
    remedy: "Have it replaced once more; of an imported certificate, import the next one.",
  },
  BeforeImageNotFound: {
    status: 404,
    meaning: "The operation has no such step, or the step has written nothing.",
    remedy: "Follow links.beforeImage of the operation's steps.",
  },
  GatewayNotFound: {
    status: 404,
    meaning: "There is no such gateway among those of the caller.",
    remedy: "Check the id; GET /api/gateways lists those that exist.",
  },
  GatewayNotReporting: {
    status: 409,
    meaning: "The gateway's machine does not run or does not report, so that nobody could tell what became of its SMTP service.",
    remedy: "GET /api/gateways/{gatewayId} says how it is: start the machine, or onboard the tenant again.",
  },
  RestartTooSoon: {
    status: 409,
    meaning: "The SMTP service was restarted lately, by a request or by the product itself, or is about to be.",
    remedy: "Wait as long as Retry-After says; details name the time. Look then whether it is still wanted.",
  },
  AgentNotFound: {
    status: 404,
    meaning: "There is no such machine that reports with this identity.",
    remedy: "Look at the machine's heartbeat.json and at the identity it is assigned; onboarding the tenant again writes both.",
  },
  DelistingNotFound: {
    status: 404,
    meaning: "There is no such delisting case among those of the caller.",
    remedy: "Check the id; GET /api/delistings lists those that exist.",
  },
  DelistingNotReady: {
    status: 409,
    meaning: "Nobody is to ask the list at present: something comes first, it was asked lately, or it looks gone.",
    remedy: "GET /api/delistings/{caseId} shows the state and what is waited for.",
  },
  DeadLetterNotFound: {
    status: 404,
    meaning: "There is no such dead letter: there never was, or it was replayed or discarded.",
    remedy: "GET /api/dead-letters lists those that exist.",
  },
  TaskNotFound: {
    status: 404,
    meaning: "There is no such task among those of the caller.",
    remedy: "Check the id; GET /api/tasks lists those that exist.",
  },
  TaskNotDone: {
    status: 409,
    meaning: "Somebody said that a task is done, and a look shows that it is not.",
    remedy: "Do what the message names, then say so again; what takes time to be seen everywhere may need some.",
  },
  TaskEnded: {
    status: 409,
    meaning: "The task has expired, or nobody needs it any more.",
    remedy: "Look at GET /api/tasks for an open one; asking for the operation again opens what is still needed.",
  },
  CredentialOverlapping: {
    status: 409,
    meaning: "The credential was replaced a short while ago, and the one before is still accepted for whoever has it.",
    remedy: "Wait until the time that the message names; or ask for an emergency rotation, which waits for nobody.",
  },
  CredentialNotFound: {
    status: 404,
    meaning: "There is no such credential among those of the caller.",
    remedy: "Check the names; GET /api/tenants/{tenantId}/credentials lists those that exist.",
  },
  WebhookNotFound: {
    status: 404,
    meaning: "There is no such webhook among those of the caller.",
    remedy: "Check the id; GET /api/webhooks lists those that exist.",
  },
  WebhookDeliveryNotFound: {
    status: 404,
    meaning: "There is no such delivery of this webhook.",
    remedy: "Check the id; GET /api/webhooks/{webhookId}/deliveries lists those that exist.",
  },
  WebhookLimitReached: {
    status: 409,
    meaning: "The partner has as many webhooks as a partner may have.",
    remedy: "Delete one that nobody needs, or let one tell of more types.",
  },
  WebhookDisabled: {
    status: 409,
    meaning: "The webhook is disabled, so nothing is sent to it.",
    remedy: "Register it again with enabled set to true.",
  },
  MailRecipientNotFound: {
    status: 404,
    meaning: "There is no such mail recipient of this partner.",
    remedy: "Check the id; GET /api/mail-recipients lists those that exist.",
  },
  MailRecipientLimitReached: {
    status: 409,
    meaning: "A partner has as many mail recipients as it may have.",
    remedy: "Delete one that is not needed, or enter a distribution list's address.",
  },
  MailRecipientUnconfirmed: {
    status: 409,
    meaning: "Nothing is sent to the mail recipient: its address is not confirmed, it has unsubscribed, or it is disabled.",
    remedy: "Have the address confirmed, or enable it; GET shows which it is.",
  },
  ConfirmationCodeInvalid: {
    status: 400,
    meaning: "The code is not the one that was mailed, or it is too old, or was tried too often.",
    remedy: "Compare it with the newest mail, or POST …/send-code for another one.",
  },
  ConfirmationTooSoon: {
    status: 409,
    meaning: "A code was asked for a moment ago.",
    remedy: "Wait as long as Retry-After says; look among junk mail, too.",
  },
  MailUnavailable: {
    status: 409,
    meaning: "This installation of Gatehouse has no mailbox to send mails from.",
    remedy: "Use webhooks, or have the operator set CANARY_MAILBOX.",
  },
  ScheduleNotFound: {
    status: 404,
    meaning: "There is no such timer.",
    remedy: "Check the name; GET /api/schedules lists those that exist.",
  },
  ScheduleRunning: {
    status: 409,
    meaning: "The timer is running at this moment.",
    remedy: "Wait until it has ended; GET /api/schedules shows that.",
  },
  ChangedMeanwhile: {
    status: 409,
    meaning: "Somebody else changed the same thing at the same time, several times over.",
    remedy: "Send the request again.",
    transient: true,
  },
  NotPiloted: {
    status: 409,
    meaning: "The tenant's pilot does not run, so nobody else's mail can follow it.",
    remedy: "Onboard the tenant first: POST /api/tenants/{tenantId}/onboard.",
  },
  NothingToBypass: {
    status: 409,
    meaning: "Nobody's mail runs through this tenant's gateway, so there is nothing to lead round it.",
    remedy: "Nothing to do; GET /api/tenants/{tenantId} shows the stage.",
  },
  NoFormerAddress: {
    status: 409,
    meaning: "The gateway has left no address, or it was released: there is none to go back to.",
    remedy: "Ask for a new address, without back.",
  },
  NotBypassed: {
    status: 409,
    meaning: "The tenant's mail is not led round its gateway, so there is nothing to restore.",
    remedy: "Nothing to do; GET /api/tenants/{tenantId} shows the stage.",
  },
  TenantBypassed: {
    status: 409,
    meaning: "The tenant's mail is led round its gateway, so that nothing could be proven by mail.",
    remedy: "Restore it first: POST /api/tenants/{tenantId}/restore.",
  },
  NothingToAdopt: {
    status: 409,
    meaning: "What stands of this tenant was built by us: there is nothing to take over.",
    remedy: "Nothing to do; GET /api/tenants/{tenantId} shows the stage.",
  },
  AdoptionBlocked: {
    status: 409,
    meaning: "What a person made can't be taken over: something is missing, could be several, or is another tenant's.",
    remedy: "Do what details say, then look with GET /api/tenants/{tenantId}/adopt.",
  },
  AdoptionUnread: {
    status: 503,
    meaning: "Something of what a person made could not be read, so that nothing was taken over.",
    remedy: "Look again with GET /api/tenants/{tenantId}/adopt; consent takes minutes to be known everywhere.",
    transient: true,
  },
  TenantAdopted: {
    status: 409,
    meaning:
      "A person made what stands of this tenant, and it was taken over as it is: what this call needs is not there, or an onboarding can't make it whole yet.",
    remedy: "Do what the message says; POST /api/tenants/{tenantId}/plan shows what an onboarding would make of it.",
  },
  NothingToOffboard: {
    status: 409,
    meaning: "Nothing was built for this tenant, or nothing is left of it.",
    remedy: "Remove its record with DELETE /api/tenants/{tenantId}.",
  },
  OperationInProgress: {
    status: 409,
    meaning: "Another operation is under way on this tenant.",
    remedy: "Wait for the operation that the message names.",
  },
  PartnerClientInUse: {
    status: 409,
    meaning: "Another partner is registered with this tenant and client.",
    remedy: "Give each partner an application of its own.",
  },
  PlanBlocked: {
    status: 409,
    meaning: "The plan that was insisted on has objects that the operation could not get by.",
    remedy: "Do what the reasons in details say, then plan again.",
  },
  PlanOutdated: {
    status: 409,
    meaning: "The plan that was insisted on no longer holds: details say which fields, resources, checks and findings changed.",
    remedy: "Plan again, look at it, and send its hash.",
  },
  CustomerTaken: {
    status: 409,
    meaning: "The spec names a Microsoft 365 organisation or subscription that another registered tenant or partner holds.",
    remedy: "Check the ids in the spec; if they are right, have an operator find out who holds them.",
  },
  TenantInUse: {
    status: 409,
    meaning: "The tenant stands or is being built, so its spec can't be changed in that way, nor can it be deleted.",
    remedy: "Wait for its operation to end, or keep in the spec what the message names.",
  },
  PreconditionFailed: {
    status: 412,
    meaning: "If-Match or If-None-Match does not hold for the current version.",
    remedy: "Read the resource again, decide, and send its new ETag.",
  },
  PayloadTooLarge: {
    status: 413,
    meaning: "The request's body is larger than 256 kB.",
    remedy: "Send less.",
  },
  RecordTooLarge: {
    status: 413,
    meaning: "What is to be stored is larger than a record may be.",
    remedy: "Send less; a record holds a little under 1 MiB.",
  },
  UnsupportedMediaType: {
    status: 415,
    meaning: "The body is not application/json.",
    remedy: "Send JSON with Content-Type: application/json.",
  },
  InternalServerError: {
    status: 500,
    meaning: "Something went wrong on our side; our log has the details under the request id.",
    remedy: "Try again; if it stays, give us the x-ms-request-id.",
  },
  ServiceUnavailable: {
    status: 503,
    meaning: "Something that this call depends on does not answer at the moment.",
    remedy: "Try again after the seconds in Retry-After.",
    transient: true,
  },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCodes;

/** An error of the catalogue, with its status: `throw refusal("TenantNotFound", "tenant contoso is not registered")`. */
export function refusal(code: ErrorCode, message: string, options: ControlPlaneErrorOptions = {}): ControlPlaneError {
  const entry: CatalogueEntry = errorCodes[code];
  return new ControlPlaneError(code, message, entry.status, entry.transient ?? false, options);
}

export const catalogued = (code: string): code is ErrorCode => Object.hasOwn(errorCodes, code);
