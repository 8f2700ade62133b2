/** The smallest durable app: five activities one after another, or as many as wanted at once. */
import { app } from "@azure/functions";
import * as durable from "durable-functions";

app.http("hello", { methods: ["GET"], authLevel: "anonymous", handler: () => ({ body: "hello" }) });

durable.app.activity("greet", { handler: (name: string) => `Hello ${name}` });

durable.app.orchestration("fiveInTurn", function* (context) {
  for (const name of ["Tokyo", "Seattle", "London", "Oslo", "Lima"]) yield context.df.callActivity("greet", name);
});

durable.app.orchestration("manyAtOnce", function* (context) {
  const count = context.df.getInput<number>() ?? 0;
  yield context.df.Task.all(Array.from({ length: count }, (_, index) => context.df.callActivity("greet", `number ${index}`)));
});
