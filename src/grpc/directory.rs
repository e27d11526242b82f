//! The directory service: writing, listing and following the directories that the sidecar holds.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use tokio::{sync::mpsc, task};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::{
    GrpcOptions, assignment_list,
    convert::{read_changes, sent_change},
    entity_list::{self, PageLimits},
    health::HealthService,
    metrics::Metrics,
    status,
};
use crate::{
    directory::{Change, DirectoryVersion},
    model::{StoreName, Timestamp},
    net::LongCallPool,
    proto::{self, directory_service_server::DirectoryService},
    reload::{DirectoryFollower, DirectoryState, FollowError, InForce, Live, VersionChanges},
    request::{FieldPath, Violation},
    sources::{EmbeddedDirectory, WriteError},
};

/// The directories that the sidecar keeps itself; unset until they are opened.
pub(super) type EmbeddedDirectories = Arc<OnceLock<BTreeMap<StoreName, EmbeddedDirectory>>>;

/// Answers who writes, lists and follows directories.
#[derive(Clone)]
pub(super) struct Directories {
    pub live: Arc<Live>,
    pub options: Arc<GrpcOptions>,
    pub embedded: EmbeddedDirectories,
    pub health: HealthService,
    pub metrics: Arc<Metrics>,
    /// Searches lists; none where the call is answered on the pool already.
    pub pool: Option<LongCallPool>,
}

#[tonic::async_trait]
impl DirectoryService for Directories {
    async fn write(
        &self,
        request: Request<proto::WriteRequest>,
    ) -> Result<Response<proto::WriteResponse>, Status> {
        let sent = request.into_inner();
        let directory = self.embedded(&sent.policy_store)?;
        let changes = self.changes(sent.changes).map_err(|violations| {
            self.metrics.refused(&violations);
            status::bad_request(violations)
        })?;
        let fields: Vec<_> = changes.iter().map(field).collect();
        let written = directory.write(changes, sent.if_version).await;
        let version = written.map_err(|error| not_written(error, &fields))?;
        Ok(Response::new(proto::WriteResponse { directory_version: version.to_string() }))
    }

    async fn list_assignments(
        &self,
        request: Request<proto::ListAssignmentsRequest>,
    ) -> Result<Response<proto::ListAssignmentsResponse>, Status> {
        let question = request.into_inner();
        let (in_force, state) = self.state(&question.policy_store)?;
        let options = Arc::clone(&self.options);
        let list = move || {
            let known = in_force.store.engine().known(None);
            assignment_list::page(
                &state,
                known,
                &options.limits,
                question,
                options.page_items,
                now(),
            )
        };
        self.listed(list).await
    }

