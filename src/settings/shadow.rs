//! The settings of shadow decisions.

use std::{num::NonZeroUsize, path::PathBuf};

use crate::shadow::CpuShare;

/// The settings of shadow decisions.
#[derive(Debug, Clone)]
pub struct ShadowSettings {
    /// The folder of the candidate policies; unset: no shadow decisions.
    pub folder: Option<PathBuf>,
    /// The share of one processor's time that they may take.
    pub max_share: CpuShare,
    /// Bytes of questions that may wait.
    pub queue_bytes: NonZeroUsize,
}

impl Default for ShadowSettings {
    fn default() -> Self {
        Self {
            folder: None,
            max_share: CpuShare::default(),
            queue_bytes: const { NonZeroUsize::new(8 * 1024 * 1024).unwrap() },
        }
    }
}
