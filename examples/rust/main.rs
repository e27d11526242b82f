//! A small analytics backend: sites, goals and members. Each route says what it requires.

mod facts;
#[rustfmt::skip]
mod hitkeep;
mod pep;
mod sites;

use std::{
    collections::HashMap,
    env,
    error::Error,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{Path, Request, State},
    http::{StatusCode, header::AUTHORIZATION, request::Parts},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post, put},
};
use humbaba::client::{Question, Refusal};
use percent_encoding::percent_decode_str;
use serde_json::{Value as JsonValue, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use hitkeep::{Action, SiteRole};
use pep::{Pep, Refused};
use sites::{Goal, Sites};

#[derive(Clone)]
struct Backend {
    sites: Arc<Sites>,
    pep: Pep,
    /// The users who are logged in, by token.
    sessions: Arc<Mutex<HashMap<String, String>>>,
    /// Held from the question to the write: whether an owner remains must still be true then.
    changing_members: Arc<tokio::sync::Mutex<()>>,
}

/// The user of a request.
#[derive(Clone)]
struct User(String);

fn routes(backend: Backend) -> Router {
    let goals = backend
        .requires(Action::SiteGoalsView, get(list_goals))
        .merge(backend.requires(Action::SiteGoalsCreate, post(create_goal)));
    let goal = backend.requires(Action::SiteGoalsEdit, put(rename_goal));
    Router::new()
        .route("/sites", post(create_site))
        .route("/sites/{site}/goals", goals)
        .route("/sites/{site}/goals/{goal}", goal)
        .route("/sites/{site}/members/{user}", put(set_role).delete(remove_member))
        .fallback(async || Failed::NotFound)
        .layer(from_fn_with_state(backend.clone(), authenticated))
        .route("/login", post(login))
        .with_state(backend)
}

impl Backend {
    /// Guards a route of a site.
    fn requires(&self, action: Action, route: MethodRouter<Self>) -> MethodRouter<Self> {
        let sites = self.sites.clone();
        self.pep.guard(action, move |head| site_question(&sites, action, head), route)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn site_question(sites: &Sites, action: Action, head: &Parts) -> Result<Question, Refusal> {
    let user = head.extensions.get::<User>();
    let User(user) = user.ok_or_else(|| Refusal::Unauthenticated("log in first".to_owned()))?;
    // As axum decodes it for the handler: both must speak of one site.
    let site = head.uri.path().split('/').nth(2).unwrap_or_default();
    let site = percent_decode_str(site).decode_utf8_lossy();
    facts::on_site(sites, action, user, &site).map_err(|error| {
        tracing::error!(%error, "the database");
        Refusal::Unavailable
    })
}

async fn authenticated(
    State(backend): State<Backend>,
    mut request: Request,
    next: Next,
) -> Response {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
    let Some(user) = backend.sessions().get(token).cloned() else {
        return Failed::Unauthenticated.into_response();
    };
    request.extensions_mut().insert(User(user));
    next.run(request).await
}

/// A stub: it believes everybody. Put your sessions here.
async fn login(State(backend): State<Backend>, body: Bytes) -> Result<Response, Failed> {
    let user = text(&body, "user")?;
    let token = new_id();
    backend.sessions().insert(token.clone(), user);
    Ok(Json(json!({"token": token})).into_response())
}

async fn create_site(
    State(backend): State<Backend>,
    Extension(User(user)): Extension<User>,
    body: Bytes,
) -> Result<Response, Failed> {
    let (site, name) = (new_id(), text(&body, "name")?);
    let question = facts::on_new_site(&backend.sites, &user, &site)?;
    backend.pep.require(Action::SiteCreate, question).await?;
    backend.sites.create(&site, &name, &user)?;
    Ok((StatusCode::CREATED, Json(json!({"id": site}))).into_response())
}

async fn list_goals(
    State(backend): State<Backend>,
    Path(site): Path<String>,
) -> Result<Json<Vec<Goal>>, Failed> {
    Ok(Json(backend.sites.goals(&site)?))
}

async fn create_goal(
    State(backend): State<Backend>,
    Path(site): Path<String>,
    body: Bytes,
) -> Result<Response, Failed> {
    let (goal, name) = (new_id(), text(&body, "name")?);
    backend.sites.create_goal(&goal, &site, &name)?;
    Ok((StatusCode::CREATED, Json(json!({"id": goal}))).into_response())
}

async fn rename_goal(
    State(backend): State<Backend>,
    Path((site, goal)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Goal>, Failed> {
    let name = text(&body, "name")?;
    if !backend.sites.rename_goal(&site, &goal, &name)? {
        return Err(Failed::NotFound);
    }
    Ok(Json(Goal { id: goal, name }))
}

/// Adds who is no member yet and changes the role of others: two actions of the store.
async fn set_role(
    State(backend): State<Backend>,
    Extension(User(user)): Extension<User>,
    Path((site, member)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Failed> {
    let role = site_role(&text(&body, "role")?)?;
    let _changing = backend.changing_members.lock().await;
    let held = backend.sites.role(&site, &member)?;
    let action = match held {
        Some(_) => Action::SiteMembersChangeRole,
        None => Action::SiteMembersAdd,
    };
    let question = facts::on_member(&backend.sites, action, &user, &site, &member, Some(role))?;
    backend.pep.require(action, question).await?;
    backend.sites.set_role(&site, &member, role.as_str())?;
    Ok(Json(json!({"user": member, "role": role.as_str()})).into_response())
}

async fn remove_member(
    State(backend): State<Backend>,
    Extension(User(user)): Extension<User>,
    Path((site, member)): Path<(String, String)>,
) -> Result<StatusCode, Failed> {
    let action = Action::SiteMembersRemove;
    let _changing = backend.changing_members.lock().await;
    let question = facts::on_member(&backend.sites, action, &user, &site, &member, None)?;
    backend.pep.require(action, question).await?;
    if !backend.sites.remove(&site, &member)? {
        return Err(Failed::NotFound);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Reads a text of the body.
fn text(body: &[u8], field: &str) -> Result<String, Failed> {
    let body: JsonValue = serde_json::from_slice(body)
        .map_err(|error| Failed::BadRequest(format!("the body must be JSON: {error}")))?;
    let text = body.get(field).and_then(JsonValue::as_str).filter(|text| !text.is_empty());
    let missing = || Failed::BadRequest(format!("the body must have a text `{field}`"));
    text.map(str::to_owned).ok_or_else(missing)
}

fn site_role(name: &str) -> Result<SiteRole, Failed> {
    let roles = [SiteRole::Owner, SiteRole::Admin, SiteRole::Editor, SiteRole::Viewer];
    let must_be = || Failed::BadRequest("`role` must be owner, admin, editor or viewer".to_owned());
    roles.into_iter().find(|role| role.as_str() == name).ok_or_else(must_be)
}

/// The reason why a request has no better answer.
enum Failed {
    BadRequest(String),
    Unauthenticated,
    NotFound,
    Refused(Refused),
    Database(rusqlite::Error),
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::BadRequest(error) => (StatusCode::BAD_REQUEST, error),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated".to_owned()),
            Self::NotFound => (StatusCode::NOT_FOUND, "not found".to_owned()),
            Self::Refused(refused) => return refused.into_response(),
            Self::Database(error) => {
                tracing::error!(%error, "the database");
                (StatusCode::INTERNAL_SERVER_ERROR, "internal".to_owned())
            }
        };
        (status, Json(json!({"error": error}))).into_response()
    }
}

fn new_id() -> String {
    Uuid::now_v7().to_string()
}

fn variable(name: &str, otherwise: &str) -> String {
    env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let backend = Backend {
        sites: Arc::new(Sites::open(&variable("DATABASE", ":memory:"))?),
        pep: Pep::new(&variable("HUMBABA", "http://127.0.0.1:8180"))?,
        sessions: Arc::default(),
        changing_members: Arc::default(),
    };
    let listener = TcpListener::bind(("127.0.0.1", variable("PORT", "8000").parse()?)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, routes(backend)).await?;
    Ok(())
}
