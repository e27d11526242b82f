//! The table of all settings.

use super::{Settings, setting_field::SettingField};

/// One setting.
pub(super) struct SettingKey {
    /// Its name in the configuration file, with the table in front: `limits.entities`.
    pub name: &'static str,
    /// Its meaning.
    pub about: &'static str,
    /// The field of the settings that holds its value.
    pub field: for<'a> fn(&'a mut Settings) -> SettingField<'a>,
}

macro_rules! keys {
    ($($name:literal $kind:ident $($field:ident).+ : $about:literal;)*) => {
        &[$(SettingKey {
            name: $name,
            about: $about,
            field: |settings| SettingField::$kind(&mut settings.$($field).+),
        }),*]
    };
}

/// All settings, those of one table together.
#[rustfmt::skip]
pub(super) const KEYS: &[SettingKey] = keys! {
    "policies" Text policies: "the policies folder; empty: ./policies if it is there, else the embedded stores";
    "listen" Addresses listen: "where decisions are served over gRPC: host:port, tls:host:port or unix:/path";
    "http_listen" Text http_listen: "where HTTP is served: host:port, tls:host:port, unix:/path or off";
    "web_listen" Text web_listen: "where AuthZEN and the console are served: host:port, tls:host:port, unix:/path or off";
    "socket_mode" Text socket_mode: "the mode of Unix sockets";
    "socket_group" Text socket_group: "the group of Unix sockets, a name or number; empty: that of the process";
    "insecure" Switch insecure: "listen beyond this machine without TLS";
    "default_store" Text default_store: "the store that decides requests which name none";
    "on_forbid_error" Text on_forbid_error: "what a forbid whose evaluation fails does: deny or skip";
    "verify_sample" Share verify_sample: "the share of decisions that Cedar's evaluator makes as well, from 0 to 1; where they differ, Cedar's counts";
    "data" Text data: "the folder in which the process keeps what outlives it: embedded directories, and for no-gains what is in force; empty: none";
    "directory.sources" Sources directory.sources: "stores with a directory and where its rows come from: STORE=embedded, STORE=files:/folder or STORE=postgres";
    "directory.max_age_s" PositiveSeconds directory.max_age: "how long a directory decides that its source does not confirm";
    "directory.kept_changes" Positive directory.kept_changes: "changes that a directory keeps for Watch; older ones are forgotten";
    "directory.listen" Text directory.listen: "where DirectoryService is served: host:port, tls:host:port, unix:/path or off";
    "directory.token_file" Text directory.token_file: "the file with the tokens of callers of DirectoryService, one on a line; needed on TCP without client certificates";
    "directory.postgres_url_file" Text directory.postgres_url_file: "the file with the connection string of PostgreSQL";
    "directory.poll_ms" PositiveMillis directory.poll: "how often PostgreSQL is asked for changes";
    "directory.compare_s" PositiveSeconds directory.compare: "how often all rows of PostgreSQL are read again at least, and compared with what is in force";
    "authzen.public_url" Text authzen.public_url: "the https URL under which callers reach AuthZEN, for its discovery; empty: as they write it";
    "http.hosts" Hosts http_hosts: "names by which callers may reach web_listen besides its own and localhost, without a port";
    "auth.token_file" Text token_file: "the file with the tokens of callers of gRPC and of web_listen, one on a line, of 32 bytes or more";
    "tls.cert" Text tls.cert: "the file with the certificate and its intermediates, PEM";
    "tls.key" Text tls.key: "the file with the certificate's private key, PEM";
    "tls.client_ca" Text tls.client_ca: "the file with the certification authorities of clients, PEM; if set, clients need a certificate";
    "tls.client_ids" ClientIds tls.client_ids: "the clients that may call, by DNS name or URI in their certificate; empty: all with a certificate";
    "tls.http_client_certificates" Switch tls.http_client_certificates: "whether HTTP clients need a certificate too, where tls.client_ca is set";
    "tls.min_version" Text tls.min_version: "the lowest version of TLS: 1.2 or 1.3";
    "reload.settle_ms" Millis reload.settle: "how long the folder must be quiet before it is read";
    "reload.settle_removals_ms" Millis reload.settle_removals: "how long a store must be unchanged before a deleted file counts";
    "reload.rehash_interval_s" PositiveSeconds reload.rehash_interval: "how often the folder is read in any case";
    "reload.use_events" Switch reload.use_events: "listen to the file system's events";
    "reload.deny_warnings" Switch reload.deny_warnings: "refuse a store that has warnings";
    "reload.require" Gates reload.require: "what a valid store must pass before it comes in force: tests, invariants, no-gains; the last two need cvc5";
    "reload.baseline" Text reload.baseline: "the folder with which no-gains compares a store that this process has not had in force; empty: what was in force last, where data keeps it";
    "reload.first" Text reload.first: "what no-gains does with a store that this process has not had in force and that is neither kept nor in the baseline: refuse or trust";
    "reload.gate_timeout_s" PositiveSeconds reload.gate_timeout: "how long invariants and no-gains may take for one store; it is refused after that";
    "shadow.folder" Text shadow.folder: "the folder of candidate policies that decide beside the others, for comparison; empty: none";
    "shadow.max_share" CpuShare shadow.max_share: "the share of one processor's time that the comparison may take, from 0.001 to 1";
    "shadow.queue_bytes" Positive shadow.queue_bytes: "bytes of questions that may wait to be compared; further ones are left out";
    "limits.message_bytes" Positive limits.message_bytes: "bytes of one gRPC message, and of the body of a request at web_listen";
    "limits.message_parts" Positive limits.message_parts: "fields of one gRPC message, those of the messages in it included, and values of a JSON body at web_listen";
    "limits.inline_bytes" Count limits.inline_bytes: "bytes of a message up to which a call is answered on the thread of its connection; longer and compressed ones do not hold up others";
    "limits.batch_items" Positive limits.batch_items: "questions in one batch";
    "limits.concurrent_requests" Positive limits.concurrent_requests: "calls served at once; more are refused";
    "limits.watches" Positive limits.watches: "open health watches and reflection streams; more are refused";
    "limits.directory_watches" Positive limits.directory_watches: "open streams of the changes of directories; more are refused";
    "limits.waiting" Positive limits.waiting: "calls that wait for a version of a directory; more are refused";
    "limits.page_items" Positive limits.page_items: "entities or assignments of one page of a list; more are cut to it";
    "limits.directory_changes" Positive limits.directory_changes: "changes in one write to a directory";
    "limits.held_bytes" Positive limits.held_bytes: "bytes of messages held at once; calls that need more are refused";
    "limits.connections" Positive limits.connections: "open connections at listen and directory.listen; more are closed at once";
    "limits.http_connections" Positive limits.http_connections: "open HTTP connections; more are closed at once";
    "limits.web_connections" Positive limits.web_connections: "open connections to web_listen; more are closed at once";
    "limits.streams" Small limits.streams: "calls under way on one HTTP/2 connection; more wait at the client";
    "limits.header_bytes" Small limits.header_bytes: "bytes of the headers of one call";
    "limits.waiting_resets" Positive limits.waiting_resets: "streams that an HTTP/2 peer may reset before they were looked at; with one more, its connection is closed";
    "limits.forced_resets" Positive limits.forced_resets: "streams that an HTTP/2 peer may make the server reset; with one more, its connection is closed";
    "limits.patience_ms" PositiveMillis limits.patience: "how long a peer may take to begin, to take an answer over HTTP/2, and over HTTP/1.1 to end what it has begun";
    "limits.keepalive_interval_s" PositiveSeconds limits.keepalive_interval: "silence after which an HTTP/2 connection is pinged";
    "limits.keepalive_timeout_s" PositiveSeconds limits.keepalive_timeout: "how long the answer to that ping may take";
    "limits.request_timeout_ms" PositiveMillis limits.request_timeout: "how long one call may take, the arrival of its message included";
    "limits.handshake_timeout_ms" PositiveMillis limits.handshake_timeout: "how long a TLS handshake may take";
    "limits.handshakes" Positive limits.handshakes: "TLS handshakes under way on one listener; with one more, the oldest gives way";
    "limits.http_head_timeout_ms" PositiveMillis limits.http_head_timeout: "how long the head of an HTTP request may take, and how long a connection may be without one";
    "limits.entities" Count limits.request.entities: "entities in a request";
    "limits.role_assignments" Count limits.request.role_assignments: "role assignments in a request";
    "limits.context_values" Count limits.request.context_values: "values in a context, at every depth";
    "limits.entity_values" Count limits.request.entity_values: "values in one entity, at every depth";
    "limits.parents" Count limits.request.parents: "direct parents of one entity";
    "limits.ancestors" Count limits.request.ancestors: "entities that one may be in, directly or through others, in a store with a directory; a decision that looks at one that is in more is a deny";
    "limits.depth" Count limits.request.depth: "how deep sets and records may nest";
    "limits.text_bytes" Count limits.request.text_bytes: "bytes of one id, name or string";
    "limits.violations" Count limits.request.violations: "violations listed for one bad request";
    "bounds.files" Count bounds.files: "files in a store";
    "bounds.file_bytes" Count bounds.file_bytes: "bytes of one file";
    "bounds.store_bytes" Count bounds.store_bytes: "bytes of all files of a store";
    "bounds.folder_bytes" Count bounds.folder_bytes: "bytes of all files of all stores";
    "bounds.policies" Count bounds.policies: "policies, templates and links in a store";
    "bounds.policy_tokens" Count bounds.policy_tokens: "tokens of one policy: names, numbers, strings, operators and brackets";
    "bounds.tokens" Count bounds.tokens: "tokens of all policies of a store, and of all links";
    "bounds.linked_bytes" Count bounds.linked_bytes: "bytes of the templates of all links, each link counted";
    "bounds.schema_tokens" Count bounds.schema_tokens: "tokens of all schema files of a store, a declaration of several names counted once for each";
    "bounds.type_parts" Count bounds.type_parts: "parts of all types of a schema, after expanding common types";
    "bounds.schema_ancestors" Count bounds.schema_ancestors: "pairs of an entity type or action and one of its ancestors";
    "bounds.request_kinds" Count bounds.request_kinds: "kinds of requests that a schema allows: action, type of principal, type of resource";
    "bounds.index_places" Count bounds.index_places: "places of policies in the index of decisions: for each action, and for each kind of request where no principal and no resource is named";
    "bounds.validation_steps" Count bounds.validation_steps: "steps to validate all policies: the parts of each condition (a record that is used as a whole also by its fields), times the kinds of requests that it applies to";
    "bounds.entities" Count bounds.entities: "fixed entities in a store";
    "bounds.entity_values" Count bounds.entity_values: "JSON values of all entities files";
    "bounds.entity_ancestors" Count bounds.entity_ancestors: "pairs of a fixed entity and one of its ancestors";
    "bounds.directory_rows" Count directory.bounds.rows: "rows of all files of a directory";
    "bounds.directory_file_bytes" Count directory.bounds.file_bytes: "bytes of one file of a directory";
    "shutdown.delay_s" Seconds shutdown.delay: "how long calls are still taken after a signal to stop, for callers to go elsewhere";
    "shutdown.drain_s" Seconds shutdown.drain: "how long calls that have begun may take to end";
    "decision_log.mode" Text decision_log.mode: "whether decisions are recorded: off, on, otlp (sent to a collector) or required (no answer without its record on disk)";
    "decision_log.file" Text decision_log.file: "the file of decision records; empty: stdout";
    "decision_log.rotate_bytes" Count decision_log.rotate_bytes: "how large the file may become before another is begun; 0: without end";
    "decision_log.keep_files" Count decision_log.keep_files: "how many older files are kept";
    "decision_log.queue_bytes" Positive decision_log.queue_bytes: "bytes of records that may wait in memory; further ones are dropped or, where required, wait";
    "decision_log.sample_allows" Count decision_log.sample_allows: "one in so many plain allows is recorded; 0: none";
    "decision_log.mask" Fields decision_log.mask: "fields of which the value is replaced by [masked], e.g. context.email";
    "decision_log.hash" Fields decision_log.hash: "fields of which the value is replaced by its keyed hash, e.g. principal.id";
    "decision_log.omit" Fields decision_log.omit: "fields that are left out";
    "decision_log.hash_key_file" Text decision_log.hash_key_file: "the file with the key of hashes; empty: a new key with every start";
    "console.decisions" Switch console.decisions: "keep the last decisions in memory and show them in the console";
    "console.kept_decisions" Positive console.kept_decisions: "decisions that are kept for the console";
    "console.readers" Positive console.readers: "readers that may follow the decisions at once";
    "console.history" Positive console.history: "revisions of each store that are kept for comparing them";
    "log.filter" Text log.filter: "which events are logged, e.g. info or humbaba=debug,warn";
    "log.format" Text log.format: "text or json";
};

