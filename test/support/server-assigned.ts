/** Properties of what the simulated clouds hold that no roll-back brings back, and need not: docs/roll-back.md shows them. */

export const serverAssigned: Readonly<Record<string, string>> = {
  guid: "Exchange Online gives every new object its own",
  immutableId: "Exchange Online gives every new object its own",
  whenCreated: "the time at which an object was made",
  whenChanged: "the time of the last change, also of one that was taken back",
  messages: "mails that were sent, those of probes among them",
  effectiveRules: "Exchange Online's servers learn a rule one after another, and forget it so",
  rulesPropagated: "Exchange Online's servers learn a rule one after another, and forget it so",
  operations: "Azure keeps its own long-running operations for a while",
  deletedVaults: "Azure keeps a deleted vault for its retention time",
  time: "when a machine's agent was last heard of",
};
