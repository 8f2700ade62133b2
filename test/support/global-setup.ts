/** Starts what all test files of a run share, and says where it is: `inject("azurite")` is Azurite's connection string. */
import type { TestProject } from "vitest/node";
import { startAzurite } from "./azurite.ts";

declare module "vitest" {
  interface ProvidedContext {
    azurite: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const azurite = await startAzurite();
  project.provide("azurite", azurite.connectionString);
  return () => azurite.stop();
}
