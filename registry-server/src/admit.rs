//! The gate every request passes: from which address it comes, and whether its sender asked too
//! often. Refuses to know what is asked for.

use crate::app::App;
use crate::auth::identify::caller_in;
use crate::auth::node_in;
use crate::error::ApiError;
use crate::people::limits::household;
use axum::extract::{ConnectInfo, FromRef, FromRequestParts, Request, State};
use axum::http::HeaderName;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub address: IpAddr,
    route: Route,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Direct,
    ByProxy,
}

impl Peer {
    /// The address of the connection, or what a believed proxy says: the last entry that is no
    /// proxy of ours, because everything before it may have been made up by the client.
    fn of(parts: &Parts, proxies: &[IpAddr]) -> Self {
        let connection = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let direct = connection
            .map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip().to_canonical());
        let direct = Self { address: direct, route: Route::Direct };
        if !proxies.contains(&direct.address) {
            return direct;
        }
        let values = parts.headers.get_all(FORWARDED_FOR).iter();
        let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        let listed = texts.iter().flat_map(|text| text.split(','));
        let addresses = listed.filter_map(|text| text.trim().parse::<IpAddr>().ok());
        let addresses: Vec<IpAddr> = addresses.map(|address| address.to_canonical()).collect();
        let client = addresses.into_iter().rev().find(|address| !proxies.contains(address));
        client.map_or(direct, |address| Self { address, route: Route::ByProxy })
    }

    /// What tight limits count by.
    #[must_use]
    pub fn key(self) -> String {
        household(self.address).to_string()
    }

    /// Who reaches this socket from the machine itself can stop the server by other means: no
    /// general limit. Tight limits hold for everybody.
    fn is_this_machine(self) -> bool {
        self.route == Route::Direct && self.address.is_loopback()
    }
}

impl<S> FromRequestParts<S> for Peer
where
    App: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts, &App::from_ref(state).people.settings.proxies))
    }
}

/// Counts a request against its sender: account, token, or address. Nodes are not counted: their
/// long polls are what the server is for, and each has one.
pub async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let peer = Peer::of(&parts, &app.people.settings.proxies);
    if !peer.is_this_machine() && !is_free(parts.uri.path()) && node_in(&app, &parts).is_none() {
        // An unknown credential counts as none; the route that needs one says so.
        let admitted = match caller_in(&app, &mut parts).await {
            Ok(caller) => app.people.limits.caller(&caller.key()),
            Err(_) => app.people.limits.address(peer.address),
        };
        if let Err(refused) = admitted {
            return ApiError::from(refused).into_response();
        }
    }
    next.run(Request::from_parts(parts, body)).await
}

/// What monitors ask for again and again.
fn is_free(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(from: &str, forwarded: &[&str], proxies: &[&str]) -> Peer {
        let mut request = axum::http::Request::builder();
        for value in forwarded {
            request = request.header("x-forwarded-for", *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let from: SocketAddr = format!("{from}:1").parse().unwrap();
        parts.extensions.insert(ConnectInfo(from));
        let proxies: Vec<IpAddr> = proxies.iter().map(|text| text.parse().unwrap()).collect();
        Peer::of(&parts, &proxies)
    }

    #[test]
    fn only_a_believed_proxy_speaks_for_others_and_only_its_own_word_counts() {
        let address = |peer: Peer| peer.address.to_string();
        assert_eq!(address(peer("192.0.2.1", &["203.0.113.9"], &[])), "192.0.2.1");
        assert_eq!(address(peer("10.0.0.1", &["203.0.113.9"], &["10.0.0.1"])), "203.0.113.9");
        let forged = ["127.0.0.1", "198.51.100.7, 10.0.0.2"];
        assert_eq!(address(peer("10.0.0.1", &forged, &["10.0.0.1", "10.0.0.2"])), "198.51.100.7");
        assert_eq!(address(peer("10.0.0.1", &[], &["10.0.0.1"])), "10.0.0.1");
        assert!(peer("127.0.0.1", &[], &[]).is_this_machine());
        assert!(!peer("127.0.0.1", &["203.0.113.9"], &["127.0.0.1"]).is_this_machine());
    }
}
