//! The certificates of the sidecar and of its clients, replaced by new ones again and again.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::sleep};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::{
    Counts,
    good::ask_once,
    pki::{Authority, Pair, mount},
    sidecar::Sidecar,
};

/// The client that is served.
pub const CLIENT: &str = "spiffe://soak.example/good";
/// One of the same authority that is not.
const STRANGER: &str = "spiffe://soak.example/stranger";

/// The time in which a change must be in force.
const SOON: Duration = Duration::from_secs(10);

/// The certificates of a client, one that is served and one that is not.
#[derive(Debug, Clone)]
pub struct Client {
    /// The authority of servers that it trusts.
    server_ca: String,
    pair: Pair,
    /// The same for a client that must be refused.
    stranger: Pair,
}

impl Client {
    /// A connection that is opened when it is first needed.
    pub fn channel(&self, sidecar: &Sidecar) -> Channel {
        self.channel_as(sidecar, &self.pair)
    }

    /// A connection that must be refused.
    pub fn stranger(&self, sidecar: &Sidecar) -> Channel {
        self.channel_as(sidecar, &self.stranger)
    }

    fn channel_as(&self, sidecar: &Sidecar, pair: &Pair) -> Channel {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.server_ca))
            .identity(Identity::from_pem(&pair.cert, &pair.key));
        let endpoint = Endpoint::from_shared(format!("https://{}", sidecar.tls)).unwrap();
        endpoint.tls_config(tls).unwrap().connect_lazy()
    }
}

/// The certificates in a folder, as the kubelet would put them there.
pub struct Certificates {
    folder: PathBuf,
    servers: Authority,
    /// The authorities of clients from the oldest on; of the last two clients are served.
    clients: Vec<(Authority, Client)>,
}

impl Certificates {
    pub fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let mut new = Self { folder, servers: Authority::new("servers"), clients: Vec::new() };
        new.renew();
        new
    }

    /// The certificates that clients use now.
    pub fn client(&self) -> Client {
        self.clients.last().unwrap().1.clone()
    }

    /// Writes a new certificate of the server, and a new authority of clients beside the last one.
    fn renew(&mut self) {
        let number = self.clients.len();
        let authority = Authority::new(&format!("clients {number}"));
        let client = Client {
            server_ca: self.servers.pem.clone(),
            pair: authority.client(&[CLIENT]),
            stranger: authority.client(&[STRANGER]),
        };
        self.clients.push((authority, client));
        let last_two = self.clients.iter().rev().take(2);
        let trusted: String = last_two.map(|(authority, _)| authority.pem.as_str()).collect();
        let server = self.servers.server(2088);
        let files =
            [("tls.crt", &server.cert), ("tls.key", &server.key), ("clients.crt", &trusted)];
        let files = files.map(|(name, text)| (name, text.as_str()));
        mount(&self.folder, &number.to_string(), &files);
    }

    /// Renews everything after each period, tells the clients once it is in force, and looks whether
    /// clients of an authority that is no longer trusted are refused.
    pub async fn rotate(
        mut self,
        sidecar: Arc<Sidecar>,
        clients: watch::Sender<Client>,
        period: Duration,
        counts: Arc<Counts>,
        over: Arc<AtomicBool>,
    ) {
        let mut next = Instant::now() + period;
        loop {
            while Instant::now() < next {
                if over.load(Relaxed) {
                    return;
                }
                sleep(Duration::from_millis(100)).await;
            }
            next += period;
            self.renew();
            let client = self.client();
            let begun = Instant::now();
            while let Err(error) = ask_once(client.channel(&sidecar)).await {
                if begun.elapsed() > SOON {
                    counts.fail(format!("new certificates are not in force: {error}"));
                    break;
                }
                sleep(Duration::from_millis(50)).await;
            }
            counts.rotations.fetch_add(1, Relaxed);
            clients.send_replace(client);
            let distrusted = self.clients.iter().rev().nth(2);
            if let Some((_, client)) = distrusted {
                counts.must_be_refused(client.channel(&sidecar), "an authority of the past").await;
            }
        }
    }
}

impl Counts {
    /// Asks once and expects to be refused.
    pub async fn must_be_refused(&self, channel: Channel, who: &str) {
        if ask_once(channel).await.is_ok() {
            self.breaches.fetch_add(1, Relaxed);
            self.note(format!("{who} was served"));
        } else {
            self.refused.fetch_add(1, Relaxed);
        }
    }
}
