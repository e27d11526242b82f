//! The services that a listener can have, and their methods.

use std::{convert::Infallible, pin::Pin};

use hyper::body::Incoming;
use tonic::{
    body::Body,
    codegen::{
        Service as _,
        http::{Request, Response},
    },
};

use super::{
    authorization::Authorization, directory::Directories, message_body::MessageBody, metrics::Rpc,
};
use crate::proto::{
    authorization_service_server::{self, AuthorizationServiceServer},
    directory_service_server::{self, DirectoryServiceServer},
};

/// The service of a listener, as tonic generates it.
#[derive(Clone)]
pub(super) enum Service {
    Authorization(AuthorizationServiceServer<Authorization>),
    Directory(DirectoryServiceServer<Directories>),
}

type Answered = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Service {
    /// Returns the full name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Authorization(_) => authorization_service_server::SERVICE_NAME,
            Self::Directory(_) => directory_service_server::SERVICE_NAME,
        }
    }

    /// Returns the method that is called under a path, if it is one of the service that takes one
    /// message and answers with one.
    pub fn unary_method(&self, path: &str) -> Option<&'static str> {
        match self {
            Self::Authorization(_) => Rpc::of_path(path).map(Rpc::name),
            Self::Directory(_) => {
                let method = path.strip_prefix('/')?.strip_prefix(self.name())?;
                let method = method.strip_prefix('/')?;
                ["Write", "ListAssignments"].into_iter().find(|name| *name == method)
            }
        }
    }

    /// Answers a call.
    pub fn call(&mut self, request: Request<MessageBody<Incoming>>) -> Answered {
        match self {
            Self::Authorization(service) => service.call(request),
            Self::Directory(service) => service.call(request),
        }
    }
}
