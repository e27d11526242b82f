//! All integration tests: one binary, so that Cedar is linked once, and a module for each part.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod architecture;
mod cli;
mod cli_check;
mod cli_decision_log;
mod cli_remote;
mod cli_serve;
mod cli_sidecar;
mod cli_stop;
mod cli_tls;
mod cli_validate;
mod decision_log;
mod decision_log_faults;
mod decision_log_otlp;
mod decision_log_tls;
mod deploy;
mod engine_corpus;
mod engine_corpus_stores;
mod engine_oracle;
mod faults;
mod faults_folder;
mod fuzz_targets;
mod hostile_stores;
mod hostility;
mod hostility_limits;
mod observe_http;
mod observe_otlp;
mod observe_stop;

mod reload;
mod server_batch;
mod server_decisions;
mod server_explanation;
mod server_http;
mod server_input;
mod server_limits;
mod server_list_actions;
mod server_stores;
mod server_transport;
mod server_values;
mod server_verification;
mod settings;
mod shipped_stores;
mod store_load;
mod support;
mod symbolic;
mod testing;
mod threat_model;
mod tls_clients;
mod tls_rotation;
