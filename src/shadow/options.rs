//! The options of shadow decisions.

use std::path::PathBuf;

use super::CpuShare;
use crate::{model::OnForbidError, reload, request::RequestLimits};

/// Options of shadow decisions.
#[derive(Debug, Clone)]
pub struct ShadowOptions {
    /// The folder of the candidate policies.
    pub folder: PathBuf,
    /// The share of one processor's time that shadow decisions may take.
    pub max_share: CpuShare,
    /// Bytes of questions that may wait, about; further ones are left out.
    pub queue_bytes: usize,
    /// Loading the candidate.
    pub reload: reload::Options,
    /// Limits on what one question may carry.
    pub limits: RequestLimits,
    /// The effect of a forbid whose evaluation fails.
    pub on_forbid_error: OnForbidError,
}
