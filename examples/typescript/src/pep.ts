// Asks Humbaba whether somebody may do something. Whatever goes wrong, the answer is no.

import { fileURLToPath } from "node:url";
import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { Locals, Request, RequestHandler } from "express";
import type { ProtoGrpcType } from "./generated/authorization_service.js";
import type { IsAuthorizedRequest } from "./generated/humbaba/v1/IsAuthorizedRequest.js";
import type { IsAuthorizedResponse__Output as Answer } from "./generated/humbaba/v1/IsAuthorizedResponse.js";
import { type Action, EntityType, POLICY_STORE } from "./hitkeep.js";

// Milliseconds that an answer may take. A call without a deadline waits for as long as Humbaba hangs.
const DEADLINE = 1000;

/** Facts that the backend tells beside the user and the action. */
export type Facts = Pick<IsAuthorizedRequest, "resource" | "roleAssignments" | "entities" | "context">;

declare global {
  namespace Express {
    interface Locals {
      /** The user who made the request: set by the middleware that knows your sessions. */
      user: string;
    }
  }
}

export const uid = (type: EntityType, id: string) => ({ type, id });

// Copy the folder `proto/` into a project of your own.
const PROTO = fileURLToPath(new URL("../../../proto", import.meta.url));

export class Pep {
  readonly #client;

  /** Make one for the process: a channel carries any number of calls at once. It connects by itself. */
  constructor(address: string) {
    // As for `npm run generate`, which writes the types of these messages.
    const form = { longs: String, enums: String, defaults: true, oneofs: true };
    const types = loadSync("humbaba/v1/authorization_service.proto", { includeDirs: [PROTO], ...form });
    const { AuthorizationService } = (loadPackageDefinition(types) as unknown as ProtoGrpcType).humbaba.v1;
    if (!/^(http:\/\/|unix:\/)/.test(address)) throw new Error(`HUMBABA=${address}: must be http://host:port or unix:/path`);
    this.#client = new AuthorizationService(address.replace(/^http:\/\//, ""), credentials.createInsecure(), {
      // Else gRPC sends even calls on loopback through the proxy that `http_proxy` names.
      "grpc.enable_http_proxy": 0,
      // After failures gRPC waits longer and longer, up to two minutes, before it connects again.
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 1000,
      // No keepalive: Humbaba is on this machine. If it ends its connections close, and if it hangs there is
      // the deadline.
    });
  }

  /** Asks one question. Fails where there is no answer in time. */
  ask(user: string, action: Action, facts: Facts): Promise<Answer> {
    const principal = uid(EntityType.User, user);
    const question = { policyStore: POLICY_STORE, principal, action: { id: action }, explain: true, ...facts };
    return new Promise((resolve, reject) =>
      this.#client.IsAuthorized(question, { deadline: Date.now() + DEADLINE }, (error, answer) =>
        answer ? resolve(answer) : reject(error),
      ),
    );
  }

  /** Makes a middleware that lets a request through only on an allow. */
  requires(action: Action, facts: (request: Request, locals: Locals) => Facts): RequestHandler {
    return async (request, response, next) => {
      const known = facts(request, response.locals);
      let answer;
      try {
        answer = await this.ask(response.locals.user, action, known);
      } catch (error) {
        console.error(`${action}: no answer from Humbaba: ${error}`);
        response.status(503).json({ error: "unavailable" });
        return;
      }
      if (answer.decision === "DECISION_ALLOW") return next();
      const why = answer.explanation?.summary;
      response.status(403).json({ error: "forbidden", action, why, decision_id: answer.decisionId });
    };
  }
}
