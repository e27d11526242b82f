//! The console of a server that loads a folder.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use humbaba::{
    audit::{DecisionLog, LogOptions},
    grpc::GrpcOptions,
    http::{HttpOptions, WebOptions, WebServer},
    reload::{self, Options, Reloader, Source},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    TestServer,
    http::{self, HttpAnswer},
    wait::until,
};

/// A server with a console. It ends when it is dropped.
pub struct ConsoleServer {
    pub server: TestServer,
    pub address: SocketAddr,
    pub folder: TempDir,
    _reloader: Reloader,
    serving: JoinHandle<()>,
}

impl ConsoleServer {
    /// Serves stores, each of a name and of files with their texts.
    pub async fn start(stores: &[(&str, &[(&str, &str)])]) -> Self {
        Self::recording(
            stores,
            LogOptions { recent: 100, recent_readers: 2, ..LogOptions::default() },
        )
        .await
    }

    /// The same with options of the decision log.
    pub async fn recording(stores: &[(&str, &[(&str, &str)])], log: LogOptions) -> Self {
        let folder = TempDir::new().unwrap();
        for (store, files) in stores {
            fs::create_dir(folder.path().join(store)).unwrap();
            for (file, text) in *files {
                fs::write(folder.path().join(store).join(file), text).unwrap();
            }
        }
        Self::of_folder(folder, log).await
    }

    /// Serves a folder.
    pub async fn of_folder(folder: TempDir, log: LogOptions) -> Self {
        Self::with(folder, log, WebOptions::default()).await
    }

    /// Serves a folder with options of the listener.
    pub async fn with(folder: TempDir, log: LogOptions, web_options: WebOptions) -> Self {
        let log = DecisionLog::open(log).unwrap();
        let (grpc, http) = (GrpcOptions::default(), HttpOptions::default());
        let server = TestServer::with_http(grpc, http, log).await;
        let source = Source::Folder(folder.path().to_owned());
        let options = Options {
            settle: Duration::from_millis(10),
            settle_removals: Duration::from_millis(10),
            ..Options::default()
        };
        // A folder of which no store is valid is served too.
        let _ = reload::load(&source, &options, &server.live);
        let reloader = reload::watch(source, options, Arc::clone(&server.live));
        server.server.set_serving(true);
        let web = WebServer::new(&server.server, web_options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving =
            tokio::spawn(async move { web.serve(listener, std::future::pending()).await.unwrap() });
        Self { server, address, folder, _reloader: reloader, serving }
    }

    /// Gets a page.
    pub async fn get(&self, path: &str) -> HttpAnswer {
        http::get(self.address, path).await
    }

    /// The path of a file of a store.
    pub fn path(&self, store: &str, file: &str) -> PathBuf {
        self.folder.path().join(store).join(file)
    }

    /// Replaces a file of a store as an editor does, in one step.
    pub fn write(&self, store: &str, file: &str, text: &str) {
        let aside = self.folder.path().join(".aside");
        fs::write(&aside, text).unwrap();
        fs::rename(&aside, self.path(store, file)).unwrap();
    }

    /// Waits until a page contains a text, and returns it.
    pub async fn shows(&self, path: &str, part: &str) -> String {
        let mut page = String::new();
        until(&format!("{path} shows {part}"), async || {
            page = self.get(path).await.body;
            page.contains(part)
        })
        .await;
        page
    }
}

impl Drop for ConsoleServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Copies a store of those that are shipped into a folder.
pub fn copy_shipped(store: &str, folder: &Path) {
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(store), &folder.join(store));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
