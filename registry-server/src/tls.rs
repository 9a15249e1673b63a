//! The server's certificate: the operator's files, or one by a certificate authority of our own
//! made at first start. Refuses to know who connects.

use axum_server::tls_openssl::OpenSSLConfig;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Days our CA is valid: ten years, because every client has to be told when it changes.
const CA_DAYS: u32 = 3650;
/// Days a server certificate is valid. 825 is the most that common clients accept.
const SERVER_DAYS: u32 = 825;
/// A server certificate with fewer days left is replaced at start.
const RENEW_DAYS: u32 = 60;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot {what} {}", path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} does not hold a usable {what}", path.display())]
    Pem { what: &'static str, path: PathBuf, source: ErrorStack },
    #[error("the certificate could not be made")]
    Make(#[from] ErrorStack),
}

/// The acceptor for the operator's certificate chain and key.
///
/// # Errors
/// [`TlsError::Pem`] names the file that cannot be used.
pub fn from_files(cert: &Path, key: &Path) -> Result<OpenSSLConfig, TlsError> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    let refused = |what, path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Pem { what, path, source }
    };
    builder.set_certificate_chain_file(cert).map_err(refused("certificate chain", cert))?;
    builder.set_private_key_file(key, SslFiletype::PEM).map_err(refused("private key", key))?;
    builder.check_private_key().map_err(refused("key for the certificate", key))?;
    Ok(with_http(builder)?)
}

/// The acceptor for a certificate by our own CA. Makes `ca.pem` and `ca.key` in `folder` when they
/// are missing, and `server.pem` and `server.key` when they are missing, nearly expired or made for
/// other names.
///
/// # Errors
/// [`TlsError`].
pub fn from_own_ca(
    folder: &Path,
    listen: &SocketAddr,
    hosts: &[String],
) -> Result<OpenSSLConfig, TlsError> {
    let ca = Authority::load_or_make(folder)?;
    let names = names_for(listen, hosts);
    let (cert_path, key_path) = (folder.join("server.pem"), folder.join("server.key"));
    if !serves(&cert_path, &key_path, &names, &ca)? {
        let (cert, key) = ca.issue(&names)?;
        write_secret(&key_path, &key.private_key_to_pem_pkcs8()?)?;
        write(&cert_path, &cert.to_pem()?)?;
    }
    from_files(&cert_path, &key_path)
}

fn with_http(mut builder: openssl::ssl::SslAcceptorBuilder) -> Result<OpenSSLConfig, ErrorStack> {
    builder.set_alpn_protos(b"\x02h2\x08http/1.1")?;
    builder.set_alpn_select_callback(|_, offered| {
        openssl::ssl::select_next_proto(b"\x02h2\x08http/1.1", offered)
            .ok_or(openssl::ssl::AlpnError::NOACK)
    });
    Ok(OpenSSLConfig::from_acceptor(Arc::new(builder.build())))
}

/// Everything a client on this machine or the next may call the server by.
fn names_for(listen: &SocketAddr, hosts: &[String]) -> BTreeSet<String> {
    let mut names: BTreeSet<String> =
        ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into_iter().collect();
    if !listen.ip().is_unspecified() {
        names.insert(listen.ip().to_string());
    }
    let uname = rustix::system::uname();
    names.insert(uname.nodename().to_string_lossy().to_ascii_lowercase());
    names.extend(hosts.iter().cloned());
    names
}

fn serves(
    cert: &Path,
    key: &Path,
    names: &BTreeSet<String>,
    ca: &Authority,
) -> Result<bool, TlsError> {
    let (true, Ok(pem)) = (key.exists(), std::fs::read(cert)) else {
        return Ok(false);
    };
    let Ok(cert) = X509::from_pem(&pem) else { return Ok(false) };
    let soon = Asn1Time::days_from_now(RENEW_DAYS)?;
    let held: BTreeSet<String> = cert
        .subject_alt_names()
        .into_iter()
        .flatten()
        .filter_map(|name| match (name.dnsname(), name.ipaddress()) {
            (Some(dns), _) => Some(dns.to_owned()),
            (None, Some(bytes)) => ip_text(bytes),
            (None, None) => None,
        })
        .collect();
    let ours = cert.verify(&ca.key).unwrap_or(false);
    Ok(ours && cert.not_after() > soon && &held == names)
}

fn ip_text(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or(v6).ok().map(|ip| ip.to_string())
}

