//! Settings of `skep-registry serve`, read once from flags and environment. Refuses to know what
//! the settings do.

pub mod people;

use crate::faults::Faults;
use crate::storage::{DATA_DEFAULT, Storage, StorageFault, StorageFlags};
use people::PeopleSettings;
use skep_trust::note::NoteKey;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where the server listens when nobody says otherwise: loopback, so that plain HTTP is safe.
const LISTEN_DEFAULT: &str = "127.0.0.1:7600";

/// What was given on the command line; each flag wins over its variable.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServeFlags {
    /// Folder of the database, the blobs and the keys (SKEP_REGISTRY_DATA; default ./skep-data)
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Address and port; port 0 takes a free one (SKEP_REGISTRY_LISTEN; default 127.0.0.1:7600)
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Host name or address clients use, for the server's certificate; may be repeated
    /// (SKEP_REGISTRY_HOSTS, separated by commas)
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Address clients use when a proxy stands before the server, like `https://registry.example`
    /// (SKEP_REGISTRY_PUBLIC_URL)
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Certificate chain (PEM) instead of one by the server's own CA (SKEP_REGISTRY_TLS_CERT)
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<String>,
    /// Private key (PEM) of --tls-cert (SKEP_REGISTRY_TLS_KEY)
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Key of a witness whose cosignatures of the log are kept; may be repeated
    /// (SKEP_REGISTRY_WITNESSES, separated by commas)
    #[arg(long = "witness", value_name = "KEY")]
    pub witnesses: Vec<String>,
    /// Prometheus server that gates of rollouts ask, like http://prometheus:9090
    /// (SKEP_REGISTRY_PROMETHEUS)
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
    /// File that gets the server's address once it accepts connections (SKEP_REGISTRY_ADDRESS_FILE)
    #[arg(long, value_name = "FILE")]
    pub address_file: Option<String>,
    #[command(flatten)]
    pub storage: StorageFlags,
}

/// Everything `serve` needs to know.
///
/// | variable | default | meaning |
/// | --- | --- | --- |
/// | `SKEP_REGISTRY_DATA` | `skep-data` | folder of database, blobs and keys |
/// | `SKEP_DATABASE_URL` | a file in that folder | `postgres://…` |
/// | `SKEP_REGISTRY_LISTEN` | `127.0.0.1:7600` | address and port |
/// | `SKEP_REGISTRY_HOSTS` | none | more names for the certificate, separated by commas |
/// | `SKEP_REGISTRY_PUBLIC_URL` | what a client calls it | address of the proxy before the server |
/// | `SKEP_REGISTRY_TLS_CERT`, `SKEP_REGISTRY_TLS_KEY` | none | the operator's certificate, PEM files |
/// | `SKEP_REGISTRY_WITNESSES` | none | keys of the log's witnesses, separated by commas |
/// | `SKEP_REGISTRY_PROMETHEUS` | none | Prometheus that gates of rollouts ask |
/// | `SKEP_REGISTRY_ADDRESS_FILE` | none | gets the address once the server is ready |
///
/// What is said about people is listed at [`PeopleSettings`].
#[derive(Debug, Clone)]
pub struct Settings {
    pub storage: Storage,
    pub listen: SocketAddr,
    pub transport: Transport,
    /// Host names clients use, besides the listening address.
    pub hosts: Vec<String>,
    /// Scheme, host and port, without a slash at the end.
    pub public_url: Option<String>,
    pub address_file: Option<PathBuf>,
    /// Scheme, host and port, and perhaps a path, without a slash at the end.
    pub prometheus: Option<String>,
    /// Whose cosignatures of the log are kept.
    pub witnesses: Vec<NoteKey>,
    pub people: PeopleSettings,
    /// Armed by tests only.
    pub faults: Faults,
}

/// How bytes travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP: loopback only, because tokens must not travel in the clear.
    Plain,
    /// TLS with a certificate by the server's own CA.
    OwnCa,
    /// TLS with the operator's certificate.
    Files { cert: PathBuf, key: PathBuf },
}

