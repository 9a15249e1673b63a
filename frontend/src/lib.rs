//! The marketplace and the fleet in the browser, over the public HTTP API and nothing else.
//!
//! Data flows one way: `pages` fetch, `view` turns answers into rows and labels (pure, tested on the
//! host), `components` draw. It refuses to know the server's and the agent's insides.

pub mod components;
pub mod pages;
pub mod view;
pub mod words;

mod browser;
mod check;
mod client;
mod session;
mod verify;

pub use check::offer;
pub use pages::mount;
