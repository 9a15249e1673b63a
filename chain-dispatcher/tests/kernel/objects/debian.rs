//! Objects out of Debian packages, read where they are installed.