/// One thing wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("'{text}' is not an address to listen on. Write it like 127.0.0.1:7600 or [::]:7600.")]
    Listen { text: String },
    #[error("--tls-cert and --tls-key come together; {missing} is missing.")]
    HalfCertificate { missing: &'static str },
    #[error("'{text}' is not a host name or an address.")]
    Host { text: String },
    #[error("'{text}' is not the key of a witness. `skep log witness` prints its own.")]
    Witness { text: String },
    #[error("'{text}' is not the address of a proxy. Write it like https://registry.example.")]
    PublicUrl { text: String },
    #[error("'{text}' is not the address of a Prometheus. Write it like http://prometheus:9090.")]
    Prometheus { text: String },
    #[error("{setting} is '{text}'; it can be {words}.")]
    Choice { setting: &'static str, text: String, words: &'static str },
    #[error("'{text}' in SKEP_REGISTRY_PROXIES is not an address.")]
    Proxy { text: String },
    #[error("'{text}' is not how browsers reach a server. Write it like https://registry.example.")]
    Url { text: String },
    #[error(transparent)]
    Storage(#[from] StorageFault),
    #[error("{setting} is empty. Leave it out or give it a value.")]
    Empty { setting: &'static str },
}

impl Settings {
    /// Reads flags first and variables second, and collects every fault before it gives up.
    ///
    /// # Errors
    /// All [`Fault`]s, at least one.
    pub fn read(
        flags: &ServeFlags,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut text = |flag: &Option<String>, variable: &'static str| {
            let given = flag.clone().or_else(|| lookup(variable));
            match given.as_deref().map(str::trim) {
                Some("") => {
                    faults.push(Fault::Empty { setting: variable });
                    None
                }
                _ => given,
            }
        };
        let data = text(&flags.data, "SKEP_REGISTRY_DATA");
        let listen = text(&flags.listen, "SKEP_REGISTRY_LISTEN");
        let cert = text(&flags.tls_cert, "SKEP_REGISTRY_TLS_CERT");
        let key = text(&flags.tls_key, "SKEP_REGISTRY_TLS_KEY");
        let address_file = text(&flags.address_file, "SKEP_REGISTRY_ADDRESS_FILE");
        let public_url = text(&flags.public_url, "SKEP_REGISTRY_PUBLIC_URL")
            .map(|url| url.trim().trim_end_matches('/').to_owned());
        let prometheus = text(&flags.prometheus, "SKEP_REGISTRY_PROMETHEUS")
            .map(|url| url.trim().trim_end_matches('/').to_owned());
        if let Some(url) = public_url.as_ref().filter(|url| !is_public_url(url)) {
            faults.push(Fault::PublicUrl { text: url.clone() });
        }

        if let Some(url) = prometheus.as_ref().filter(|url| !is_prometheus(url)) {
            faults.push(Fault::Prometheus { text: url.clone() });
        }

        let data = data.unwrap_or_else(|| DATA_DEFAULT.to_owned());
        let storage = Storage::read(Path::new(&data), &flags.storage, lookup)
            .map_err(|found| faults.extend(found.into_iter().map(Fault::Storage)))
            .ok();
        let hosts = match &flags.hosts[..] {
            [] => lookup("SKEP_REGISTRY_HOSTS").unwrap_or_default().split(',').map(tidy).collect(),
            given => given.iter().map(|host| tidy(host)).collect::<Vec<_>>(),
        };
        let hosts: Vec<String> = hosts.into_iter().filter(|host| !host.is_empty()).collect();
        let unusable = hosts.iter().filter(|host| !is_host(host));
        faults.extend(unusable.map(|host| Fault::Host { text: host.clone() }));

        let given = match &flags.witnesses[..] {
            [] => lookup("SKEP_REGISTRY_WITNESSES").unwrap_or_default(),
            given => given.join(","),
        };
        let given = given.split(',').map(str::trim).filter(|text| !text.is_empty());
        let read = |text: &str| text.parse().map_err(|_| Fault::Witness { text: text.to_owned() });
        let (witnesses, unusable): (Vec<_>, Vec<_>) = given.map(read).partition(Result::is_ok);
        faults.extend(unusable.into_iter().filter_map(Result::err));
        let witnesses = witnesses.into_iter().filter_map(Result::ok).collect();

        let people = PeopleSettings::read(lookup, &mut faults);
        let listen = listen.unwrap_or_else(|| LISTEN_DEFAULT.to_owned());
        let listen = parse_listen(&listen).map_err(|fault| faults.push(fault)).ok();
        let files = match (cert, key) {
            (Some(cert), Some(key)) => {
                Some(Transport::Files { cert: cert.into(), key: key.into() })
            }
            (None, None) => None,
            (Some(_), None) => {
                faults.push(Fault::HalfCertificate { missing: "--tls-key" });
                None
            }
            (None, Some(_)) => {
                faults.push(Fault::HalfCertificate { missing: "--tls-cert" });
                None
            }
        };
        match (listen, storage) {
            (Some(listen), Some(storage)) if faults.is_empty() => Ok(Self {
                storage,
                transport: files.unwrap_or_else(|| Transport::for_address(&listen)),
                listen,
                hosts,
                public_url,
                address_file: address_file.map(PathBuf::from),
                prometheus,
                witnesses,
                people,
                faults: Faults::named(lookup("SKEP_FAULT_POINT").as_deref()),
            }),
            _ => Err(faults),
        }
    }
}

impl Transport {
    fn for_address(listen: &SocketAddr) -> Self {
        if listen.ip().is_loopback() { Self::Plain } else { Self::OwnCa }
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, Fault> {
    let text = text.trim();
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let parsed = numeric.as_deref().unwrap_or(text).parse();
    parsed.map_err(|_| Fault::Listen { text: text.to_owned() })
}

fn tidy(host: &str) -> String {
    host.trim().to_ascii_lowercase()
}

/// Scheme, host and perhaps a port, and nothing that could end a header's quotes.
fn is_public_url(text: &str) -> bool {
    let parsed: Result<axum::http::Uri, _> = text.parse();
    parsed.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.path() == "/"
            && uri.query().is_none()
    })
}

/// Scheme and host, perhaps a path.
fn is_prometheus(text: &str) -> bool {
    let parsed: Result<axum::http::Uri, _> = text.parse();
    parsed.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some()
            && uri.query().is_none()
    })
}

