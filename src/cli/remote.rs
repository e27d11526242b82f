//! Asking a running Humbaba.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{
    CliError,
    exit::chain,
    server_address::{self, ServerAddress},
    tls_flags::TlsFlags,
    verdict::{
        Clause, ClauseValue, Kind, NearPermit, Obstacle, Policy, PolicyError, Reasons, Role,
        RoleHint, Verdict,
    },
};
use crate::{
    model::{Effect, Timestamp, Uid},
    proto::{self, authorization_service_client::AuthorizationServiceClient},
    request::Violation,
};

/// Asks for one decision.
pub(super) fn ask(
    server: &ServerAddress,
    tls: &TlsFlags,
    timeout: Duration,
    request: proto::IsAuthorizedRequest,
) -> Result<Result<Verdict, Vec<Violation>>, CliError> {
    server_address::run(timeout, async {
        let mut client = AuthorizationServiceClient::new(server.connect(tls).await?);
        match client.is_authorized(request).await {
            Ok(response) => Ok(Ok(verdict(response.into_inner()))),
            Err(status) => refusal(&status).map(Err),
        }
    })
}

fn refusal(status: &Status) -> Result<Vec<Violation>, CliError> {
    let details = status.get_details_bad_request();
    let violations: Vec<_> = details
        .into_iter()
        .flat_map(|details| details.field_violations)
        .map(|one| Violation { field: one.field, description: one.description, limit: None })
        .collect();
    match status.code() {
        Code::InvalidArgument if !violations.is_empty() => Ok(violations),
        Code::InvalidArgument | Code::NotFound | Code::OutOfRange => {
            Err(CliError::Usage(status.message().to_owned()))
        }
        code => {
            let message = if status.message().is_empty() {
                chain(status)
            } else {
                status.message().to_owned()
            };
            Err(CliError::Failure(format!("the server does not decide ({code:?}): {message}")))
        }
    }
}

fn verdict(response: proto::IsAuthorizedResponse) -> Verdict {
    // Whatever is not an allow is a deny, also what a later version may add.
    let decision = match response.decision() {
        proto::Decision::Allow => Effect::Allow,
        proto::Decision::Deny | proto::Decision::Unspecified => Effect::Deny,
    };
    let policies = response.determining_policies.into_iter().map(|policy| Policy {
        policy_id: policy.policy_id,
        annotations: policy.annotations.into_iter().collect(),
    });
    let errors = response.errors.into_iter();
    Verdict {
        decision,
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
            .map(|one| Obstacle {
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
            .map(|near| NearPermit {
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

fn clause(clause: proto::Clause) -> Clause {
    let number = |number| (number > 0).then_some(number as usize);
    let values = clause.values.iter().map(|value| ClauseValue {
        expression: value.expression.clone(),
        value: value.value.clone(),
        is_in: value.is_in.clone(),
        is_in_more: value.is_in_more as usize,
    });
    Clause {
        kind: match clause.kind() {
            proto::ClauseKind::Principal => Kind::Principal,
            proto::ClauseKind::Action => Kind::Action,
            proto::ClauseKind::Resource => Kind::Resource,
            proto::ClauseKind::When => Kind::When,
            proto::ClauseKind::Unless => Kind::Unless,
            proto::ClauseKind::Unspecified => Kind::Unknown,
        },
        line: number(clause.line),
        column: number(clause.column),
        values: values.collect(),
        text: clause.text,
        error: sent(clause.error),
    }
}

fn role(role: proto::RoleAssignment) -> Role {
    let name = |uid: Option<proto::EntityUid>| {
        uid.map(|uid| Uid::new(uid.r#type, uid.id).to_string()).unwrap_or_default()
    };
    let moment = role.expires_at.map(|moment| {
        let millis = moment.seconds.saturating_mul(1_000);
        Timestamp::from_millis(millis.saturating_add(i64::from(moment.nanos / 1_000_000)))
    });
    Role {
        principal: name(role.principal),
        role: role.role,
        scope: name(role.scope),
        expires_at: moment.map(|moment| moment.to_string()),
    }
}
