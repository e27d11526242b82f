//! Asking a running Humbaba.

use std::time::Duration;

use super::{
    CliError,
    server_address::{self, ServerAddress},
    tls_flags::TlsFlags,
    token_flag::TokenFlag,
    verdict::{
        ClauseSection, Policy, PolicyError, PrintedClause, PrintedNearPermit, PrintedObstacle,
        PrintedRole, PrintedValue, Reasons, RoleHint, Verdict,
    },
};
use crate::{
    client::{Decision, Error},
    model::{Effect, Timestamp, Uid},
    proto,
    request::Violation,
};

/// Asks for one decision.
pub(super) fn ask(
    server: &ServerAddress,
    (tls, token): (&TlsFlags, &TokenFlag),
    timeout: Duration,
    request: proto::IsAuthorizedRequest,
) -> Result<Result<Verdict, Vec<Violation>>, CliError> {
    let sent = token.read()?;
    server_address::run(timeout, async {
        let client = server.connect(tls, sent, timeout).await?;
        match client.is_authorized(request.into()).await {
            Ok(decision) => Ok(Ok(verdict(decision))),
            Err(error @ (Error::Failed { .. } | Error::Unavailable(_))) => {
                let failure = format!("the server does not decide: {error}");
                Err(server.explained(failure).await)
            }
            Err(error) => refusal(error, token).map(Err),
        }
    })
}

fn refusal(error: Error, token: &TokenFlag) -> Result<Vec<Violation>, CliError> {
    match error {
        Error::InvalidInput { violations, .. } if !violations.is_empty() => Ok(violations),
        Error::InvalidInput { message, .. } | Error::UnknownStore(message) => {
            Err(CliError::Usage(message))
        }
        Error::NotAccepted(message) if message.contains("token") => {
            Err(CliError::Usage(token.advice()))
        }
        Error::NotAccepted(message) => Err(CliError::Usage(message)),
        error => Err(CliError::Failure(format!("the server does not decide: {error}"))),
    }
}

fn verdict(decision: Decision) -> Verdict {
    let effect = if decision.is_allowed() { Effect::Allow } else { Effect::Deny };
    let response = decision.into_proto();
    let policies = response.determining_policies.into_iter().map(|policy| Policy {
        policy_id: policy.policy_id,
        annotations: policy.annotations.into_iter().collect(),
    });
    let errors = response.errors.into_iter();
    Verdict {
        decision: effect,
        determining_policies: policies.collect(),
        errors: errors
            .map(|error| PolicyError { policy_id: error.policy_id, message: error.message })
            .collect(),
        explanation: response.explanation.map(reasons),
        revision: response.revision,
        decision_id: Some(response.decision_id),
    }
}

fn reasons(explanation: proto::Explanation) -> Reasons {
    let obstacles = explanation.obstacles.into_iter();
    Reasons {
        summary: explanation.summary,
        missing_roles: explanation.missing_roles.into_iter().map(role).collect(),
        obstacles: obstacles
            .map(|one| PrintedObstacle {
                policy_id: one.policy_id,
                advice: one.advice,
                file: sent(one.file),
                clauses: one.clauses.into_iter().map(clause).collect(),
            })
            .collect(),
        carried_by: explanation.carried_by.into_iter().map(role).collect(),
        hints: explanation
            .hints
            .into_iter()
            .map(|hint| RoleHint {
                add: role(hint.add.unwrap_or_default()),
                instead_of: hint.instead_of.into_iter().map(role).collect(),
            })
            .collect(),
        nearest: explanation
            .nearest
            .into_iter()
            .map(|near| PrintedNearPermit {
                policy_id: near.policy_id,
                file: sent(near.file),
                clauses_held: near.clauses_held as usize,
                clause: clause(near.clause.unwrap_or_default()),
            })
            .collect(),
    }
}

fn sent(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn clause(clause: proto::Clause) -> PrintedClause {
    let number = |number| (number > 0).then_some(number as usize);
    let values = clause.values.iter().map(|value| PrintedValue {
        expression: value.expression.clone(),
        value: value.value.clone(),
        is_in: value.is_in.clone(),
        is_in_more: value.is_in_more as usize,
    });
    PrintedClause {
        kind: match clause.kind() {
            proto::ClauseKind::Principal => ClauseSection::Principal,
            proto::ClauseKind::Action => ClauseSection::Action,
            proto::ClauseKind::Resource => ClauseSection::Resource,
            proto::ClauseKind::When => ClauseSection::When,
            proto::ClauseKind::Unless => ClauseSection::Unless,
            proto::ClauseKind::Unspecified => ClauseSection::Unknown,
        },
        line: number(clause.line),
        column: number(clause.column),
        values: values.collect(),
        text: clause.text,
        error: sent(clause.error),
    }
}

fn role(role: proto::RoleAssignment) -> PrintedRole {
    let name = |uid: Option<proto::EntityUid>| {
        uid.map(|uid| Uid::new(uid.r#type, uid.id).to_string()).unwrap_or_default()
    };
    let moment = role.expires_at.map(|moment| {
        let millis = moment.seconds.saturating_mul(1_000);
        Timestamp::from_millis(millis.saturating_add(i64::from(moment.nanos / 1_000_000)))
    });
    PrintedRole {
        principal: name(role.principal),
        role: role.role,
        scope: name(role.scope),
        expires_at: moment.map(|moment| moment.to_string()),
    }
}
