//! Callers that mean well: half of them over mutual TLS, half without, each with questions of which
//! the answer is known.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use humbaba::proto::{
    Decision, EntityUid, IsAuthorizedRequest, RoleAssignment,
    authorization_service_client::AuthorizationServiceClient,
};
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tonic::transport::Channel;

use crate::{Counts, certificates::Client, hostile::Random, sidecar::Sidecar};

/// Connections that stay open, of each kind, and calls at once on each.
const CONNECTIONS: usize = 2;
const CALLS: usize = 8;

/// Everybody who calls.
#[derive(Clone)]
pub struct Callers {
    pub sidecar: Arc<Sidecar>,
    /// The certificates of clients, as they change.
    pub client: watch::Receiver<Client>,
}

/// The connection of one caller.
#[derive(Clone)]
enum Connection {
    Plain(Channel),
    /// A connection that many share, renewed when the certificates are.
    Tls(watch::Receiver<Channel>),
}

impl Callers {
    /// Calls for that long, evenly at that rate or as fast as answers come.
    pub async fn call(&self, counts: &Arc<Counts>, rate: Option<f64>, span: Duration) {
        let begun = Instant::now();
        let pause =
            rate.map(|rate| Duration::from_secs_f64((2 * CONNECTIONS * CALLS) as f64 / rate));
        let (mut callers, mut helpers) = (JoinSet::new(), JoinSet::new());
        for connection in 0..CONNECTIONS {
            let plain = format!("http://{}", self.sidecar.plain);
            let plain = Channel::from_shared(plain).unwrap().connect_lazy();
            let tls = self.connection(&mut helpers);
            for call in 0..CALLS {
                let connections = [Connection::Plain(plain.clone()), Connection::Tls(tls.clone())];
                for (kind, channel) in connections.into_iter().enumerate() {
                    let seed = (connection * CALLS + call) * 2 + kind + 1;
                    let caller = Caller {
                        connection: channel,
                        counts: Arc::clone(counts),
                        random: Random(seed as u64),
                    };
                    callers.spawn(caller.call(pause, begun, span));
                }
            }
        }
        callers.spawn(self.clone().reconnect(Arc::clone(counts), begun, span));
        while let Some(ended) = callers.join_next().await {
            ended.unwrap();
        }
        helpers.shutdown().await;
    }

    /// A connection over TLS that is replaced by a new one whenever the certificates are.
    fn connection(&self, helpers: &mut JoinSet<()>) -> watch::Receiver<Channel> {
        let (mut client, sidecar) = (self.client.clone(), Arc::clone(&self.sidecar));
        let channel = client.borrow_and_update().channel(&sidecar);
        let (renew, connection) = watch::channel(channel);
        helpers.spawn(async move {
            while client.changed().await.is_ok() {
                let channel = client.borrow_and_update().channel(&sidecar);
                renew.send_replace(channel);
            }
            std::future::pending::<()>().await;
        });
        connection
    }

    /// Asks once over a new connection, ten times a second.
    async fn reconnect(self, counts: Arc<Counts>, begun: Instant, span: Duration) {
        while begun.elapsed() < span {
            let channel = self.client.borrow().channel(&self.sidecar);
            let channel = Connection::Tls(watch::channel(channel).1);
            let mut caller =
                Caller { connection: channel, counts: Arc::clone(&counts), random: Random(7) };
            caller.ask().await;
            sleep(Duration::from_millis(100)).await;
        }
    }
}

struct Caller {
    connection: Connection,
    counts: Arc<Counts>,
    random: Random,
}

impl Caller {
    async fn call(mut self, pause: Option<Duration>, begun: Instant, span: Duration) {
        let mut due = Instant::now();
        while begun.elapsed() < span {
            if let Some(pause) = pause {
                due += pause;
                sleep(due.saturating_duration_since(Instant::now())).await;
            }
            self.ask().await;
        }
    }

    /// Asks, looks at the answer and counts it.
    async fn ask(&mut self) {
        let (request, allowed) = question(&mut self.random);
        let channel = match &self.connection {
            Connection::Plain(channel) => channel.clone(),
            Connection::Tls(channel) => channel.borrow().clone(),
        };
        let asked = Instant::now();
        let answer = AuthorizationServiceClient::new(channel).is_authorized(request).await;
        let took = u64::try_from(asked.elapsed().as_micros()).unwrap();
        let counts = &self.counts;
        counts.took.lock().unwrap().record(took).unwrap();
        let is_tls = matches!(self.connection, Connection::Tls(_));
        match answer {
            Ok(answer) => {
                let expected = if allowed { Decision::Allow } else { Decision::Deny };
                let decision = answer.into_inner().decision();
                if decision == expected {
                    counts.good.fetch_add(1, Relaxed);
                    counts.good_over_tls.fetch_add(u64::from(is_tls), Relaxed);
                } else {
                    counts.fail(format!("{decision:?} is wrong"));
                }
            }
            Err(status) => counts.fail(format!("TLS: {is_tls}: {status:?}")),
        }
    }
}

/// Asks one question that is allowed.
pub async fn ask_once(channel: Channel) -> Result<(), String> {
    let request = question_of(1, 1, true, true);
    let answer = AuthorizationServiceClient::new(channel).is_authorized(request).await;
    let answer = answer.map_err(|status| format!("{status:?}"))?;
    let decision = answer.into_inner().decision();
    if decision == Decision::Allow { Ok(()) } else { Err(format!("{decision:?}")) }
}

/// A question and whether it must be allowed.
pub fn question(random: &mut Random) -> (IsAuthorizedRequest, bool) {
    let (user, site) = (random.below(10_000), random.below(1_000));
    let (edits, editor) = (random.below(2) == 0, random.below(2) == 0);
    (question_of(user, site, edits, editor), editor || !edits)
}

fn question_of(user: usize, site: usize, edits: bool, editor: bool) -> IsAuthorizedRequest {
    let uid = |r#type: &str, id: &str| Some(EntityUid { r#type: r#type.into(), id: id.into() });
    let role = if editor { "editor" } else { "viewer" };
    IsAuthorizedRequest {
        principal: uid("User", &format!("u{user}")),
        action: uid("", if edits { "edit" } else { "view" }),
        resource: uid("Site", &format!("s{site}")),
        role_assignments: vec![RoleAssignment { role: role.into(), ..Default::default() }],
        ..Default::default()
    }
}
