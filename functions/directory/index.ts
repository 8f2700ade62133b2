/** Directory: users and groups of a customer's Microsoft 365 as a document for its gateways, kept by what changed. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerDurableHttp, registerHttp } from "../../shared/api/register.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import { registerDurableTimer } from "../../shared/triggers.ts";
import { createDirectoryActivities } from "./activities.ts";
import { getDirectoryDocument } from "./document.ts";
import { getDirectory, startDirectoryRefresh } from "./http.ts";
import { refreshDirectory } from "./orchestrator.ts";
import { refreshDirectories } from "./timer.ts";
import type { DirectoryFunctions } from "./world.ts";

export function registerDirectory(world: DirectoryFunctions): void {
  registerHttp("getDirectory", endpoint("getDirectory", world, getDirectory(world)));
  registerHttp("getDirectoryDocument", endpoint("getDirectoryDocument", world, getDirectoryDocument(world)));
  registerDurableHttp("startDirectoryRefresh", (client) => startDirectoryRefresh(world, client));
  registerDurableTimer("refreshDirectories", "%DIRECTORIES_SCHEDULE%", (client) => refreshDirectories(world, client));
  registerOrchestrator(refreshDirectory);
  registerActivities(createDirectoryActivities(world), world);
}
