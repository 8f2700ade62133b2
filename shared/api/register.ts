/** Puts a route of the table into the host: the route's name is the function's name, its path the function's route. */
import { app, type HttpHandler } from "@azure/functions";
import * as durable from "durable-functions";
import { type RouteName, routes } from "./routes.ts";

// Callers are known by their token alone, so there are no function keys (research of App Service: shared, not per person).
const trigger = (name: RouteName) =>
  ({ methods: [routes[name].method], route: routes[name].path.slice(1), authLevel: "anonymous" }) satisfies Parameters<
    typeof app.http
  >[1] extends infer Options
    ? Omit<Options, "handler">
    : never;

export const registerHttp = (name: RouteName, handler: HttpHandler): void => app.http(name, { ...trigger(name), handler });

/** For routes that start or question orchestrations. */
export const registerDurableHttp = (name: RouteName, handlerWith: (client: durable.DurableClient) => HttpHandler): void =>
  durable.app.client.http(name, {
    ...trigger(name),
    handler: (request, client, context) => handlerWith(client)(request, context),
  });
