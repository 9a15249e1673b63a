//! The browser program: mounts the pages. It refuses to know anything else.

fn main() {
    skep_frontend::mount();
}