    async fn list_entities(
        &self,
        request: Request<proto::ListEntitiesRequest>,
    ) -> Result<Response<proto::ListEntitiesResponse>, Status> {
        let question = request.into_inner();
        let (in_force, state) = self.state(&question.policy_store)?;
        let options = Arc::clone(&self.options);
        let list = move || {
            // Half of what a client takes by default: the rest is for the frames around entities.
            let (entities, bytes) = (options.page_items, options.message_bytes / 2);
            let limits = PageLimits { request: &options.limits, entities, bytes };
            entity_list::page(&state, in_force.store.engine().known(None), question, limits)
        };
        self.listed(list).await
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<proto::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<proto::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let proto::WatchRequest { policy_store, after_version } = request.into_inner();
        let store = self.state(&policy_store)?.0.store.name().clone();
        let begins_now = after_version.is_empty();
        let (live, name) = (Arc::clone(&self.live), store.clone());
        // Not on this thread, which answers other calls: it waits while a change is made.
        let following = task::spawn_blocking(move || live.follow_directory(&name, &after_version));
        let followed = following.await.map_err(status::stopping)?;
        let (now, follower) = followed.map_err(not_followed)?;
        let begin = begins_now.then_some(now);
        // One message waits for a slow reader; what follows stays among the changes that are kept.
        let (sender, receiver) = mpsc::channel(1);
        let (live, health) = (Arc::clone(&self.live), self.health.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = tell(&sender, follower, begin, (&live, &store)) => {}
                () = sender.closed() => {}
                () = health.stopped() => {
                    // The reader may be slow, and the server does not wait for it.
                    let _ = sender.try_send(Err(Status::unavailable("the server is stopping")));
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

impl Directories {
    /// Returns the store of a name and the state of its directory.
    fn state(&self, name: &str) -> Result<(InForce, Arc<DirectoryState>), Status> {
        let in_force = self.live.in_force(name).map_err(status::not_in_force)?;
        match in_force.directory.clone() {
            Some(state) => Ok((in_force, state)),
            None => Err(status::no_directory(&in_force.store)),
        }
    }

    /// Returns a page, which is made where it holds nobody up.
    async fn listed<T: Send + 'static>(
        &self,
        list: impl FnOnce() -> Result<T, Vec<Violation>> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let page = match &self.pool {
            Some(pool) => pool.run(async move { list() }).await.map_err(status::stopping)?,
            None => list(),
        };
        page.map(Response::new).map_err(status::bad_request)
    }

    /// Returns the directory of a store, where the sidecar keeps it itself.
    fn embedded(&self, name: &str) -> Result<EmbeddedDirectory, Status> {
        let (in_force, _) = self.state(name)?;
        let store = in_force.store.name();
        let not_opened = || Status::unavailable("the directories are not opened yet");
        match self.embedded.get().ok_or_else(not_opened)?.get(store) {
            Some(directory) => Ok(directory.clone()),
            None => Err(Status::failed_precondition(format!(
                "the directory of the policy store `{store}` is kept elsewhere, and is written \
                 there: {}",
                self.source(store)
            ))),
        }
    }

    fn source(&self, store: &StoreName) -> Arc<str> {
        let state = self.live.state();
        let source = state.directories.get(store).map(|directory| Arc::clone(&directory.source));
        source.unwrap_or_default()
    }

    fn changes(&self, sent: Vec<proto::DirectoryChange>) -> Result<Vec<Change>, Vec<Violation>> {
        let (count, limit) = (sent.len(), self.options.directory_changes);
        if count > limit {
            let description = format!("{count} changes, more than the limit of {limit}: send less");
            let violation = FieldPath::Field("changes").violation(description);
            return Err(vec![violation.of_limit("directory_changes")]);
        }
        read_changes(sent, &self.options.limits)
    }
}

/// Tells changes as they come in force, until that fails or nobody listens.
async fn tell(
    sender: &mpsc::Sender<Result<proto::WatchResponse, Status>>,
    mut follower: DirectoryFollower,
    begin: Option<DirectoryVersion>,
    (live, store): (&Live, &StoreName),
) {
    if let Some(version) = begin {
        let directory_version = version.to_string();
        let begin = proto::WatchResponse { changes: Vec::new(), directory_version };
        if sender.send(Ok(begin)).await.is_err() {
            return;
        }
    }
    loop {
        let next = follower.next().await.map_err(not_followed);
        let next = next.and_then(|next| told(&next, live, store));
        let is_last = next.is_err();
        if sender.send(next).await.is_err() || is_last {
            return;
        }
    }
}

/// Returns the changes of a version, by the schema that is in force by now.
fn told(
    VersionChanges { changes, version }: &VersionChanges,
    live: &Live,
    store: &StoreName,
) -> Result<proto::WatchResponse, Status> {
    let stores = live.stores();
    let store = stores.get(store.as_str()).map_err(|error| status::not_in_force(error.into()))?;
    let sent = |change: &Change| sent_change(change.clone(), store.schema());
    Ok(proto::WatchResponse {
        changes: changes.iter().map(sent).collect(),
        directory_version: version.to_string(),
    })
}

fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::after_1970(elapsed)
}

/// Returns the field of a change in its message.
fn field(change: &Change) -> &'static str {
    match change {
        Change::Put(_) => "put_assignment",
        Change::Delete(_) => "delete_assignment",
        Change::PutEntity(_) => "put_entity",
        Change::DeleteEntity(_) => "delete_entity",
    }
}

/// Returns the status of a write that was not made. `fields` has that of each change.
fn not_written(error: WriteError, fields: &[&'static str]) -> Status {
    match error {
        WriteError::Invalid(faults) => {
            let list = FieldPath::Field("changes");
            let (described, others): (Vec<_>, Vec<_>) =
                faults.into_iter().partition(|fault| !fault.description.is_empty());
            let more = format!("{} further changes do not fit the schema", others.len());
            let more = (!others.is_empty()).then(|| list.violation(more));
            let violations = described.into_iter().map(|fault| {
                let change = FieldPath::Index(&list, fault.index);
                let change = FieldPath::Of(&change, fields.get(fault.index).unwrap_or(&"change"));
                let field = fault.field.strip_prefix("entity").unwrap_or(&fault.field);
                let field = match field.trim_start_matches('.') {
                    "" => change.to_string(),
                    field => format!("{change}.{field}"),
                };
                Violation { field, description: fault.description, limit: None }
            });
            status::bad_request(violations.chain(more).collect())
        }
        WriteError::Version(error) => status::no_such_version("if_version", error),
        WriteError::OtherVersion { .. } => Status::failed_precondition(error.to_string()),
        WriteError::Unknown(_) => Status::unknown(error.to_string()),
        WriteError::NotDurable(_) => Status::aborted(error.to_string()),
        WriteError::Unavailable => Status::unavailable(error.to_string()),
    }
}

fn not_followed(error: FollowError) -> Status {
    match error {
        FollowError::Version(error) => status::no_such_version("after_version", error),
        FollowError::NotReached(_) => Status::failed_precondition(error.to_string()),
        FollowError::Trimmed => Status::out_of_range(error.to_string()),
        FollowError::Unavailable => Status::unavailable(error.to_string()),
    }
}
