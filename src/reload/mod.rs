//! Loading policy stores and keeping them up to date.
//!
//! A hint that something may have changed comes from the file system, from [`Reloader::hint`] or
//! from the clock. Once the folder is quiet, `snapshot` reads it as it was at one moment, and
//! `loader` loads the stores whose files changed and puts them in force. Whatever is wrong with a
//! store or with the folder, the last good state stays.
//!
//! Architecture Invariant: no event is relied on for what it says has changed, only for that
//! something has. A missed or misunderstood one costs time and never a wrong state.

mod announce;
mod arrival;
mod change_log;
mod first_load;
mod folder;
mod folder_error;
mod follow_folder;
mod gate;
mod history;
mod in_force;
mod known_store;
mod known_stores;
mod listing;
mod live;
mod live_directory;
mod load_queue;
mod load_status;
mod loader;
mod options;
mod paths;
mod proving;
mod reloader;
mod retired;
mod signal;
mod snapshot;
mod source;
mod stamp;
mod tree;
mod watch_files;
mod watch_folder;
mod watcher;
mod worker;

pub use change_log::{DirectoryFollower, FollowError, KeptChanges, VersionChanges};
pub use first_load::{FirstLoadError, load};
pub use folder::{FolderStores, StoresPlace, read_folder, read_folder_within, read_stores};
pub use folder_error::FolderError;
pub use follow_folder::{FollowFolder, ReadError, SeenFile, SeenFiles};
pub use gate::{Gate, GateError, GateRefusal, SlowGates, only_narrows};
pub use history::{History, PastRevision};
pub use in_force::{InForce, NotInForce};
pub use live::{Live, LiveState};
pub use live_directory::{DirectoryState, DirectoryUnavailable, LiveDirectory, RowReport};
pub use load_status::{EMBEDDED, LoadStatus, StoreStatus};
pub use options::Options;
pub use reloader::{Reloader, watch};
pub use source::Source;
pub use watch_files::WatchFiles;
pub use watch_folder::WatchFolder;
