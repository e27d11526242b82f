//! The first load of the policies.

use std::{sync::Arc, thread};

use tokio::task;

use crate::{
    cli::CliError,
    reload::{self, Live, Options, Reloader, Source},
    store::STACK_BYTES,
};

/// The first load.
pub(super) struct FirstLoad {
    pub source: Source,
    pub options: Options,
    pub live: Arc<Live>,
}

impl FirstLoad {
    /// Loads and then watches; nothing where there is nothing to decide with, which is logged.
    pub async fn run(&self) -> Result<Option<Reloader>, CliError> {
        let (source, options) = (self.source.clone(), self.options.clone());
        let live = Arc::clone(&self.live);
        // Memory that the load needed goes with the thread that ends with it.
        let thread = thread::Builder::new().name("load".to_owned()).stack_size(STACK_BYTES);
        let thread = thread
            .spawn(move || reload::load(&source, &options, &live))
            .map_err(CliError::io("cannot start the thread that loads"))?;
        let broke_off = |how| CliError::Failure(format!("loading broke off: {how}"));
        let joined = task::spawn_blocking(move || thread.join()).await;
        let loaded = joined.map_err(|error| broke_off(error.to_string()))?;
        match loaded.map_err(|_| broke_off("it panicked".to_owned()))? {
            Ok(()) => {
                let (source, options) = (self.source.clone(), self.options.clone());
                Ok(Some(reload::watch(source, options, Arc::clone(&self.live))))
            }
            // The loader has logged every problem of every store.
            Err(error) => {
                tracing::error!("nothing to decide with: {error}");
                Ok(None)
            }
        }
    }
}