/// A DNS name (labels of letters, digits and hyphens, at most 253 bytes) or an IP address.
fn is_host(text: &str) -> bool {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flags: ServeFlags, variables: &[(&str, &str)]) -> Result<Settings, Vec<Fault>> {
        let variables = variables.to_vec();
        Settings::read(&flags, &|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_given_means_loopback_and_plain() {
        let settings = read(ServeFlags::default(), &[]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:7600");
        assert_eq!(settings.transport, Transport::Plain);
        assert_eq!(settings.storage.data, PathBuf::from("skep-data"));
    }

    #[test]
    fn outside_loopback_is_always_tls() {
        for address in ["0.0.0.0:7600", "192.0.2.1:7600", "[::]:7600"] {
            let settings = read(ServeFlags::default(), &[("SKEP_REGISTRY_LISTEN", address)]);
            assert_eq!(settings.unwrap().transport, Transport::OwnCa, "{address}");
        }
        for address in ["127.0.0.2:1", "[::1]:7600", "localhost:7600"] {
            let settings = read(ServeFlags::default(), &[("SKEP_REGISTRY_LISTEN", address)]);
            assert_eq!(settings.unwrap().transport, Transport::Plain, "{address}");
        }
    }

    #[test]
    fn a_flag_wins_over_its_variable() {
        let flags = ServeFlags { data: Some("a".to_owned()), ..ServeFlags::default() };
        let settings = read(flags, &[("SKEP_REGISTRY_DATA", "b")]).unwrap();
        assert_eq!(settings.storage.data, PathBuf::from("a"));
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let faults = read(
            ServeFlags::default(),
            &[
                ("SKEP_REGISTRY_LISTEN", "nowhere"),
                ("SKEP_REGISTRY_TLS_CERT", "cert.pem"),
                ("SKEP_REGISTRY_HOSTS", "good.example, b@d"),
                ("SKEP_REGISTRY_DATA", " "),
                ("SKEP_REGISTRY_PUBLIC_URL", "https://registry.example/below"),
                ("SKEP_REGISTRY_PROMETHEUS", "prometheus:9090"),
            ],
        );
        assert_eq!(
            faults.unwrap_err(),
            [
                Fault::Empty { setting: "SKEP_REGISTRY_DATA" },
                Fault::PublicUrl { text: "https://registry.example/below".to_owned() },
                Fault::Prometheus { text: "prometheus:9090".to_owned() },
                Fault::Host { text: "b@d".to_owned() },
                Fault::Listen { text: "nowhere".to_owned() },
                Fault::HalfCertificate { missing: "--tls-key" },
            ]
        );
    }
}
