//! Certificates of the tests' own.

use std::{fs, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};

/// A certification authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, PEM.
    pub pem: String,
}

/// A certificate with its key, PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(2090, 1, 1);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for `localhost` and 127.0.0.1 that ends with that year.
    pub fn server(&self, until: i32) -> Pair {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_after = date_time_ymd(until, 12, 31);
        self.sign(&params)
    }

    /// A client's certificate with those DNS names and URIs.
    pub fn client(&self, names: &[&str]) -> Pair {
        self.sign(&client(names))
    }

    /// A client's certificate that is over.
    pub fn expired_client(&self, names: &[&str]) -> Pair {
        let mut params = client(names);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { cert, key: key.serialize_pem() }
    }
}

fn client(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = names
        .iter()
        .map(|name| match name.contains(':') {
            true => SanType::URI((*name).try_into().unwrap()),
            false => SanType::DnsName((*name).try_into().unwrap()),
        })
        .collect();
    params.not_after = date_time_ymd(2089, 1, 1);
    params
}

impl Pair {
    /// Writes `tls.crt` and `tls.key`.
    pub fn write(&self, folder: &Path) {
        fs::write(folder.join("tls.crt"), &self.cert).unwrap();
        fs::write(folder.join("tls.key"), &self.key).unwrap();
    }
}

/// Puts files into a folder as the kubelet does: behind a link that is swapped. `version` names a
/// folder that is not there yet.
pub fn mount(folder: &Path, version: &str, files: &[(&str, &str)]) {
    let content = folder.join(format!("..{version}"));
    fs::create_dir(&content).unwrap();
    for (name, text) in files {
        fs::write(content.join(name), text).unwrap();
        let link = folder.join(name);
        if fs::symlink_metadata(&link).is_err() {
            std::os::unix::fs::symlink(Path::new("..data").join(name), link).unwrap();
        }
    }
    let old = fs::read_link(folder.join("..data"));
    let temporary = folder.join("..data_tmp");
    std::os::unix::fs::symlink(format!("..{version}"), &temporary).unwrap();
    fs::rename(&temporary, folder.join("..data")).unwrap();
    if let Ok(old) = old {
        fs::remove_dir_all(folder.join(old)).unwrap();
    }
}
