//! The frame of every page: where the reader is, and where else to go.

use std::sync::Arc;

use askama::Template;
use axum::{http::StatusCode, response::Response};

use super::{Console, Query, respond};
use crate::store::PolicyStore;

/// Stores that are offered as links; more are offered as a list to choose from.
const LINKS: usize = 8;

/// A view of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Stores,
    Matrix,
    Policies,
    Try,
    Changes,
    Decisions,
    Health,
}

impl View {
    const ALL: [Self; 7] = [
        Self::Stores,
        Self::Matrix,
        Self::Policies,
        Self::Try,
        Self::Changes,
        Self::Decisions,
        Self::Health,
    ];

    /// Returns the title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Stores => "Stores",
            Self::Matrix => "Matrix",
            Self::Policies => "Policies",
            Self::Try => "Try",
            Self::Changes => "Changes",
            Self::Decisions => "Decisions",
            Self::Health => "Health",
        }
    }

    /// Returns the path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Stores => "/",
            Self::Matrix => "/matrix",
            Self::Policies => "/policies",
            Self::Try => "/try",
            Self::Changes => "/changes",
            Self::Decisions => "/decisions",
            Self::Health => "/health",
        }
    }

    /// Returns whether it shows one store.
    fn is_of_a_store(self) -> bool {
        matches!(self, Self::Matrix | Self::Policies | Self::Try | Self::Changes)
    }
}

/// The frame of a page.
#[derive(Debug)]
pub(super) struct Shell {
    pub view: View,
    pub views: [View; 7],
    /// The store that the page shows; empty where it shows none.
    pub store: String,
    /// The stores that may be shown instead.
    pub stores: Vec<String>,
    /// Stores that were refused, or 1 where the folder was.
    pub refused: usize,
    pub version: &'static str,
}

impl Shell {
    /// Makes the shell of a view that shows one store or, where it is empty, none.
    pub fn new(console: &Console, view: View, store: &str) -> Self {
        let status = console.live().status();
        let refused = status.stores.iter().filter(|store| !store.problems.is_empty()).count();
        let stores = console.live().stores();
        Self {
            view,
            views: View::ALL,
            store: store.to_owned(),
            stores: match view.is_of_a_store() {
                true => stores.iter().map(|store| store.name().to_string()).collect(),
                false => Vec::new(),
            },
            refused: refused.max(usize::from(status.folder_problem.is_some())),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Returns whether there are too many stores for a row of links.
    pub fn has_many_stores(&self) -> bool {
        self.stores.len() > LINKS
    }

    /// Returns where a view is, with the store of this page where it shows one.
    pub fn link(&self, view: &View) -> String {
        match view.is_of_a_store() && !self.store.is_empty() {
            true => format!("{}?store={}", view.path(), self.store),
            false => view.path().to_owned(),
        }
    }
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "notice.html")]
struct Notice {
    shell: Shell,
    title: &'static str,
    message: String,
    /// The page asks for itself again.
    comes_back: bool,
}

/// Returns the store that a query names, else the default, else the first.
///
/// # Errors
/// The page that says that there is none.
pub(super) fn store_of(
    console: &Console,
    view: View,
    query: &Query,
) -> Result<Arc<PolicyStore>, Box<Response>> {
    let stores = console.live().stores();
    let name = query.get("store");
    let found = stores.get(name);
    let first = || stores.iter().next().filter(|_| name.is_empty());
    match found.ok().or_else(first) {
        Some(store) => Ok(Arc::clone(store)),
        None => {
            let message = match stores.get(name) {
                Err(error) => error.to_string().replace("`/status` and the log", "the page Stores"),
                Ok(_) => String::new(),
            };
            Err(Box::new(notice(console, view, StatusCode::NOT_FOUND, "No such store", message)))
        }
    }
}

/// Returns a page that says one thing.
pub(super) fn notice(
    console: &Console,
    view: View,
    status: StatusCode,
    title: &'static str,
    message: String,
) -> Response {
    let shell = Shell::new(console, view, "");
    respond::page_with(status, &Notice { shell, title, message, comes_back: false })
}

/// Returns a page that says that a value is still being computed, and asks again.
pub(super) fn working(console: &Console, view: View, store: &str) -> Response {
    let shell = Shell::new(console, view, store);
    let message =
        "This is being computed and takes longer than usual. The page asks again by itself.";
    let page = Notice { shell, title: "One moment", message: message.to_owned(), comes_back: true };
    respond::page_with(StatusCode::ACCEPTED, &page)
}

/// Returns a page that says why something of a store cannot be shown.
pub(super) fn unprocessable(console: &Console, view: View, store: &str, error: &str) -> Response {
    let shell = Shell::new(console, view, store);
    let title = "This cannot be shown";
    let page = Notice { shell, title, message: error.to_owned(), comes_back: false };
    respond::page_with(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

/// Returns a page that says that a value could not be computed.
pub(super) fn failed(console: &Console, view: View) -> Response {
    let message = "The log of the process says why.".to_owned();
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    notice(console, view, status, "This could not be computed", message)
}