/// Returns the setting of a name.
pub(super) fn find(name: &str) -> Option<&'static SettingKey> {
    KEYS.iter().find(|key| key.name == name)
}

/// Returns whether a name is that of a table of settings.
pub(super) fn is_table(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(table, _)| table == name))
}

/// Returns the setting that a wrong name may have meant.
pub(super) fn suggestion(name: &str) -> Option<&'static str> {
    let last = |name: &'static str| name.rsplit('.').next().unwrap_or(name);
    let written_last = name.rsplit('.').next().unwrap_or(name);
    if written_last == "require_tests" {
        // The former name of `reload.require = ["tests"]`.
        return Some("reload.require");
    }
    // The right name in the wrong table is nearer than any misspelling.
    let misplaced = KEYS.iter().find(|key| last(key.name) == written_last);
    let misspelt = || {
        let distance = |key: &&SettingKey| strsim::damerau_levenshtein(key.name, name);
        let nearest = KEYS.iter().min_by_key(distance)?;
        (distance(&nearest) <= nearest.name.len().div_ceil(3)).then_some(nearest)
    };
    misplaced.or_else(misspelt).map(|key| key.name)
}

/// Returns the environment variable of a setting: `HUMBABA_LIMITS__ENTITIES` for `limits.entities`.
pub(super) fn variable(name: &str) -> String {
    format!("HUMBABA_{}", name.replace('.', "__").to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        for (written, meant) in [
            ("lisen", Some("listen")),
            ("limits.entites", Some("limits.entities")),
            ("entity_values", Some("limits.entity_values")),
            ("http-listen", Some("http_listen")),
            ("require_tests", Some("reload.require")),
            ("colour", None),
        ] {
            assert_eq!(suggestion(written), meant, "{written}");
        }
    }

    #[test]
    fn names_are_unique_and_stay_so_as_variables() {
        let mut variables: Vec<_> = KEYS.iter().map(|key| variable(key.name)).collect();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), KEYS.len());
    }
}
