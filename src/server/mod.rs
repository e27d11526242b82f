//! The gRPC and HTTP faces.

pub mod codec;
pub struct ServerOptions {
    pub limits: crate::request::RequestLimits,
    pub batch_items: usize,
    pub message_bytes: usize,
    pub on_forbid_error: crate::engine::OnForbidError,
    pub concurrent_requests: usize,
    pub request_timeout: std::time::Duration,
    pub drain_timeout: std::time::Duration,
}
#[derive(Debug)]
pub enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}
pub struct Server;
impl Server {
    pub fn new(_: std::sync::Arc<crate::live::Live>, _: ServerOptions) -> Self {
        todo!()
    }
    pub fn set_serving(&self, _: bool) {
        todo!()
    }
    pub async fn serve_grpc(
        &self,
        _: Vec<Listener>,
        _: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        todo!()
    }
    pub async fn serve_http(
        &self,
        _: tokio::net::TcpListener,
        _: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        todo!()
    }
}
