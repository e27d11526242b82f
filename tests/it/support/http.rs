//! HTTP in as few words as a probe needs.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// An answer.
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Gets a path.
pub async fn get(address: SocketAddr, path: &str) -> HttpAnswer {
    get_with(address, path, "").await
}

/// Gets a path with more header lines.
pub async fn get_with(address: SocketAddr, path: &str, headers: &str) -> HttpAnswer {
    ask(address, &format!("GET {path}"), headers, "").await
}

/// Posts JSON to a path.
pub async fn post_json(address: SocketAddr, path: &str, json: &str) -> HttpAnswer {
    let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", json.len());
    ask(address, &format!("POST {path}"), &head, json).await
}

async fn ask(address: SocketAddr, what: &str, headers: &str, body: &str) -> HttpAnswer {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request =
        format!("{what} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n{body}");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    HttpAnswer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}
