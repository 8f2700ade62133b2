/** What Azure SQL says of itself where other providers have a provisioning state. */

/** States in which a write is under way. Source: `DatabaseStatus` of Microsoft.Sql; a server has `Creating` of them. */
const UNDER_WAY = new Set(["Creating", "Updating", "Scaling", "Copying", "Restoring", "Recovering"]);

/** Any other state but `Failed` is one that no write of ours would change. */
export const provisioningStateOfSql = (state = "Ready"): string =>
  UNDER_WAY.has(state) || state === "Failed" ? state : "Succeeded";
