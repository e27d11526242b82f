//! A server of `web_listen` on a port of its own, and requests to it.

use std::{net::SocketAddr, sync::Arc};

use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use humbaba::{
    audit::DecisionLog,
    grpc::GrpcOptions,
    http::{HttpOptions, WebOptions, WebServer},
    store::PolicyStore,
};
use hyper::{HeaderMap, Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value as Json, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::support::TestServer;

/// A server of gRPC, HTTP and AuthZEN. It ends when it is dropped.
pub struct Web {
    pub server: TestServer,
    pub address: SocketAddr,
    serving: JoinHandle<std::io::Result<()>>,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// The body of an answer that is good.
    pub fn json(&self) -> Json {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Web {
    /// A server with those stores, of which the first is the default.
    pub async fn start(stores: impl IntoIterator<Item = Arc<PolicyStore>>) -> Self {
        Self::with(stores, GrpcOptions::default(), WebOptions::default()).await
    }

    /// The same with options.
    pub async fn with(
        stores: impl IntoIterator<Item = Arc<PolicyStore>>,
        options: GrpcOptions,
        web: WebOptions,
    ) -> Self {
        let log = DecisionLog::off();
        let server = TestServer::with_http(options, HttpOptions::default(), log).await;
        Self::beside(server, stores, web).await
    }

    /// AuthZEN beside a server.
    pub async fn beside(
        server: TestServer,
        stores: impl IntoIterator<Item = Arc<PolicyStore>>,
        web: WebOptions,
    ) -> Self {
        let stores: Vec<_> = stores.into_iter().collect();
        if let Some(default) = stores.first().map(|store| store.name().to_string()) {
            server.publish(stores, Some(&default));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let web = WebServer::new(&server.server, web);
        let serving =
            tokio::spawn(async move { web.serve(listener, std::future::pending()).await });
        Self { server, address, serving }
    }

    /// Sends a request.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (mut sender, connection) = http1::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        connection.abort();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// A request with a body of JSON, to which more can be added.
    pub fn request(&self, path: &str) -> hyper::http::request::Builder {
        let request = Request::post(path).header("host", self.address.to_string());
        request.header("content-type", "application/json")
    }

    /// Posts those bytes as JSON.
    pub async fn post_bytes(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(self.request(path).body(Full::new(body.into())).unwrap()).await
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Json) -> Answer {
        self.post_bytes(path, body.to_string()).await
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).header("host", self.address.to_string());
        self.send(request.body(Full::default()).unwrap()).await
    }

    /// The answer to a question.
    pub async fn evaluation(&self, question: &Json) -> Json {
        self.post("/access/v1/evaluation", question).await.json()
    }

    /// The decision on a question.
    pub async fn decision(&self, question: &Json) -> bool {
        self.evaluation(question).await["decision"].as_bool().unwrap()
    }

    /// The message of a question that is not answered, with its status.
    pub async fn fault(&self, question: &Json) -> (u64, String) {
        let answer = self.evaluation(question).await;
        assert_eq!(answer["decision"], json!(false), "{answer}");
        let error = &answer["context"]["error"];
        let message = error["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
        (error["status"].as_u64().unwrap(), message.to_owned())
    }

    /// The answers to many questions.
    pub async fn evaluations(&self, questions: &Json) -> Json {
        self.post("/access/v1/evaluations", questions).await.json()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A subject or resource, written `type::id`.
pub fn entity(text: &str) -> Json {
    let (type_name, id) = text.rsplit_once("::").unwrap();
    json!({"type": type_name, "id": id})
}

/// The same with properties.
pub fn with(text: &str, properties: Json) -> Json {
    let mut entity = entity(text);
    entity["properties"] = properties;
    entity
}

/// May that subject do that action on that resource?
pub fn ask(subject: &str, action: &str, resource: &str) -> Json {
    json!({"subject": entity(subject), "action": {"name": action}, "resource": entity(resource)})
}

/// The same with another part.
pub fn asking(mut question: Json, part: &str, value: Json) -> Json {
    question[part] = value;
    question
}
