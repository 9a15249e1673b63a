//! Dumb parts: they draw what they are given. They refuse to fetch.

pub mod card;
pub mod copy;
pub mod form;
pub mod narrow;
pub mod notice;
pub mod pipeline;
pub mod search_box;
pub mod sign_in;
pub mod table;
pub mod tabs;
pub mod time;
pub mod verification;
