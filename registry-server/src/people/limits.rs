//! How often one caller may ask, by token buckets. Refuses to know what is asked for.

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

const fn count(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// Calls a second of one account or token, and at once: a publish is about 20 calls, and a
/// pipeline that publishes ten packages at once passes.
const CALLER_PER_SEC: NonZeroU32 = count(50);
const CALLER_BURST: NonZeroU32 = count(500);
/// Calls a second of one address without a credential, and at once: a page is about ten calls, and
/// an office behind one address opens dozens at once.
const ADDRESS_PER_SEC: NonZeroU32 = count(50);
const ADDRESS_BURST: NonZeroU32 = count(500);
/// Logins of one address: a person mistypes a few times; a minute more is no harm.
const LOGINS_PER_MINUTE: NonZeroU32 = count(20);
/// Logins to one account, from wherever: 14,400 guesses a day against 10 characters.
const ACCOUNT_LOGINS_PER_MINUTE: NonZeroU32 = count(10);
/// Sign-ups of one address: a class of students behind one address in an hour.
const SIGN_UPS_PER_HOUR: NonZeroU32 = count(30);
/// Tokens that one caller makes or exchanges: a pipeline makes one for each of its jobs.
const TOKENS_PER_MINUTE: NonZeroU32 = count(60);
/// Invites of one caller, made or tried: more is guessing or a mailing list.
const INVITES_PER_HOUR: NonZeroU32 = count(60);
/// Counters kept before those that are full again are forgotten: some 100 bytes each.
const KEYS_MAX: usize = 100_000;

/// What has a tighter limit than calls have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tight {
    LogIn,
    AccountLogIn,
    SignUp,
    Token,
    Invite,
}

/// Somebody asks too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; the next is taken in {} s", .after.as_secs().saturating_add(1))]
pub struct TooMany {
    pub after: Duration,
}

type Buckets<K> = DefaultKeyedRateLimiter<K>;

/// The buckets of everybody who asked lately.
pub struct Limits {
    callers: Buckets<String>,
    addresses: Buckets<IpAddr>,
    tight: [Buckets<String>; 5],
    clock: DefaultClock,
}

impl Default for Limits {
    fn default() -> Self {
        let per_sec = |rate, burst| Quota::per_second(rate).allow_burst(burst);
        Self {
            callers: RateLimiter::keyed(per_sec(CALLER_PER_SEC, CALLER_BURST)),
            addresses: RateLimiter::keyed(per_sec(ADDRESS_PER_SEC, ADDRESS_BURST)),
            tight: [
                RateLimiter::keyed(Quota::per_minute(LOGINS_PER_MINUTE)),
                RateLimiter::keyed(Quota::per_minute(ACCOUNT_LOGINS_PER_MINUTE)),
                RateLimiter::keyed(Quota::per_hour(SIGN_UPS_PER_HOUR)),
                RateLimiter::keyed(Quota::per_minute(TOKENS_PER_MINUTE)),
                RateLimiter::keyed(Quota::per_hour(INVITES_PER_HOUR)),
            ],
            clock: DefaultClock::default(),
        }
    }
}

impl Limits {
    /// A call of somebody who proved who they are.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn caller(&self, key: &str) -> Result<(), TooMany> {
        self.take(&self.callers, key.to_owned())
    }

    /// A call of nobody in particular.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn address(&self, address: IpAddr) -> Result<(), TooMany> {
        self.take(&self.addresses, household(address))
    }

    /// Something with a tighter limit, by an account, a name or an address.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn tight(&self, what: Tight, key: &str) -> Result<(), TooMany> {
        let place = match what {
            Tight::LogIn => 0,
            Tight::AccountLogIn => 1,
            Tight::SignUp => 2,
            Tight::Token => 3,
            Tight::Invite => 4,
        };
        self.take(&self.tight[place], key.to_owned())
    }

    fn take<K: Hash + Eq + Clone>(&self, buckets: &Buckets<K>, key: K) -> Result<(), TooMany> {
        if buckets.len() > KEYS_MAX {
            buckets.retain_recent();
        }
        buckets
            .check_key(&key)
            .map_err(|until| TooMany { after: until.wait_time_from(self.clock.now()) })
    }
}

/// Who counts as one: an IPv4 address, or the /64 that one household or machine gets.
#[must_use]
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_is_empty_says_when_it_is_not_and_is_its_own() {
        let limits = Limits::default();
        for _ in 0..LOGINS_PER_MINUTE.get() {
            limits.tight(Tight::LogIn, "192.0.2.1").unwrap();
        }
        let refused = limits.tight(Tight::LogIn, "192.0.2.1").unwrap_err();
        assert!(refused.after > Duration::ZERO && refused.after <= Duration::from_secs(3));
        limits.tight(Tight::LogIn, "192.0.2.2").unwrap();
        limits.tight(Tight::SignUp, "192.0.2.1").unwrap();
    }

    #[test]
    fn an_address_without_a_credential_and_a_caller_each_have_their_burst() {
        let limits = Limits::default();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let calls = (0..10_000).take_while(|_| limits.address(address).is_ok()).count();
        let burst = ADDRESS_BURST.get() as usize;
        // What comes back while the loop runs is a few.
        assert!((burst..burst * 2).contains(&calls), "{calls}");
        assert!(limits.caller("anna").is_ok());
        assert!(limits.address("192.0.2.2".parse().unwrap()).is_ok());
    }

    #[test]
    fn addresses_of_one_household_share_a_bucket() {
        let of = |text: &str| household(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