struct Authority {
    cert: X509,
    key: PKey<Private>,
}

impl Authority {
    fn load_or_make(folder: &Path) -> Result<Self, TlsError> {
        let (cert_path, key_path) = (folder.join("ca.pem"), folder.join("ca.key"));
        if !cert_path.exists() {
            let made = Self::make()?;
            write_secret(&key_path, &made.key.private_key_to_pem_pkcs8()?)?;
            write(&cert_path, &made.cert.to_pem()?)?;
            return Ok(made);
        }
        let cert = X509::from_pem(&read(&cert_path)?).map_err(|source| TlsError::Pem {
            what: "certificate",
            path: cert_path,
            source,
        })?;
        let key = PKey::private_key_from_pem(&read(&key_path)?)
            .map_err(|source| TlsError::Pem { what: "private key", path: key_path, source })?;
        Ok(Self { cert, key })
    }

    fn make() -> Result<Self, ErrorStack> {
        let key = new_key()?;
        let name = common_name("Skep registry CA")?;
        let mut builder = started(&name, &name, &key, CA_DAYS)?;
        builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
        let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build()?;
        builder.append_extension(usage)?;
        let subject = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
        builder.append_extension(subject)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self { cert: builder.build(), key })
    }

    fn issue(&self, names: &BTreeSet<String>) -> Result<(X509, PKey<Private>), ErrorStack> {
        let key = new_key()?;
        let subject = common_name("Skep registry")?;
        let mut builder = started(&subject, self.cert.subject_name(), &key, SERVER_DAYS)?;
        builder.append_extension(BasicConstraints::new().critical().build()?)?;
        builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
        builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
        let mut alternative = SubjectAlternativeName::new();
        for name in names {
            match name.parse::<IpAddr>() {
                Ok(_) => alternative.ip(name),
                Err(_) => alternative.dns(name),
            };
        }
        let context = builder.x509v3_context(Some(&self.cert), None);
        let alternative = alternative.build(&context)?;
        let issuer = AuthorityKeyIdentifier::new().keyid(true).build(&context)?;
        builder.append_extension(alternative)?;
        builder.append_extension(issuer)?;
        builder.sign(&self.key, MessageDigest::sha256())?;
        Ok((builder.build(), key))
    }
}

fn started(
    subject: &X509Name,
    issuer: &openssl::x509::X509NameRef,
    key: &PKey<Private>,
    days: u32,
) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    // 127 random bits: a serial is positive and at most 20 bytes (RFC 5280, 4.1.2.2).
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    builder.set_serial_number(serial.to_asn1_integer()?.as_ref())?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(Asn1Time::days_from_now(0)?.as_ref())?;
    builder.set_not_after(Asn1Time::days_from_now(days)?.as_ref())?;
    Ok(builder)
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

fn common_name(text: &str) -> Result<X509Name, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", text)?;
    Ok(name.build())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::File {
        what: "read",
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    std::fs::write(path, bytes).map_err(|source| TlsError::File {
        what: "write",
        path: path.to_owned(),
        source,
    })
}

/// Writes a file only its owner may read, from its first byte on.
fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    let failed = |source| TlsError::File { what: "write", path: path.to_owned(), source };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn server_pem(folder: &Path) -> Vec<u8> {
        std::fs::read(folder.join("server.pem")).unwrap()
    }

    #[test]
    fn the_certificate_is_kept_until_the_names_change() {
        let folder = tempfile::tempdir().unwrap();
        let listen = "0.0.0.0:0".parse().unwrap();
        from_own_ca(folder.path(), &listen, &[]).unwrap();
        let first = server_pem(folder.path());
        let ca = std::fs::read(folder.path().join("ca.pem")).unwrap();
        from_own_ca(folder.path(), &listen, &[]).unwrap();
        assert_eq!(server_pem(folder.path()), first);
        from_own_ca(folder.path(), &listen, &["registry.example".to_owned()]).unwrap();
        assert_ne!(server_pem(folder.path()), first);
        assert_eq!(std::fs::read(folder.path().join("ca.pem")).unwrap(), ca);
        for secret in ["ca.key", "server.key"] {
            let mode = std::fs::metadata(folder.path().join(secret)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{secret}");
        }
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cert.pem");
        std::fs::write(&path, b"nothing").unwrap();
        let Err(error) = from_files(&path, &path) else { panic!("it was accepted") };
        assert!(error.to_string().contains("cert.pem"), "{error}");
    }
}
