//! Settings that do not fit together.

use super::{HttpListen, SettingError, layers::Layers};
use crate::sources::{DirectorySource, SourceOf};

impl Layers {
    /// Finds settings of TLS and addresses that do not go together.
    pub(super) fn check_tls(&mut self) {
        let tls = &self.settings.tls;
        let (cert, key, client_ca) =
            (tls.cert.is_some(), tls.key.is_some(), tls.client_ca.is_some());
        let lone = [
            (cert && !key, "tls.cert", "name the private key with `tls.key` too"),
            (key && !cert, "tls.key", "name the certificate with `tls.cert` too"),
            (client_ca && !cert, "tls.client_ca", "name a certificate with `tls.cert` too"),
            (
                !client_ca && !tls.client_ids.is_empty(),
                "tls.client_ids",
                "name the certification authority of clients with `tls.client_ca` too",
            ),
        ];
        for (_, key, message) in lone.into_iter().filter(|(is_lone, ..)| *is_lone) {
            self.value_error(key, message.to_owned());
        }
        let addresses: Vec<_> = self.settings.tcp_addresses().collect();
        for (key, address) in addresses {
            let is_encrypted = self.settings.speaks_tls(&address);
            if is_encrypted && !cert {
                let message = format!("`{address}` needs `tls.cert` and `tls.key`");
                self.value_error(key, message);
            } else if !is_encrypted && !address.is_loopback() && !self.settings.insecure {
                let origin = self.origins.get(key).cloned().unwrap_or_default();
                self.errors.push(SettingError::Insecure { key, address, origin });
            }
        }
    }

    /// Finds an address that is named twice, of which only one can be listened on.
    pub(super) fn check_addresses(&mut self) {
        let addresses: Vec<_> = self.settings.addresses().collect();
        let taken = addresses.iter().enumerate().filter_map(|(index, (key, address))| {
            let mut earlier = addresses.iter().take(index);
            let (other, taken) = earlier.find(|(_, earlier)| earlier.excludes(address))?;
            Some((
                *key,
                format!("`{address}` is taken by `{taken}` of `{other}`: name another one"),
            ))
        });
        for (key, message) in taken.collect::<Vec<_>>() {
            self.value_error(key, message);
        }
    }

    fn value_error(&mut self, key: &'static str, message: String) {
        let origin = self.origins.get(key).cloned().unwrap_or_default();
        self.errors.push(SettingError::Value { key, origin, message });
    }

    /// Finds settings of directories that do not go together.
    pub(super) fn check_directories(&mut self) {
        let settings = &self.settings;
        let open = settings.directory.listen.address().and_then(|address| address.tcp()).filter(
            |address| {
                let has_clients = settings.tls.client_ca.is_some() && settings.speaks_tls(address);
                settings.directory.token_file.is_none() && !has_clients
            },
        );
        let open = open.map(|address| {
            format!(
                "everybody who reaches `{address}` could give roles: name a file with a token in \
                 `directory.token_file`, or an authority of client certificates in `tls.client_ca` \
                 and an address `tls:…`, or serve on a Unix socket"
            )
        });
        let mut kept = settings.directory.sources.iter();
        let homeless = kept
            .find(|source| source.source == DirectorySource::Embedded && settings.data.is_none())
            .map(|source| format!("`{source}` needs a folder to be kept in: name one with `data`"));
        let unreached = settings.directory.sources.iter().find(|source| {
            let is_postgres = matches!(source.source, DirectorySource::Postgres { .. });
            is_postgres && settings.directory.postgres_url_file.is_none()
        });
        let unreached = unreached.map(|source| {
            format!(
                "`{source}` needs a connection string: name its file with \
                 `directory.postgres_url_file`"
            )
        });
        let twice = twice(&settings.directory.sources).map(|(one, other)| {
            format!(
                "`{one}` and `{other}` are for one store, which has one directory: name one of them"
            )
        });
        let faults = [
            ("directory.listen", open),
            ("directory.sources", homeless),
            ("directory.sources", twice),
            ("directory.sources", unreached),
        ];
        for (key, message) in faults {
            if let Some(message) = message {
                self.value_error(key, message);
            }
        }
    }

    /// Finds a `web_listen` that anybody on the network could ask.
    pub(super) fn check_web_listen(&mut self) {
        let settings = &self.settings;
        let HttpListen::On(address) = &settings.web_listen else { return };
        let Some(address) = address.tcp().filter(|address| !address.is_loopback()) else { return };
        if !settings.knows_web_callers(address) {
            let origin = self.origins.get("web_listen").cloned().unwrap_or_default();
            self.errors.push(SettingError::Conflict {
                key: "web_listen",
                origin,
                message: "other machines can reach it, and nothing says who may call: set \
                          `tls.client_ca` or `auth.token_file`, listen on 127.0.0.1 or a Unix \
                          socket, or write `off`",
            });
        }
    }
}

/// Returns the first two sources that are for the same store.
fn twice(sources: &[SourceOf]) -> Option<(&SourceOf, &SourceOf)> {
    sources.iter().enumerate().find_map(|(place, one)| {
        let other = sources.iter().skip(place + 1).find(|other| other.store == one.store);
        other.map(|other| (one, other))
    })
}
